"""Read and write texts and pictures in ID3 tags, Vorbis comments and MP4 atoms; read APEv2 and FFmpeg's tags.

Texts have the names of Vorbis comments, or keep their own name if there is no such name.
"""

import base64
import re
from collections.abc import Iterable
from typing import Any, BinaryIO

from mutagen import MutagenError
from mutagen._vorbis import VCommentDict
from mutagen.apev2 import APEBinaryValue, APETextValue, APEv2
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, COMM, ID3, TXXX, USLT, Frames, TextFrame, TimeStampTextFrame, UrlFrame
from mutagen.mp4 import MP4, AtomDataType, MP4Cover, MP4FreeForm

from .tag_names import ALIASES, FREEFORM, FROM_ID3, FROM_MP4, TO_ID3, TO_MP4, TOTALS, UNTRUE_ATOMS, is_untrue

_MUSICBRAINZ = "http://musicbrainz.org"
_COVERS = {
    "image/jpeg": MP4Cover.FORMAT_JPEG,
    "image/jpg": MP4Cover.FORMAT_JPEG,
    "image/png": MP4Cover.FORMAT_PNG,
}
_PICTURES = "metadata_block_picture"  # Vorbis comment
_MAX_BLOCK_BYTES = 2**24 - 1  # of a FLAC file
# Dates that ID3 can hold, apart from the fraction of a second and the time zone.
_TIME_STAMP = re.compile(
    r"\d{4}([-/.]\d\d?([-/.]\d\d?([T ]\d\d?(:\d\d?(:\d\d?(\.\d+)?)?)?(Z|[-+]\d\d:?\d\d)?)?)?)?", re.ASCII
)
# FFmpeg's tags about the container, not the song.
_TECHNICAL = re.compile(r"major_brand|minor_version|compatible_brands|handler_name|vendor_id|encodingtime|_statistics")

Texts = dict[str, list[str]]  # lower-case Vorbis comment names, each with its values


def is_readable(file: Any) -> bool:
    """Return whether `read_contents` can read this kind of tags."""
    return isinstance(file, FLAC | MP4) or isinstance(getattr(file, "tags", None), ID3 | VCommentDict | APEv2)


def read_contents(file: Any) -> tuple[Texts, list[Picture]]:
    """Return the texts and pictures in the tags of a mutagen file."""
    if isinstance(file.tags, ID3):
        pairs, pictures = _read_id3(file.tags)
    elif isinstance(file, MP4):
        pairs, pictures = _read_mp4(file.tags)
    elif isinstance(file.tags, APEv2):
        return read_ape(file.tags)
    else:
        pairs, pictures = _read_vorbis(file)
    return _joined(pairs), pictures


def _joined(pairs: Iterable[tuple[str, Any]]) -> Texts:
    """Return texts by name, with the values of repeated names combined."""
    texts: Texts = {}
    for name, values in pairs:
        name = ALIASES.get(name, name)
        kept = [str(value) for value in values if str(value)]
        if name in TOTALS and kept and "/" in kept[0]:
            kept[0], total = kept[0].split("/", 1)
            texts.setdefault(TOTALS[name], [total])
        if kept and name in (*TOTALS, *TOTALS.values()):
            texts.setdefault(name, kept)
        elif kept:
            known = texts.setdefault(name, [])
            known += [value for value in kept if value not in known]
    return texts


def read_ape(tags: Any) -> tuple[Texts, list[Picture]]:
    """Return the texts and pictures in an APEv2 tag."""
    pairs: list[tuple[str, Any]] = []
    pictures = []
    for name, value in tags.items():
        if isinstance(value, APETextValue):
            pairs.append((name.lower(), list(value)))
        elif isinstance(value, APEBinaryValue) and name.lower().startswith("cover art"):
            data = bytes(value).split(b"\0", 1)[-1]  # the picture follows a file name
            mime = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
            pictures.append(_picture(data, mime, 4 if "back" in name.lower() else 3))
    return _joined(pairs), pictures


def lost_contents(file: Any) -> list[str]:
    """Return descriptions of what `read_contents` leaves out of the tags of a mutagen file, each once."""
    if isinstance(file.tags, ID3):
        frames = [frame.FrameID for frame in file.tags.values() if not is_untrue(frame) and not _texts_of(frame)]
        return [f"{name} frame" for name in dict.fromkeys(frames) if name not in ("APIC", "CHAP", "CTOC")]
    if isinstance(file.tags, VCommentDict) and None in _pictures_in(file.tags):
        return ["invalid pictures"]
    return []


def _texts_of(frame: Any) -> list[tuple[str, Any]]:
    """Return the texts of an ID3 frame as pairs of Vorbis comment name and values."""
    kind, is_text, is_link = frame.FrameID, isinstance(frame, TextFrame), isinstance(frame, UrlFrame)
    if kind == "TXXX":
        return [((frame.desc or kind).lower(), frame.text)]
    if kind == "WXXX":
        return [((frame.desc or "website").lower(), [frame.url])]
    if kind == "COMM":
        return [(f"comment:{frame.desc.lower()}" if frame.desc else "comment", frame.text)]
    if kind == "USLT":
        return [("lyrics", [frame.text])]
    if kind in ("TIPL", "TMCL", "IPLS"):
        return [("performer", [f"{name} ({role})" for role, name in frame.people])]
    if kind == "UFID":
        is_id = frame.owner == _MUSICBRAINZ and frame.data.isascii()
        return [("musicbrainz_trackid", [frame.data.decode("ascii")])] if is_id else []
    if is_text:
        return [(FROM_ID3.get(kind, kind.lower()), frame.genres if kind == "TCON" else frame.text)]
    if is_link:
        return [(kind.lower(), [frame.url])]
    return []


def _read_id3(tags: Any) -> tuple[list[tuple[str, Any]], list[Picture]]:
    pairs: list[tuple[str, Any]] = []
    pictures = []
    for frame in tags.values():
        if is_untrue(frame):
            continue
        if frame.FrameID == "APIC":
            if frame.mime != "-->":  # "-->" is a link to a picture
                pictures.append(_picture(frame.data, frame.mime, int(frame.type), frame.desc))
        else:
            pairs += _texts_of(frame)
    return pairs, pictures


def _read_mp4(tags: Any) -> tuple[list[tuple[str, Any]], list[Picture]]:
    pairs: list[tuple[str, Any]] = []
    pictures = []
    for atom, values in tags.items():
        if atom in UNTRUE_ATOMS:
            continue
        name = FROM_MP4.get(atom.lower())
        if atom == "covr":
            for cover in values:
                mime = "image/png" if cover.imageformat == MP4Cover.FORMAT_PNG else "image/jpeg"
                pictures.append(_picture(bytes(cover), mime))
        elif name in TOTALS:
            number, total = values[0]
            pairs += [(name, [number or ""]), (TOTALS[name], [total or ""])]
        elif name == "compilation":
            pairs.append((name, ["1"] if values else []))
        elif atom.startswith("----:"):
            texts = [bytes(value) for value in values if value.dataformat == AtomDataType.UTF8]
            decoded = [text.decode("utf-8", "replace") for text in texts]
            pairs.append((name or atom.split(":", 2)[-1].lower(), decoded))
        else:
            values = values if isinstance(values, list) else [values]
            pairs.append((name or atom.removeprefix("\xa9").lower(), [v for v in values if isinstance(v, str | int)]))
    return pairs, pictures


def _read_vorbis(file: Any) -> tuple[list[tuple[str, Any]], list[Picture]]:
    comments = file.tags.as_dict() if file.tags is not None else {}  # a FLAC may have only pictures
    comments.pop(_PICTURES, None)
    pictures = [picture for picture in _pictures_in(file.tags) if picture]
    return list(comments.items()), pictures + getattr(file, "pictures", [])


def _pictures_in(comments: Any) -> list[Picture | None]:
    """Return the pictures in Vorbis comments, None for each that is invalid."""
    pictures: list[Picture | None] = []
    for block in (comments or {}).get(_PICTURES, []):
        try:
            pictures.append(Picture(base64.b64decode(block)))
        except (MutagenError, ValueError):
            pictures.append(None)
    return pictures


def read_container(file: BinaryIO) -> Texts:
    """Return the tags that FFmpeg finds in Matroska and other containers."""
    from .streams import open_container

    with open_container(file) as container:
        texts = _joined((name.lower(), [value]) for name, value in container.metadata.items())
    return {name: values for name, values in texts.items() if not _TECHNICAL.match(name)}


def _picture(data: bytes, mime: str, kind: int = 3, description: str = "") -> Picture:
    picture = Picture()
    picture.data, picture.mime, picture.type, picture.desc = data, mime, kind, description
    return picture


def write_contents(file: Any, texts: Texts, pictures: list[Picture]) -> list[str]:
    """Write texts and pictures into the tags of a mutagen file.

    Args:
        file: The file, which is not saved yet.
        texts: Name of a Vorbis comment to values.
        pictures: The pictures.

    Returns:
        Names of texts and pictures that the tags cannot hold.
    """
    if isinstance(file.tags, ID3):
        _write_id3(file.tags, texts, pictures)
        return []
    if isinstance(file, MP4):
        return _write_mp4(file.tags, texts, pictures)
    return _write_vorbis(file, texts, pictures)


def _write_id3(tags: Any, texts: Texts, pictures: list[Picture]) -> None:
    joined = {total for name, total in TOTALS.items() if name in texts}
    for name, values in texts.items():
        if name in joined:
            continue
        if name in TOTALS and TOTALS[name] in texts:
            values = [f"{values[0]}/{texts[TOTALS[name]][0]}"]
        if name == "comment" or name.startswith("comment:"):
            tags.add(COMM(encoding=3, lang="eng", desc=name[len("comment:") :], text=values))
        elif name == "lyrics":
            tags.add(USLT(encoding=3, lang="eng", desc="", text="\n".join(values)))
        else:
            kind = Frames.get(TO_ID3.get(name, name.upper()), TXXX)
            free = [value for value in values if not _can_hold(kind, value)]
            if held := [value for value in values if value not in free]:
                tags.add(kind(encoding=3, text=held))
            if free:
                tags.add(TXXX(encoding=3, desc=name.upper(), text=free))
    for i, picture in enumerate(pictures):
        description = picture.desc + " " * i  # in ID3 they must differ
        tags.add(APIC(encoding=3, mime=picture.mime, type=picture.type, desc=description, data=picture.data))


def _can_hold(kind: Any, value: str) -> bool:
    """Return whether an ID3 frame can hold a text and needs no description."""
    if issubclass(kind, TimeStampTextFrame):
        return bool(_TIME_STAMP.fullmatch(value.strip()))
    return issubclass(kind, TextFrame) and kind is not TXXX


def _write_mp4(tags: Any, texts: Texts, pictures: list[Picture]) -> list[str]:
    names = "bpm", *TOTALS, *TOTALS.values()
    numbers = {name: number for name in names if (number := _number(texts.get(name, []))) is not None}
    for name, total in TOTALS.items():
        if name in numbers or total in numbers:
            tags[TO_MP4[name]] = [(numbers.get(name, 0), numbers.get(total, 0))]
    if "bpm" in numbers:
        tags[TO_MP4["bpm"]] = [numbers["bpm"]]
    for name, values in texts.items():
        if name in numbers:
            continue
        atom = FREEFORM + name.upper() if name in names else TO_MP4.get(name, FREEFORM + name.upper())
        if name == "compilation":
            tags[atom] = values[0] != "0"
        elif atom.startswith(FREEFORM):
            tags[atom] = [MP4FreeForm(value.encode()) for value in values]
        else:
            tags[atom] = values
    covers = [MP4Cover(picture.data, _COVERS[picture.mime]) for picture in pictures if picture.mime in _COVERS]
    if covers:
        tags["covr"] = covers
    return [_picture_name(picture) for picture in pictures if picture.mime not in _COVERS]


def _write_vorbis(file: Any, texts: Texts, pictures: list[Picture]) -> list[str]:
    lost = []
    for name, values in texts.items():
        name = re.sub("[^ -<>-}]", "_", name)  # replace characters that are not allowed in names
        file.tags[name] = values
    blocks = [(picture, picture.write()) for picture in pictures]
    if isinstance(file, FLAC):
        lost = [_picture_name(picture) for picture, block in blocks if len(block) > _MAX_BLOCK_BYTES]
        for picture, block in blocks:
            if len(block) <= _MAX_BLOCK_BYTES:
                file.add_picture(picture)
    elif blocks:
        file.tags[_PICTURES] = [base64.b64encode(block).decode("ascii") for _, block in blocks]
    return lost


def _picture_name(picture: Picture) -> str:
    """Return the name of a picture for a warning."""
    return f"a picture ({picture.mime}, {len(picture.data) / 1e6:.1f} MB)"


def _number(values: list[str]) -> int | None:
    """Return the number at the start of the first text, at most 65535; None if there is none."""
    match = re.match(r"\s*(\d+)", values[0]) if values else None
    return min(int(match[1]), 65535) if match else None
