"""The colours of pictures, on a light and on a dark ground."""

from dataclasses import dataclass

# Colours that colour-blind people can tell apart: Okabe and Ito, https://jfly.uni-koeln.de/color/
HUES = "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"


@dataclass(frozen=True)
class Theme:
    """Colours of a picture.

    Attributes:
        ground: Background of the picture.
        panel: Background of a panel.
        ink: Text.
        dim: Less important text, and lines.
        wave: Waveform.
        heat: Spectrogram: the name of a colour map of matplotlib with even steps of lightness.
        hues: Stems.
    """

    ground: str
    panel: str
    ink: str
    dim: str
    wave: str
    heat: str
    hues: tuple[str, ...]


LIGHT = Theme("#f6f6f4", "#ffffff", "#1d1d1f", "#62626a", "#4a4a52", "bone_r", HUES)
DARK = Theme(
    "#151517", "#1f1f23", "#ececef", "#a6a6ae", "#c9c9d2", "magma", ("#ff8f40", "#4aa3df", "#1fc796", *HUES[3:])
)
