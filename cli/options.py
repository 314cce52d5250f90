"""Options that more than one command has."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Bits(StrEnum):
    """Bits a sample."""

    int16 = "16"
    int24 = "24"
    float32 = "32"


Song = Annotated[Path, typer.Argument(metavar="SONG", help="Any audio file: WAV, FLAC, AIFF, MP3, Ogg, Opus, M4A ...")]
ModelName = Annotated[str, typer.Option("--model", metavar="NAME", help="A model (see `models`), or an .onnx file.")]
Normalize = Annotated[bool, typer.Option("--normalize", help="Bring the peak to -1 dBFS.")]
BitsOption = Annotated[Bits | None, typer.Option("--bits", help="Bits a sample, 32 is float; default: as the song.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite what exists.")]
Threads = Annotated[int, typer.Option("--threads", min=1, metavar="N", help="Processor cores for the network.")]
DataFolders = Annotated[
    list[Path], typer.Option("--data", metavar="DIR...", help="Folders of songs with stems, see docs/training.md.")
]
MoreFolders = Annotated[list[Path] | None, typer.Argument(metavar="", hidden=True)]
