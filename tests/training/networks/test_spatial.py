"""Masks that also use the positions of stems."""

from dataclasses import replace

import pytest
import torch
from stembridge.training.networks.features import covariance, parts_of
from stembridge.training.networks.spatial import masks_from
from stembridge.training.recipe import RECIPES, Recipe


@pytest.fixture(params=["streaming", "chunked"])
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return RECIPES["recurrent", request.param]


def noise(recipe: Recipe, *shape: int, seed: int = 0) -> torch.Tensor:
    """Make complex noise, (*shape, bins)."""
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(*shape, recipe.grid.bins, dtype=torch.complex64, generator=generator)


def complex_masks(logits: torch.Tensor, mix: torch.Tensor, recipe: Recipe, **options) -> torch.Tensor:
    return torch.view_as_complex(masks_from(logits, covariance(parts_of(mix)), recipe, **options)[0].contiguous())


def random_logits(recipe: Recipe, frames: int) -> torch.Tensor:
    return torch.randn(frames, 1, 4, 2, recipe.bands.num_cells, generator=torch.Generator().manual_seed(1))


def test_masks_sum_to_one(recipe):
    mix = noise(recipe, 20, 1, 2)
    masks = complex_masks(random_logits(recipe, 20), mix, recipe)
    assert masks.shape == (20, 1, 4, 2, recipe.grid.bins)
    assert (masks.sum(dim=2) - 1).abs().max() < 2e-3


def test_two_equal_channels_are_masked_like_one(recipe):
    mix = noise(recipe, 20, 1, 1).expand(-1, -1, 2, -1)
    logits = random_logits(recipe, 20)[:, :, :, :1].expand(-1, -1, -1, 2, -1)
    plain, _ = masks_from(logits, covariance(parts_of(mix)), replace(recipe, spatial=False))
    difference = (complex_masks(logits, mix, recipe) - plain).abs().amax(dim=(0, 1, 2, 3))
    assert (difference > 1e-3).sum() <= 1  # the bin that goes with the cell below


def test_stems_from_different_positions_are_separated_where_masks_cannot(recipe):
    """One stem sounds alone, then another from elsewhere, then both at once, where the masks are uniform."""
    masks = torch.full((60, 4), 1e-6)
    masks[:20, 0] = masks[20:40, 1] = 1
    masks[40:, :2] = 0.5
    sounds = masks > 0.1
    places = [(1.0, 0.4), (0.4, 1.0), (0.0, 0.0), (0.0, 0.0)]
    stems = [
        torch.stack([side * sounds[:, stem, None] * noise(recipe, 60, seed=stem) for side in place], dim=1)
        for stem, place in enumerate(places)
    ]
    stems = torch.stack(stems, dim=1).unsqueeze(1)  # (frames, 1, stems, 2, bins)
    mix = stems.sum(dim=2)
    logits = masks.log().reshape(60, 1, 4, 1, 1).expand(-1, -1, -1, 2, recipe.bands.num_cells)

    def error_db(masks: torch.Tensor) -> torch.Tensor:
        missed = (masks * mix.unsqueeze(2) - stems)[40:, ..., : recipe.grid.bins // 2 - 40]
        return 10 * torch.log10(missed.abs().square().sum())

    plain, _ = masks_from(logits, covariance(parts_of(mix)), replace(recipe, spatial=False))
    assert error_db(complex_masks(logits, mix, recipe)) < error_db(plain) - 6


def test_the_level_does_not_matter(recipe):
    mix, logits = noise(recipe, 20, 1, 2), random_logits(recipe, 20)
    loud, quiet = (complex_masks(logits, gain * mix, recipe) for gain in (10, 1e-3))
    assert (loud - quiet).abs().max() < 0.02 * loud.abs().max()


def test_silence_has_finite_masks(recipe):
    for mix in torch.zeros(20, 1, 2, recipe.grid.bins, dtype=torch.complex64), noise(recipe, 20, 1, 2) * 1e-7:
        assert complex_masks(random_logits(recipe, 20), mix, recipe).isfinite().all()
    one_sided = noise(recipe, 20, 1, 2)
    one_sided[:, :, 1] = 0
    masks = complex_masks(random_logits(recipe, 20), one_sided, recipe)
    assert masks.isfinite().all()
    assert masks.abs().max() < 100


def test_a_part_of_the_frames_and_stems_equals_the_same_part_of_all(recipe):
    mix, logits = noise(recipe, 20, 1, 2), random_logits(recipe, 20)
    some = complex_masks(logits, mix, recipe, stems=3, frames=slice(5, 12))
    assert torch.allclose(some, complex_masks(logits, mix, recipe)[5:12, :, :3], atol=1e-5)


def test_a_streaming_network_knows_positions_from_its_past_only():
    recipe = RECIPES["recurrent", "streaming"]
    mix, logits = noise(recipe, 20, 1, 2), random_logits(recipe, 20)
    whole = complex_masks(logits, mix, recipe)
    parts, before = [], None
    for i in range(0, 20, 5):
        here = mix[i : i + 5]
        masks, after = masks_from(logits[i : i + 5], covariance(parts_of(here)), recipe, before)
        parts.append(torch.view_as_complex(masks.contiguous()))
        before = after[0]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-3)
    assert not torch.allclose(parts[3], complex_masks(logits[15:], mix[15:], recipe), atol=1e-2)
