"""Networks made from recipes."""

from ..recipe import Recipe
from .base import MaskNetwork
from .recurrent import RecurrentNetwork
from .transformer import TransformerNetwork
from .unet import UNet

FAMILIES: dict[str, type[MaskNetwork]] = {
    "recurrent": RecurrentNetwork,
    "transformer": TransformerNetwork,
    "u-net": UNet,
}


def make_network(recipe: Recipe) -> MaskNetwork:
    """Return the network of a recipe, with random weights.

    Args:
        recipe: The recipe.
    """
    return FAMILIES[recipe.family](recipe)
