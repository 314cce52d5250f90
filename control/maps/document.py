"""The content of a MIDI map's file. `map.schema.json` is made from this."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, ValidationInfo, field_validator, model_validator

from ...core.errors import StemBridgeError
from ...core.gains import MAX_DB, SILENCE_DB

Channel = Annotated[int, Field(ge=1, le=16)]
SevenBits = Annotated[int, Field(ge=0, le=127)]
GainDb = Annotated[float, Field(ge=SILENCE_DB, le=MAX_DB)]
Text = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ControlChange(_Part):
    """A controller with 128 positions."""

    type: Literal["cc"]
    number: SevenBits


class FineControlChange(_Part):
    """A controller below 32, with its fine part on the controller 32 above it."""

    type: Literal["cc14"]
    number: Annotated[int, Field(ge=0, le=31)]


class Parameter(_Part):
    """A non-registered parameter number."""

    type: Literal["nrpn"]
    number: Annotated[int, Field(ge=0, le=16382)]


class Encoder(_Part):
    """A controller that sends turns instead of positions."""

    type: Literal["relative"]
    number: SevenBits
    encoding: Literal["twos", "offset", "sign"]
    step_db: Annotated[float, Field(ge=-MAX_DB, le=MAX_DB, description="change of the gain by one turn")] = 0.5


class Note(_Part):
    """A key or a button."""

    type: Literal["note"]
    number: SevenBits


class PitchBend(_Part):
    """A fader that sends pitch bend."""

    type: Literal["pitchbend"]
    channel: Channel


class Program(_Part):
    """A program change."""

    type: Literal["program"]
    number: SevenBits


Fader = Annotated[
    ControlChange | FineControlChange | Parameter | Encoder | PitchBend, Discriminator("type"), Field(title="fader")
]


class _Binding(_Part):
    channel: Annotated[Channel, Field(description="overrides the map's")] | None = None

    @model_validator(mode="after")
    def _check_channel(self) -> "_Binding":
        own = getattr(getattr(self, "control", None), "channel", None)
        if self.channel != own and None not in (self.channel, own):
            raise StemBridgeError(
                f"channel {self.channel} differs from channel {own} of its control; give only one of them"
            )
        return self


class GainBinding(_Binding):
    """A fader or knob that moves a stem."""

    control: Fader
    action: Literal["gain"]
    stem: Text
    curve: Annotated[
        Literal["unity", "straight"], Field(description="both are linear in dB; unity has 0 dB at 100 of 127")
    ] = "unity"
    range_db: Annotated[
        tuple[GainDb, GainDb], Field(description="gains at the lowest and highest position of the control")
    ] = (SILENCE_DB, 12.0)  # fmt: skip

    @field_validator("range_db")
    @classmethod
    def _check_range(cls, range_db: tuple[float, float], others: ValidationInfo) -> tuple[float, float]:
        low, high = range_db
        if not low < high:
            raise StemBridgeError(f"{low:g} is not below {high:g}")
        if others.data.get("curve") == "unity" and not low < 0 < high:
            raise StemBridgeError(f"0 dB is not between {low:g} and {high:g}; only the curve 'straight' allows that")
        return range_db


class SwitchBinding(_Binding):
    """A button that mutes or solos a stem."""

    control: Annotated[ControlChange | Note, Discriminator("type")]
    action: Literal["mute", "solo"]
    stem: Text
    mode: Literal["toggle", "momentary"] = "toggle"


class PresetBinding(_Binding):
    """A program or button that loads a preset."""

    control: Annotated[Program | Note | ControlChange, Discriminator("type")]
    action: Literal["preset"]
    preset: Annotated[str, Field(min_length=1, description="a name, or the path of a .json file")]


AnyBinding = Annotated[GainBinding | SwitchBinding | PresetBinding, Discriminator("action")]


class MapDocument(_Part):
    """How a controller's messages move the faders: see docs/automation.md."""

    model_config = ConfigDict(title="StemBridge MIDI map")

    name: Text
    description: str
    channel: Annotated[Channel | None, Field(description="null for all channels")] = None
    takeover: Literal["jump", "pickup", "pickup-after-preset"] = "pickup-after-preset"
    feedback: Annotated[bool, Field(description="send changes to the device: motor faders, lights")] = False
    bindings: Annotated[list[AnyBinding], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_bindings(self) -> "MapDocument":
        for i, binding in enumerate(self.bindings):
            if binding in self.bindings[:i]:
                raise StemBridgeError(f"bindings.{i} repeats an earlier binding; remove one of them")
        return self
