"""The settings of rendering: every option, declared once.

To add an option, add a field here and use it where it acts. Functions, command line, recipes and journal are made from
these fields. Options that change the result default to None or False, so that journals of earlier versions stay valid.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, Field, dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from annotated_types import Ge, Le

from ..core.errors import StemBridgeError
from ..core.protocols import Automation, Processor
from ..core.settings import Argument, Option, Settings, keys_of
from ..models import Model
from ..presets.gains import Gains

if TYPE_CHECKING:
    from .report.report import Report
    from .report.results import SongReport

# Headings of options in `--help`.
BATCH = "Many songs (see `stembridge docs batch`)"
FILE = "Output file"
NETWORK = "The network"
COUNT = "a whole number from 1 up"
FROM_1 = Ge(1)

Place = str | PathLike[str]
Songs = Place | Sequence[Place]
Format = Literal["wav", "flac", "aiff", "mp3", "ogg", "opus", "m4a"]
SampleFormat = Literal["int16", "int24", "float32"]
Progress = Callable[[str, float | None], None]
"""Called with the step, "rendering" or "writing", and the fraction of it that is done, None if that is not known."""


class Watcher(Protocol):
    """Receives the progress of a batch. Calls never overlap; those of `working` may come from another thread."""

    def planned(self, report: "Report") -> None:
        """Receive the plan, once before the work.

        Args:
            report: The batch, with songs that are planned, skipped or failed.
        """

    def working(self, source: str, step: str, fraction: float | None) -> None:
        """Receive the progress of a song, a few times a second at most.

        Some calls may be lost, or come after the song is finished.

        Args:
            source: Path or URL of the song.
            step: "rendering" or "writing".
            fraction: How much of the step is done, 0 to 1; None if that is not known.
        """

    def finished(self, song: "SongReport") -> None:
        """Receive the result of a song.

        Args:
            song: A planned song that is done or failed now.
        """


@dataclass(frozen=True)
class SongSettings(Settings):
    """Settings that change the result of a song, remixed or separated."""

    _: KW_ONLY
    normalize: Annotated[bool, Option(help="Set the peak to -1 dBFS.", panel=FILE)] = False
    sample_format: Annotated[
        SampleFormat | None,
        Option(
            help="Bits per sample; 32 is float (default: as in the song).",
            flags=("--bits",),
            panel=FILE,
            spelt=(("16", "int16"), ("24", "int24"), ("32", "float32")),
        ),
    ] = None
    bitrate: Annotated[
        int | float | None,
        Option(
            help="Bitrate of lossy files in kbit/s, such as 192.",
            give="kbit/s, such as 192",
            metavar="KBPS",
            panel=FILE,
        ),
    ] = None
    encoding_quality: Annotated[
        int | float | None,
        Option(
            help="Encoding quality of lossy files, from 0 (smallest) to 10 (best).",
            give="a number from 0 to 10",
            metavar="Q",
            panel=FILE,
        ),
    ] = None
    stream: Annotated[
        Annotated[int, FROM_1] | None,
        Option(
            help="Number of the audio stream to read (default: the stream marked as default, else the first).",
            give=COUNT,
            metavar="N",
        ),
    ] = None


@dataclass(frozen=True)
class RemixSettings(SongSettings):
    """Settings that change a remix."""

    gains_db: Annotated[
        Gains | None,
        Argument(
            help="Gain of each stem in dB, -80 (silence) to 20; a stem that is not named stays at 0 dB, or at the gain "
            "of the preset. Or a preset, by name or path.",
            give="a table of numbers, such as gains_db = { vocals = -80 }",
            in_file=dict[str, float],
        ),
    ] = None
    _: KW_ONLY
    preset: Annotated[
        Place | None, Option(help="Gains by name (see `stembridge presets`) or from a .json file.", metavar="NAME")
    ] = None
    automation: Annotated[
        Place | Automation | None,
        Option(
            help="Automation from a .csv or .mid file, see `stembridge docs automation`.",
            give="text",
            in_file=str,
            metavar="FILE",
        ),
    ] = None
    map: Annotated[
        Place,
        Option(
            help="MIDI map for a .mid file: a name (see `stembridge midi maps`) or a .json file.",
            metavar="NAME",
        ),
    ] = "general"
    loudness: Annotated[
        Annotated[float, Ge(-70), Le(0)] | Literal["match"] | None,
        Option(
            help="Keep the loudness of the song (match), or set it in LUFS, such as -14.",
            give='LUFS from -70 to 0, such as -14, or "match"',
            metavar="match|LUFS",
            panel=FILE,
        ),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.normalize and self.loudness is not None:
            raise StemBridgeError("loudness and normalize both set the level; choose one of them")


@dataclass(frozen=True)
class SeparateSettings(SongSettings):
    """Settings that change the stems of a song."""

    stems: Annotated[
        Sequence[str] | None,
        Argument(
            help='Names of stems, "no_<stem>" for the song without that stem, or "instrumental" for the song without '
            "vocals; by default all stems.",
            give='a list of texts, such as ["vocals", "no_vocals"]',
            in_file=list[str],
        ),
    ] = None


@dataclass(frozen=True)
class RunSettings(Settings):
    """Settings of the network and the run."""

    model: Annotated[
        Place | Model,
        Option(
            help="A model (see `stembridge models`), or the path of an .onnx file or a card.",
            give="text",
            in_file=str,
            metavar="NAME",
            panel=NETWORK,
        ),
    ] = "studio"
    _: KW_ONLY
    quality: Annotated[
        Literal["fast", "normal", "best"],
        Option(
            help="Overlap of an imported network's segments (others have only normal); see `stembridge docs guests`.",
            panel=NETWORK,
        ),
    ] = "normal"
    overwrite: Annotated[bool, Option(help="Overwrite existing files.", flags=("--force", "-f"))] = False
    threads: Annotated[
        int, FROM_1, Option(help="Processor cores for the network.", give=COUNT, metavar="N", panel=NETWORK)
    ] = 1  # fmt: skip


@dataclass(frozen=True)
class FileSettings(Settings):
    """Settings of one song."""

    source: Annotated[Place, Argument(help="Path of the song.")]
    target: Annotated[Place, Argument(help="The file to write, or the folder for stems.")]
    _: KW_ONLY
    measure: Annotated[bool, Argument(help="Measure levels before and after, and keep an overview.")] = False
    scratch: Annotated[
        Path | None,
        Argument(help="Folder for temporary files on the target's disk, made if missing; by default the target's."),
    ] = None
    progress: Annotated[Progress | None, Argument(help="Receives progress updates.")] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, place, remedy in (
            ("source", self.source, "for samples use remix or separate"),
            ("target", self.target, "name a file, or a folder for stems"),
        ):
            if not isinstance(place, str | PathLike):
                raise StemBridgeError(f"{name} is of type {type(place).__name__}, not a path; {remedy}")


@dataclass(frozen=True)
class NamingSettings(Settings):
    """Names and formats of the outputs of a batch."""

    _: KW_ONLY
    name: Annotated[
        str | None,
        Option(help="Template for file names, like '{artist} - {title}.{ext}'.", metavar="TEMPLATE", panel=BATCH),
    ] = None
    format: Annotated[
        Format | None, Option(help="Output format of files in a folder (default: the song's own).", panel=FILE)
    ] = None  # fmt: skip


@dataclass(frozen=True)
class BatchSettings(NamingSettings):
    """Settings of a batch."""

    songs: Annotated[
        Songs,
        Argument(
            help="Files, folders, globs, playlists (.m3u, .m3u8, .pls) and URLs that fsspec knows, one or many.",
            give='a list of texts, such as songs = ["albums/**/*.flac"]',
            in_file=list[str],
        ),
    ]
    output: Annotated[Place, Argument(help="A folder, made if it is missing, or a URL.", give="text", in_file=str)]
    _: KW_ONLY
    jobs: Annotated[
        int,
        FROM_1,
        Option(
            help="Number of songs to render in parallel; if more than one, each in its own process.",
            give=COUNT, flags=("--jobs", "-j"), metavar="N", panel=BATCH,
        ),
    ] = 1  # fmt: skip
    dask: Annotated[
        Any,
        Option(
            help="Render on a Dask cluster, like tcp://host:8786.",
            give="text", in_file=str, metavar="ADDRESS", panel=BATCH,
        ),
    ] = None  # fmt: skip
    overrides: Annotated[
        Sequence[Mapping[str, Any]],
        Argument(
            help="Other settings for some songs. Each has `match`, a glob for the path of a song or the end of it, and "
            "the settings that differ. Later ones override earlier ones."
        ),
    ] = ()
    dry_run: Annotated[bool, Option(help="Show the plan, and render nothing.", in_file=None, panel=BATCH)] = False
    watcher: Annotated[Watcher | None, Argument(help="Receives progress updates.")] = None


@dataclass(frozen=True)
class RemixFile(RunSettings, RemixSettings, FileSettings):
    """The arguments of `remix_file`."""

    _: KW_ONLY
    processor: Annotated[
        Processor | None,
        Argument(help="A processor to use in place of the model, such as a StemRack."),
    ] = None
    copy_untouched: Annotated[
        bool,
        Argument(
            help="Copy a song whose faders all stay at 0 dB. If False, such a song raises ValueError, unless "
            "`normalize` or `loudness` changes its level."
        ),
    ] = True


@dataclass(frozen=True)
class SeparateFile(RunSettings, SeparateSettings, FileSettings):
    """The arguments of `separate_file`."""

    _: KW_ONLY
    suffix: Annotated[str, Argument(help="Suffix of the files, which sets their format.")] = ".wav"


@dataclass(frozen=True)
class RemixFiles(RunSettings, RemixSettings, BatchSettings):
    """The arguments of `remix_files`."""


@dataclass(frozen=True)
class SeparateFiles(RunSettings, SeparateSettings, BatchSettings):
    """The arguments of `separate_files`."""

    _: KW_ONLY
    format: Annotated[Format | None, Option(help="Output format.", panel=FILE)] = "wav"


def song_keys(kind: type[RemixFiles | SeparateFiles]) -> dict[str, Field[Any]]:
    """Return the settings that overrides may change for some songs of a batch, by name.

    Args:
        kind: The settings of the batch.
    """
    shaping = keys_of(RemixSettings if issubclass(kind, RemixFiles) else SeparateSettings)
    return {name: field for name, field in keys_of(kind).items() if name in shaping | keys_of(NamingSettings)}
