"""Each option is declared once; Python, recipes and checks follow from the declaration."""

import inspect
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import Annotated, Literal, get_type_hints

import pytest
from annotated_types import Ge
from stembridge.core.settings import Argument, Option, Settings, arguments_from, check_table, keys_of


@dataclass(frozen=True)
class Cooking(Settings):
    dish: Annotated[str, Option(help="What to cook.")]
    minutes: Annotated[Annotated[int, Ge(1)] | None, Option(help="How long.", give="a whole number from 1 up")] = None
    heat: Annotated[Literal["low", "high"], Option(help="How hot.")] = "low"
    stir: Annotated[bool, Option(help="Whether to stir.")] = False
    cook: Annotated[object, Argument(help="Who cooks.")] = None
    pot: Annotated[str | Path, Argument(help="Where.", give="text", in_file=str)] = "pan"


@arguments_from(Cooking)
def serve(cooking: Cooking) -> str:
    """Cook a dish.

    Returns:
        What is served.
    """
    return f"{cooking.dish} {cooking.minutes} {cooking.heat}"


def test_settings_do_not_change():
    with pytest.raises(FrozenInstanceError):
        Cooking("soup").dish = "stew"


def test_a_function_takes_each_field_as_an_argument():
    assert serve("soup", 3) == serve(minutes=3, dish="soup") == "soup 3 low"
    signature = inspect.signature(serve)
    assert list(signature.parameters) == ["dish", "minutes", "heat", "stir", "cook", "pot"]
    assert signature.parameters["heat"].default == "low"
    assert get_type_hints(serve)["return"] is str
    assert get_type_hints(serve)["stir"] is bool


def test_its_documentation_names_each_field():
    assert inspect.getdoc(serve).startswith("Cook a dish.\n\nArgs:\n    dish: What to cook.\n")
    assert inspect.getdoc(serve).endswith("pot: Where.\n\nReturns:\n    What is served.")


def test_an_unknown_argument_names_the_function():
    with pytest.raises(TypeError, match=r"^serve\(\) got an unexpected keyword argument 'spice'"):
        serve("soup", spice=1)
    with pytest.raises(TypeError, match=r"^serve\(\) missing a required argument: 'dish'"):
        serve()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"dish": 1}, "dish 1 does not work; give text"),
        ({"minutes": 0}, "minutes 0 does not work; give a whole number from 1 up"),
        ({"minutes": True}, "minutes True does not work; give a whole number from 1 up"),
        ({"minutes": 2.0}, "minutes 2.0 does not work"),
        ({"heat": "mild"}, "heat 'mild' does not work; give one of low, high"),
        ({"stir": 1}, "stir 1 does not work; give true or false"),
    ],
)
def test_a_wrong_value_is_one_line_with_a_remedy(wrong, says):
    with pytest.raises(ValueError, match=says) as caught:
        serve(**{"dish": "soup"} | wrong)
    assert "\n" not in str(caught.value)


def test_a_file_has_the_fields_that_it_can_hold():
    keys = keys_of(Cooking)
    assert list(keys) == ["dish", "minutes", "heat", "stir", "pot"]
    check_table({"dish": "soup", "pot": "wok"}, keys, "a.toml")
    with pytest.raises(ValueError, match=r"^a.toml: pot = 1 does not work; give text$"):
        check_table({"pot": 1}, keys, "a.toml")
    with pytest.raises(ValueError, match=r"^a.toml: unknown key 'cook'; choose from dish, minutes"):
        check_table({"cook": "me"}, keys, "a.toml")
