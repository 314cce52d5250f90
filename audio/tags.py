"""Tags and cover art from one file to another, across ID3 (MP3, WAV, AIFF), Vorbis comments (FLAC, Ogg) and MP4.

Between ID3 and ID3, or MP4 and MP4, every frame is kept. Otherwise tags travel under the names of Vorbis comments, and
what has no common name keeps its own. Left behind is what new sound makes untrue: loudness, lengths, gapless playback,
encoder, fingerprints.
"""

import base64
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from mutagen import File, MutagenError
from mutagen._vorbis import VCommentDict
from mutagen.aiff import AIFF
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, COMM, ID3, TXXX, USLT, Frames
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4, AtomDataType, MP4Cover, MP4FreeForm
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

_FREEFORM = "----:com.apple.iTunes:"
# Vorbis comment, ID3 frame, MP4 atom.
_NAMES = (
    ("title", "TIT2", "\xa9nam"),
    ("subtitle", "TIT3", f"{_FREEFORM}SUBTITLE"),
    ("artist", "TPE1", "\xa9ART"),
    ("albumartist", "TPE2", "aART"),
    ("album", "TALB", "\xa9alb"),
    ("date", "TDRC", "\xa9day"),
    ("originaldate", "TDOR", f"{_FREEFORM}ORIGINALDATE"),
    ("genre", "TCON", "\xa9gen"),
    ("composer", "TCOM", "\xa9wrt"),
    ("lyricist", "TEXT", f"{_FREEFORM}LYRICIST"),
    ("conductor", "TPE3", f"{_FREEFORM}CONDUCTOR"),
    ("remixer", "TPE4", f"{_FREEFORM}REMIXER"),
    ("copyright", "TCOP", "cprt"),
    ("organization", "TPUB", f"{_FREEFORM}LABEL"),
    ("isrc", "TSRC", f"{_FREEFORM}ISRC"),
    ("grouping", "TIT1", "\xa9grp"),
    ("bpm", "TBPM", "tmpo"),
    ("initialkey", "TKEY", f"{_FREEFORM}initialkey"),
    ("language", "TLAN", f"{_FREEFORM}LANGUAGE"),
    ("compilation", "TCMP", "cpil"),
    ("tracknumber", "TRCK", "trkn"),
    ("discnumber", "TPOS", "disk"),
    ("comment", "COMM", "\xa9cmt"),
    ("lyrics", "USLT", "\xa9lyr"),
    ("artistsort", "TSOP", "soar"),
    ("albumsort", "TSOA", "soal"),
    ("titlesort", "TSOT", "sonm"),
)
_TO_ID3 = {name: frame for name, frame, _ in _NAMES}
_FROM_ID3 = {frame: name for name, frame, _ in _NAMES}
_TO_MP4 = {name: atom for name, _, atom in _NAMES}
_FROM_MP4 = {atom.lower(): name for name, _, atom in _NAMES}
_TOTALS = {"tracknumber": "tracktotal", "discnumber": "disctotal"}  # "3/12" in ID3, a pair in MP4
_ALIASES = {
    "album artist": "albumartist",
    "album_artist": "albumartist",
    "track": "tracknumber",
    "disc": "discnumber",
    "totaltracks": "tracktotal",
    "totaldiscs": "disctotal",
    "unsyncedlyrics": "lyrics",
    "year": "date",
}
_UNTRUE = re.compile(
    r"replaygain_|r128_|itun(smpb|norm|pgap|es_cddb)|mp3gain_|acoustid_fingerprint|accurate_?rip"
    r"|(encoder|encoding|encoded[-_ ]?by|encoder[-_ ]?(settings|options)|tool|length|duration|bitrate)$",
    re.IGNORECASE,
)
_UNTRUE_FRAMES = {"RVA2", "RVAD", "RVRB", "EQU2", "EQUA", "TLEN", "TSIZ", "TFLT", "TSSE", "TENC", "TDEN", "TDTG"}
_UNTRUE_FRAMES |= {"TDLY", "MLLT", "ASPI", "SEEK", "RBUF"}
_UNTRUE_ATOMS = {"\xa9too", "\xa9enc", "pgap"}
_COVERS = {
    "image/jpeg": MP4Cover.FORMAT_JPEG,
    "image/jpg": MP4Cover.FORMAT_JPEG,
    "image/png": MP4Cover.FORMAT_PNG,
}

Texts = dict[str, list[str]]  # lower-case Vorbis comment names, each with its values


def copy_tags(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> str | None:
    """Give the tags and cover art of one audio file to another, as far as both can hold them.

    Returns None, or one line saying that tags stayed behind: tags that cannot be read are no reason to fail. Raises
    OSError when writing the target fails; it is then damaged.
    """
    try:
        old: Any = _open(source)
        new: Any = _open(target)
        if new.tags is None:
            new.add_tags()
        if old is not None and isinstance(old.tags, ID3) and isinstance(new.tags, ID3):
            for frame in old.tags.values():
                if not _is_untrue(frame):
                    new.tags.add(frame)
        elif isinstance(old, MP4) and old.tags and isinstance(new, MP4):
            for atom, values in old.tags.items():
                if atom not in _UNTRUE_ATOMS and not _UNTRUE.match(atom.removeprefix(_FREEFORM)):
                    new.tags[atom] = values
        else:
            tagged = _is_readable(old) and (old.tags or getattr(old, "pictures", None))
            if tagged:
                texts, pictures = _read(old)
            else:
                with Path(source).open("rb") as file:
                    texts, pictures = _read_container(file), []
            _write(new, {name: values for name, values in texts.items() if not _UNTRUE.match(name)}, pictures)
        if not new.tags and not getattr(new, "pictures", None):
            return None
    except Exception as error:  # tags are other people's bytes, and fail in many ways
        return _left_behind(source, error)
    try:
        new.save()
    except MutagenError as error:
        cause = error.args[0] if error.args else None
        if isinstance(cause, OSError):
            raise OSError(cause.errno, cause.strerror, os.fspath(target)) from None
        return _left_behind(source, error)
    return None


def read_tags(file: BinaryIO) -> Texts:
    """The tags of an audio file that is open at its start: lower-case name of a Vorbis comment -> its values.

    Empty where there are none or they cannot be read. Of a file that is none of this machine's, the tags that only
    FFmpeg finds are not looked for.
    """
    try:
        kind = _kind(file)
        file.seek(0)
        tags: Any = kind(file)
        if _is_readable(tags) and tags.tags:
            return _read(tags)[0]
        file.seek(0)
        return _read_container(file)
    except Exception:  # tags are other people's bytes, and fail in many ways
        return {}


def _left_behind(source: str | os.PathLike[str], error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"{os.fspath(source)}: its tags could not be copied ({reason})"


def _open(path: str | os.PathLike[str]) -> Any:
    """Return the mutagen file of what the first bytes say it is; None for a kind without tags."""
    with Path(path).open("rb") as file:
        kind = _kind(file)
    return kind(path)


def _kind(file: BinaryIO) -> Callable[[Any], Any]:
    """Return what opens the file, by its first bytes; mutagen's own guess only where these say nothing."""
    # It trusts suffixes, and the file may have a temporary name.
    head = file.read(128)
    if head[:3] == b"ID3":  # 28 bits of length, seven a byte; an MP3 or a FLAC may follow
        length = sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        file.seek(10 + length)
        head = head if file.read(4) != b"fLaC" else b"fLaC"
    kinds: dict[bytes, Callable[[Any], Any]] = {b"RIFF": WAVE, b"FORM": AIFF, b"fLaC": FLAC}
    if kind := kinds.get(head[:4]):
        return kind
    if head[:4] == b"OggS":
        return OggOpus if b"OpusHead" in head else OggFLAC if b"FLAC" in head else OggVorbis
    if head[4:8] == b"ftyp":
        return MP4
    if head[:3] == b"ID3" or (head[:1] == b"\xff" and head[1] & 0xE6 == 0xE2):  # MPEG audio, layer III
        return MP3
    if head[:4] in (b"RF64", b"RIFX"):
        return lambda _: None
    return File


def _is_untrue(frame: Any) -> bool:
    return frame.FrameID in _UNTRUE_FRAMES or (frame.FrameID in ("TXXX", "COMM") and bool(_UNTRUE.match(frame.desc)))


def _is_readable(file: Any) -> bool:
    """Return whether `_read` knows this kind of tags; APEv2, for one, it does not."""
    return isinstance(file, FLAC | MP4) or isinstance(getattr(file, "tags", None), ID3 | VCommentDict)


def _read(file: Any) -> tuple[Texts, list[Picture]]:
    if isinstance(file.tags, ID3):
        pairs, pictures = _read_id3(file.tags)
    elif isinstance(file, MP4):
        pairs, pictures = _read_mp4(file.tags)
    else:
        pairs, pictures = _read_vorbis(file)
    texts: Texts = {}
    for name, values in pairs:
        name = _ALIASES.get(name, name)
        kept = [str(value) for value in values if str(value)]
        if name in _TOTALS and kept and "/" in kept[0]:
            kept[0], total = kept[0].split("/", 1)
            texts.setdefault(_TOTALS[name], [total])
        if kept:
            texts.setdefault(name, kept)
    return texts, pictures


def _read_id3(tags: Any) -> tuple[list[tuple[str, Any]], list[Picture]]:
    pairs: list[tuple[str, Any]] = []
    pictures = []
    for frame in tags.values():
        kind = frame.FrameID
        if _is_untrue(frame):
            continue
        if kind == "APIC":
            if frame.mime != "-->":  # a link
                pictures.append(_picture(frame.data, frame.mime, int(frame.type), frame.desc))
        elif kind == "TXXX":
            pairs.append((frame.desc.lower(), frame.text))
        elif kind == "COMM":
            pairs.append((f"comment:{frame.desc.lower()}" if frame.desc else "comment", frame.text))
        elif kind == "USLT":
            pairs.append(("lyrics", [frame.text]))
        elif kind in _FROM_ID3:
            pairs.append((_FROM_ID3[kind], frame.genres if kind == "TCON" else frame.text))
    return pairs, pictures


def _read_mp4(tags: Any) -> tuple[list[tuple[str, Any]], list[Picture]]:
    pairs: list[tuple[str, Any]] = []
    pictures = []
    for atom, values in tags.items():
        name = _FROM_MP4.get(atom.lower())
        if atom == "covr":
            for cover in values:
                mime = "image/png" if cover.imageformat == MP4Cover.FORMAT_PNG else "image/jpeg"
                pictures.append(_picture(bytes(cover), mime))
        elif name in _TOTALS:
            number, total = values[0]
            pairs += [(name, [number or ""]), (_TOTALS[name], [total or ""])]
        elif name == "compilation":
            pairs.append((name, ["1"] if values else []))
        elif atom.startswith("----:"):
            decoded = [bytes(value).decode("utf-8") for value in values if value.dataformat == AtomDataType.UTF8]
            pairs.append((name or atom.split(":")[-1].lower(), decoded))
        elif name:
            pairs.append((name, values))
    return pairs, pictures


def _read_vorbis(file: Any) -> tuple[list[tuple[str, Any]], list[Picture]]:
    comments = file.tags.as_dict() if file.tags is not None else {}  # a FLAC may have pictures alone
    blocks = comments.pop("metadata_block_picture", [])
    pictures = [Picture(base64.b64decode(block)) for block in blocks] + getattr(file, "pictures", [])
    return list(comments.items()), pictures


def _read_container(file: BinaryIO) -> Texts:
    """Return the well-known tags that FFmpeg finds: a WAV's INFO chunk, Matroska ..."""
    from .ffmpeg import open_container

    with open_container(file) as container:
        metadata = {_ALIASES.get(name.lower(), name.lower()): value for name, value in container.metadata.items()}
    return {name: [value] for name, value in metadata.items() if name in _TO_ID3 and value}


def _picture(data: bytes, mime: str, kind: int = 3, description: str = "") -> Picture:
    picture = Picture()
    picture.data, picture.mime, picture.type, picture.desc = data, mime, kind, description
    return picture


def _write(file: Any, texts: Texts, pictures: list[Picture]) -> None:
    if isinstance(file.tags, ID3):
        _write_id3(file.tags, texts, pictures)
    elif isinstance(file, MP4):
        _write_mp4(file.tags, texts, pictures)
    else:
        _write_vorbis(file, texts, pictures)


def _write_id3(tags: Any, texts: Texts, pictures: list[Picture]) -> None:
    for name, values in texts.items():
        if name in _TOTALS.values():
            continue
        if name in _TOTALS and _TOTALS[name] in texts:
            values = [f"{values[0]}/{texts[_TOTALS[name]][0]}"]
        if name == "comment" or name.startswith("comment:"):
            tags.add(COMM(encoding=3, lang="eng", desc=name[len("comment:") :], text=values))
        elif name == "lyrics":
            tags.add(USLT(encoding=3, lang="eng", desc="", text="\n".join(values)))
        elif name in _TO_ID3:
            tags.add(Frames[_TO_ID3[name]](encoding=3, text=values))
        else:
            tags.add(TXXX(encoding=3, desc=name.upper(), text=values))
    for i, picture in enumerate(pictures):
        description = picture.desc + " " * i  # ID3 wants them to differ
        tags.add(APIC(encoding=3, mime=picture.mime, type=picture.type, desc=description, data=picture.data))


def _write_mp4(tags: Any, texts: Texts, pictures: list[Picture]) -> None:
    for name, values in texts.items():
        atom = _TO_MP4.get(name, _FREEFORM + name.upper())
        if name in _TOTALS:
            tags[atom] = [(_number(values), _number(texts.get(_TOTALS[name], [])))]
        elif name == "bpm":
            tags[atom] = [_number(values)]
        elif name == "compilation":
            tags[atom] = values[0] != "0"
        elif atom.startswith(_FREEFORM):
            if name not in _TOTALS.values():
                tags[atom] = [MP4FreeForm(value.encode()) for value in values]
        else:
            tags[atom] = values
    covers = [MP4Cover(picture.data, _COVERS[picture.mime]) for picture in pictures if picture.mime in _COVERS]
    if covers:
        tags["covr"] = covers


def _write_vorbis(file: Any, texts: Texts, pictures: list[Picture]) -> None:
    for name, values in texts.items():
        if re.fullmatch("[ -<>-}]+", name):  # what such a name may consist of
            file.tags[name] = values
    if isinstance(file, FLAC):
        for picture in pictures:
            file.add_picture(picture)
    elif pictures:
        file.tags["metadata_block_picture"] = [base64.b64encode(p.write()).decode("ascii") for p in pictures]


def _number(values: list[str]) -> int:
    match = re.match(r"\s*(\d+)", values[0]) if values else None
    return min(int(match[1]), 65535) if match else 0
