"""Names of outputs: templates filled from tags and paths, with names that are safe on any disk."""

import os
import re
import string
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath, PurePosixPath

from ...core.errors import StemBridgeError
from ...core.gains import SILENCE_DB
from ...core.suggest import did_you_mean
from ..storage import file_name

TAGS = {
    "artist": "artist", "albumartist": "albumartist", "album": "album", "title": "title", "track": "tracknumber",
    "disc": "discnumber", "year": "date", "genre": "genre",
}  # fmt: skip
FIELDS = (*TAGS, "name", "folder", "preset", "model", "stem", "ext")
REMIX_NAME, STEMS_NAME = "{name} ({preset}).{ext}", "{folder}/{name}/{stem}.{ext}"  # the default templates
MISSING_TAGS = {
    "artist": "Unknown Artist", "albumartist": "Unknown Artist", "album": "Unknown Album", "track": "00", "disc": "1",
    "year": "Unknown Year", "genre": "Unknown Genre",
}  # fmt: skip
MAX_NAME_BYTES = 200  # of a file or folder; leaves room for a number, and for suffixes that file systems add
# Separators, characters that Windows forbids, control characters, direction marks, and bytes that are not text.
UNSAFE = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)

Piece = tuple[str, str | None]  # text, and the field that follows it


class Template:
    """A template for names of outputs, such as `{artist} - {title}.{ext}`.

    Without a slash, it names files in a folder that mirrors the song's folder. With one, it names the whole path below
    the output folder.

    Args:
        text: The template.

    Attributes:
        fields: Names of the fields in it.

    Raises:
        ValueError: The template is empty, absolute, leads out of the output folder, does not end in `.{ext}`, or has an
            unknown field.
    """

    def __init__(self, text: str) -> None:
        def wrong(why: str) -> ValueError:
            return ValueError(f"name {text!r} {why}; give a template such as '{{artist}} - {{title}}.{{ext}}'")

        if text.startswith("/"):
            raise wrong("begins with a slash, which leads out of the output folder")
        if not text.endswith(".{ext}"):
            raise wrong("does not end in .{ext}, which stands for the suffix of the format")
        path = text if "/" in text or "{folder}" in text else "{folder}/" + text
        parts = [part for part in path.removesuffix(".{ext}").split("/") if part not in ("", ".")]
        if ".." in parts:
            raise wrong("contains '..', which leads out of the output folder")
        if not parts or path.endswith("/.{ext}"):
            raise wrong("has no file name before .{ext}")
        try:
            self._parts = [list(_pieces(part)) for part in parts]
        except ValueError as error:
            raise wrong(str(error)) from None
        self.fields = {field for part in self._parts for _, field in part if field} | {"ext"}
        # If two songs have the same name, a number is added to the last part that depends on the song.
        depends = [any(field not in (None, "folder", "stem") for _, field in part) for part in self._parts]
        self._numbered = len(depends) - 1 - depends[::-1].index(True) if True in depends else len(depends) - 1

    def name(self, values: Mapping[str, str], number: int = 1) -> str:
        """Fill in the template, and return the path below the output folder, with slashes.

        If a name is too long for a file system, its longest fields are shortened, so that the others still distinguish
        the files. The stem is never shortened.

        Args:
            values: Values of the fields. Only that of `folder` may contain slashes.
            number: A number above 1 is added to the name, to distinguish files with the same name.
        """
        names = []
        for place, part in enumerate(self._parts):
            ending = f" ({number})" if number > 1 and place == self._numbered else ""
            if place == len(self._parts) - 1:
                ending += f".{values['ext']}"
            *above, last = _fill(part, values, ending).split("/")  # `folder` may be any number of folders
            names += [safe_name(name) for name in above if name]
            if last or ending:
                names.append(safe_name(last, ending) + ending)
        return "/".join(names)


def _fill(part: Sequence[Piece], values: Mapping[str, str], ending: str) -> str:
    texts = {field: _filled(field, values) for _, field in part}

    def filled() -> str:
        return "".join(text + texts[field] for text, field in part)

    fields = [field for field in texts if field not in (None, "folder", "stem")]
    while fields and (excess := _size(filled().rpartition("/")[2] + ending) - MAX_NAME_BYTES) > 0:
        *others, longest = sorted(fields, key=lambda field: _size(texts[field]))
        second = _size(texts[others[-1]]) if others else 0
        size = _size(texts[longest])
        keep = max(1, size - excess, min(second, size - 1))
        texts[longest] = _encoded(texts[longest])[:keep].decode(errors="ignore").rstrip(" .")
        if _size(texts[longest]) <= 1:  # all fields are
            break
    return filled()


def _size(text: str) -> int:
    """Return how many bytes a text takes in a file name."""
    return len(_encoded(text))


def _encoded(text: str) -> bytes:
    return unicodedata.normalize("NFC", UNSAFE.sub("_", text)).encode()


def _filled(field: str | None, values: Mapping[str, str]) -> str:
    if field is None:
        return ""
    return values[field] if field == "folder" else values[field].replace("/", "_")


def _pieces(part: str) -> Iterator[Piece]:
    for text, field, spec, conversion in string.Formatter().parse(part):
        if field is not None and (field not in FIELDS or field == "ext"):
            name = f"{{{field}}}{did_you_mean(field, FIELDS)}"
            raise StemBridgeError(f"has the unknown field {name}: choose from {', '.join(FIELDS)}")
        if spec or conversion:
            raise StemBridgeError(f"contains more than a name in {{{field}}}")
        yield text, field


def safe_name(value: str, ending: str = "") -> str:
    """Return a text as the name of a file or folder that is safe on any disk; never empty.

    Args:
        value: Any text.
        ending: Text that will be added to the name, which counts for its length.

    >>> safe_name("AC/DC: Live?"), safe_name("..."), safe_name("con.wav")
    ('AC_DC_ Live_', '_', '_con.wav')
    """
    name = UNSAFE.sub("_", unicodedata.normalize("NFC", value)).strip().lstrip(". ")
    name = f"_{name}" if RESERVED.match(name) else name
    return name.encode()[: MAX_NAME_BYTES - len(ending.encode())].decode(errors="ignore").rstrip(" .") or "_"


def mix_name(
    gains_db: Mapping[str, float],
    preset: str | os.PathLike[str] | None = None,
    presets_gains_db: Mapping[str, float] | None = None,
    automation: str | None = None,
) -> str:
    """Describe a remix in a few words, for its file name.

    Args:
        gains_db: Stem to gain in dB.
        preset: The preset's name or path.
        presets_gains_db: Its gains. A stem at the same gain is not named.
        automation: The name of the file that moves the faders.

    >>> karaoke = {"vocals": -80}
    >>> mix_name(karaoke), mix_name({"vocals": -6, "drums": 3}), mix_name({"drums": 3} | karaoke, "karaoke", karaoke)
    ('no vocals', 'vocals -6 dB, drums +3 dB', 'karaoke, drums +3 dB')
    >>> mix_name({"vocals": 0}), mix_name({"bass": 1.5}, automation="ride")
    ('remix', 'bass +1.5 dB, ride')
    """
    words = [] if preset is None else [PurePath(preset).name.removesuffix(".json")]
    for stem, given in gains_db.items():
        gain, presets_gain = (max(SILENCE_DB, each) for each in (given, (presets_gains_db or {}).get(stem, 0.0)))
        if gain != presets_gain:
            words.append(f"no {stem}" if gain == SILENCE_DB else f"{stem} {gain:+g} dB" if gain else f"{stem} 0 dB")
    return ", ".join([*words, automation] if automation else words) or "remix"


def song_fields(place: str, folder: str, tags: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the values of template fields that depend on the song.

    A track number such as 3/12 becomes 03, and a date becomes its year.

    Args:
        place: Path or URL of the song.
        folder: Folder to mirror, with slashes.
        tags: Lower-case names of Vorbis comments to values.
    """
    name = PurePosixPath(file_name(place)).stem
    texts = {field: [text for text in tags.get(tag, ()) if text.strip()] for field, tag in TAGS.items()}
    tagged = {field: ", ".join(given) for field, given in texts.items() if given}
    for field in ("track", "disc"):
        if number := re.match(r"\s*(\d+)", tagged.pop(field, "")):
            tagged[field] = f"{int(number[1]):0{len(MISSING_TAGS[field])}}"
    if year := re.search(r"\d{4}", tagged.pop("year", "")):
        tagged["year"] = year[0]
    tagged.setdefault("albumartist", tagged.get("artist", MISSING_TAGS["artist"]))
    return {**MISSING_TAGS, "title": name, **tagged, "name": name, "folder": folder}
