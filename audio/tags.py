"""Tags and cover art from one file to another, across ID3 (MP3, WAV, AIFF), Vorbis comments (FLAC, Ogg) and MP4.

Between ID3 and ID3, or MP4 and MP4, every frame is kept. Otherwise tags travel under the names of Vorbis comments, and
what has no common name keeps its own. Left behind is what new sound makes untrue: loudness, lengths, gapless playback,
encoder, fingerprints.
"""

import base64
import os
import re
from collections.abc import Callable, Iterable
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

from mutagen import File, MutagenError
from mutagen._vorbis import VCommentDict
from mutagen.aiff import AIFF
from mutagen.apev2 import APEBinaryValue, APETextValue, APEv2
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, COMM, ID3, TXXX, USLT, Frames, ID3FileType, TextFrame, UrlFrame
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4, AtomDataType, MP4Cover, MP4FreeForm
from mutagen.ogg import OggPage
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

from .chunk_tags import (
    Chunks,
    append_chunks,
    chunk_kind,
    chunk_markers,
    chunk_texts,
    kept_chunks,
    marker_chunks,
    read_chunks,
    sampler_chunks,
)
from .chunks import MAGIC, skip_id3
from .decode import open_audio
from .markers import (
    MOST,
    VORBIS_CHAPTER,
    Marker,
    container_markers,
    cuesheet_markers,
    id3_markers,
    vorbis_markers,
    vorbis_texts,
    write_id3,
)

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
    ("albumartistsort", "TSO2", "soaa"),
    ("composersort", "TSOC", "soco"),
    ("mood", "TMOO", f"{_FREEFORM}MOOD"),
    ("media", "TMED", f"{_FREEFORM}MEDIA"),
    ("discsubtitle", "TSST", f"{_FREEFORM}DISCSUBTITLE"),
    ("originalartist", "TOPE", f"{_FREEFORM}ORIGINALARTIST"),
    ("releasedate", "TDRL", f"{_FREEFORM}RELEASEDATE"),
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
    "author": "artist",
    "publisher": "organization",
    "creation_time": "encodingtime",
}
_UNTRUE = re.compile(
    r"replaygain_|r128_|itun(smpb|norm|pgap|es_cddb)|mp3gain_|acoustid_fingerprint|accurate_?rip"
    r"|(encoder|encoding|encoded[-_ ]?by|encoder[-_ ]?(settings|options)|tool|length|duration|bitrate)$",
    re.IGNORECASE,
)
_UNTRUE_FRAMES = {"RVA2", "RVAD", "RVRB", "EQU2", "EQUA", "TLEN", "TSIZ", "TFLT", "TSSE", "TENC", "TDEN", "TDTG"}
_UNTRUE_FRAMES |= {"TDLY", "MLLT", "ASPI", "SEEK", "RBUF"}
_MUSICBRAINZ = "http://musicbrainz.org"
_UNTRUE_ATOMS = {"\xa9too", "\xa9enc", "pgap"}
_COVERS = {
    "image/jpeg": MP4Cover.FORMAT_JPEG,
    "image/jpg": MP4Cover.FORMAT_JPEG,
    "image/png": MP4Cover.FORMAT_PNG,
}

_APPLICATION, _CUESHEET = 2, 5  # blocks of FLAC
_LARGEST_BLOCK = 2**24 - 1  # bytes
_TEXT_CHUNKS = {"cue ", "MARK", "NAME", "AUTH", "(c) ", "ANNO", "COMT"}  # that become tags or markers
_TEXT_LISTS = {b"INFO", b"adtl"}
# What FFmpeg says of a container itself.
_TECHNICAL = re.compile(r"major_brand|minor_version|compatible_brands|handler_name|vendor_id|encodingtime|_statistics")

# Kinds whose tags mutagen reads. FFmpeg is asked about others only, and not about WAV and AIFF: behind the sound it
# would look for more, and where a recorder has reserved a gigabyte that takes minutes.
_KNOWN = (FLAC, OggVorbis, OggOpus, OggFLAC, MP3, WAVE, AIFF)

Texts = dict[str, list[str]]  # lower-case Vorbis comment names, each with its values


def copy_tags(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> str | None:
    """Give the tags, cover art and markers of one audio file to another of the same length, as far as it can hold them.

    Returns:
        None, or one line that says what was left out: tags that cannot be read are no reason to fail.

    Raises:
        OSError: Writing the target failed; it is then damaged.
    """
    try:
        old: Any = _open(source)
        new: Any = _open(target)
        if new is None:
            raise ValueError("a file over 4 GiB has no room for them")
        if new.tags is None:
            new.add_tags()
        with Path(source).open("rb") as file:
            kind, chunks = chunk_kind(file), read_chunks(file)
        lost = _copy(Path(source), old, new, kind, chunks)
        added, lost_markers = _copy_markers(Path(source), old, new, kind, chunks)
        lost += lost_markers
    except Exception as error:  # tags are other people's bytes, and fail in many ways
        return _left_behind(source, error)
    try:
        if new.tags or getattr(new, "pictures", None) or getattr(new, "cuesheet", None):
            _save(new, target)
        if added:
            append_chunks(target, added)
    except (MutagenError, ValueError) as error:
        cause = error.args[0] if error.args else None
        if isinstance(cause, OSError):
            raise OSError(cause.errno, cause.strerror, os.fspath(target)) from None
        return _left_behind(source, error)
    if not lost:
        return None
    return f"{os.fspath(source)}: {_kind_name(new)} cannot hold all of its tags; left out: {', '.join(lost)}"


def _copy(source: Path, old: Any, new: Any, kind: str, chunks: Chunks) -> list[str]:
    """Copy texts and pictures; return the names of what the new file cannot hold. kind: as `chunk_kind` says."""
    ape = _ape_tags(source) if isinstance(old, MP3) else None
    has_id3 = old is not None and isinstance(old.tags, ID3)
    if has_id3 and isinstance(new.tags, ID3):
        for frame in old.tags.values():
            if not _is_untrue(frame):
                new.tags.add(frame)
        known, pictures = _read(old)
        texts, covers = _more_texts(ape, chunks)
        texts = {name: values for name, values in texts.items() if name not in known and not _UNTRUE.match(name)}
        return _write(new, texts, [] if pictures else covers)
    if isinstance(old, MP4) and old.tags and isinstance(new, MP4):
        for atom, values in old.tags.items():
            if atom not in _UNTRUE_ATOMS and not _UNTRUE.match(atom.removeprefix(_FREEFORM)):
                new.tags[atom] = values
        return []
    lost: list[str] = []
    texts, pictures = {}, []
    if _is_readable(old) and (old.tags or getattr(old, "pictures", None)):
        texts, pictures = _read(old)
        lost = _frames_without_text(old.tags) if has_id3 else []
    more, covers = _more_texts(ape, chunks)
    texts, pictures = more | texts, pictures or covers
    if not texts and not pictures and not kind and not isinstance(old, _KNOWN):
        with source.open("rb") as file:
            texts = _read_container(file)
    texts = {name: values for name, values in texts.items() if not _UNTRUE.match(name)}
    if not isinstance(new.tags, VCommentDict):  # elsewhere they become markers
        texts = {name: values for name, values in texts.items() if not VORBIS_CHAPTER.fullmatch(name)}
    return lost + _write(new, texts, pictures)


def _copy_markers(source: Path, old: Any, new: Any, kind: str, chunks: Chunks) -> tuple[Chunks, list[str]]:
    """Copy cue points, loops, chapters and other chunks.

    Returns the chunks to append to a WAV, and the names of what the new file cannot hold.
    """
    names = [
        f"{name.strip()} chunk" for name, data in chunks if name not in _TEXT_CHUNKS and data[:4] not in _TEXT_LISTS
    ]
    rate = _rate(old)
    if chunks and not rate:
        with open_audio(source) as reader:
            rate = reader.sample_rate
    if isinstance(old, FLAC) and isinstance(new, FLAC):
        kept = [block for block in old.metadata_blocks if block.code in (_APPLICATION, _CUESHEET)]
        new.metadata_blocks += kept
        new.cuesheet = old.cuesheet
        return [], []
    blocks = getattr(old, "metadata_blocks", [])
    lost = [f"{block.data[:4].decode('latin-1')} block" for block in blocks if block.code == _APPLICATION]
    if isinstance(new, WAVE) and chunks and kind == "WAV" and rate == _rate(new):
        return kept_chunks(chunks), lost
    markers = sorted(_markers(source, old, kind, chunks, rate), key=attrgetter("start"))
    if isinstance(new, WAVE):
        added = marker_chunks(markers, _rate(new)) + sampler_chunks(chunks, _rate(new))
        return added, lost + [name for name in names if name != "INST chunk"]
    lost += names
    if isinstance(new.tags, ID3):
        if not new.tags.getall("CHAP"):
            lost += _beyond(markers, MOST["ID3"])
            write_id3(new.tags, markers[: MOST["ID3"]], new.info.length)
    elif isinstance(new.tags, VCommentDict):
        if not any(name.lower().startswith("chapter") for name in new.tags.keys()):  # noqa: SIM118
            lost += _beyond(markers, MOST["Vorbis"]) + _lengths(markers, new.info.length)
            for name, values in vorbis_texts(markers[: MOST["Vorbis"]]).items():
                new.tags[name] = values
    elif markers:
        lost.append("chapters")
    return [], lost


def _rate(file: Any) -> int:
    """Return a file's sample rate in Hz, 0 where mutagen does not say it: Opus always has 48 kHz."""
    return getattr(getattr(file, "info", None), "sample_rate", 0)


def _markers(source: Path, old: Any, kind: str, chunks: Chunks, rate: int) -> list[Marker]:
    """Return the markers of a file, wherever its kind has them."""
    if found := chunk_markers(chunks, rate):
        return found
    if isinstance(getattr(old, "tags", None), ID3):
        return id3_markers(old.tags)
    if isinstance(old, FLAC) and old.cuesheet:
        return cuesheet_markers(old.cuesheet, rate)
    if isinstance(getattr(old, "tags", None), VCommentDict):
        return vorbis_markers(_read(old)[0])
    return [] if kind or isinstance(old, _KNOWN) else container_markers(source)


def _beyond(markers: list[Marker], most: int) -> list[str]:
    return [f"all markers after the first {most}"] if len(markers) > most else []


def _lengths(markers: list[Marker], length: float) -> list[str]:
    """Name the lengths of markers that do not reach to the next one: Vorbis comments have none."""
    following = [marker.start for marker in markers[1:]] + [length]
    ends = [(marker.end, start) for marker, start in zip(markers, following, strict=False) if marker.end is not None]
    return ["lengths of markers"] if any(end < start - 0.05 for end, start in ends) else []


def _more_texts(ape: Any, chunks: Chunks) -> tuple[Texts, list[Picture]]:
    """Return the texts and pictures that an APEv2 tag and the chunks of WAV and AIFF add to a file's main tags."""
    texts, pictures = _read_ape(ape) if ape else ({}, [])
    return chunk_texts(chunks) | texts, pictures


def _ape_tags(path: Path) -> Any:
    try:
        return APEv2(path)
    except MutagenError:  # there is none
        return None


def _kind_name(file: Any) -> str:
    kinds = {WAVE: "WAV", OggVorbis: "Ogg Vorbis", OggOpus: "Opus", OggFLAC: "Ogg FLAC", MP4: "MP4"}
    return kinds.get(type(file), type(file).__name__)


def _save(file: Any, path: str | os.PathLike[str]) -> None:
    """Write the tags into the file."""
    if isinstance(file, OggVorbis):
        with Path(path).open("r+b") as ogg:
            _save_vorbis(file.tags, ogg)
    else:
        file.save()


def _save_vorbis(tags: Any, file: BinaryIO) -> None:
    """Write Vorbis comments. Mutagen would copy all the rest of them for each 4 KiB, half a minute for 18 MB."""
    page = OggPage(file)
    while not page.packets[0].startswith(b"\x03vorbis"):
        page = OggPage(file)
    old = [page]
    while not (old[-1].complete or len(old[-1].packets) > 1):
        old.append(OggPage(file))
    _, *others = OggPage.to_packets(old, strict=False)
    comments = b"\x03vorbis" + tags.write()
    full, new = 255 * 255, []  # bytes in the largest page
    for start in range(0, len(comments) - full, full):
        page = OggPage()
        page.packets = [comments[start : start + full]]
        page.complete, page.continued, page.position = False, start > 0, -1
        new.append(page)
    last = OggPage.from_packets([comments[full * len(new) :], *others])
    last[0].continued = bool(new)
    OggPage.replace(file, old, new + last)


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
        if isinstance(tags, MP3):
            return _read_ape(APEv2(file))[0]
        return chunk_texts(read_chunks(file)) if chunk_kind(file) else _read_container(file)
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
    if head[:3] == b"ID3":  # an MP3 or a FLAC may follow
        skip_id3(file)
        behind = file.read(4)
        if behind in MAGIC:  # which should have the tag in a chunk
            return ID3FileType
        head = head if behind != b"fLaC" else b"fLaC"
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
    """Return whether `_read` knows this kind of tags."""
    return isinstance(file, FLAC | MP4) or isinstance(getattr(file, "tags", None), ID3 | VCommentDict | APEv2)


def _read(file: Any) -> tuple[Texts, list[Picture]]:
    if isinstance(file.tags, ID3):
        pairs, pictures = _read_id3(file.tags)
    elif isinstance(file, MP4):
        pairs, pictures = _read_mp4(file.tags)
    elif isinstance(file.tags, APEv2):
        return _read_ape(file.tags)
    else:
        pairs, pictures = _read_vorbis(file)
    return _joined(pairs), pictures


def _joined(pairs: Iterable[tuple[str, Any]]) -> Texts:
    """Return texts by name, with all values of a name that is there several times."""
    texts: Texts = {}
    for name, values in pairs:
        name = _ALIASES.get(name, name)
        kept = [str(value) for value in values if str(value)]
        if name in _TOTALS and kept and "/" in kept[0]:
            kept[0], total = kept[0].split("/", 1)
            texts.setdefault(_TOTALS[name], [total])
        if kept and name in (*_TOTALS, *_TOTALS.values()):
            texts.setdefault(name, kept)
        elif kept:
            known = texts.setdefault(name, [])
            known += [value for value in kept if value not in known]
    return texts


def _read_ape(tags: Any) -> tuple[Texts, list[Picture]]:
    pairs: list[tuple[str, Any]] = []
    pictures = []
    for name, value in tags.items():
        if isinstance(value, APETextValue):
            pairs.append((name.lower(), list(value)))
        elif isinstance(value, APEBinaryValue) and name.lower().startswith("cover art"):
            data = bytes(value).split(b"\0", 1)[-1]  # after a file's name
            mime = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
            pictures.append(_picture(data, mime, 4 if "back" in name.lower() else 3))
    return _joined(pairs), pictures


def _frames_without_text(tags: Any) -> list[str]:
    """Name the frames of an ID3 tag that `_read_id3` does not read, each once."""
    lost = [frame.FrameID for frame in tags.values() if not _is_untrue(frame) and not _texts_of(frame)]
    return [f"{name} frame" for name in dict.fromkeys(lost) if name not in ("APIC", "CHAP", "CTOC")]


def _texts_of(frame: Any) -> list[tuple[str, Any]]:
    """Return what an ID3 frame says, under the name of a Vorbis comment."""
    kind, is_text, is_link = frame.FrameID, isinstance(frame, TextFrame), isinstance(frame, UrlFrame)
    if kind in ("TXXX", "WXXX"):
        return [((frame.desc or "website").lower(), frame.text if kind == "TXXX" else [frame.url])]
    if kind == "COMM":
        return [(f"comment:{frame.desc.lower()}" if frame.desc else "comment", frame.text)]
    if kind == "USLT":
        return [("lyrics", [frame.text])]
    if kind in ("TIPL", "TMCL", "IPLS"):
        return [("performer", [f"{name} ({role})" for role, name in frame.people])]
    if kind == "UFID":
        return [("musicbrainz_trackid", [frame.data.decode("ascii")])] if frame.owner == _MUSICBRAINZ else []
    if is_text:
        return [(_FROM_ID3.get(kind, kind.lower()), frame.genres if kind == "TCON" else frame.text)]
    if is_link:
        return [(kind.lower(), [frame.url])]
    return []


def _read_id3(tags: Any) -> tuple[list[tuple[str, Any]], list[Picture]]:
    pairs: list[tuple[str, Any]] = []
    pictures = []
    for frame in tags.values():
        if _is_untrue(frame):
            continue
        if frame.FrameID == "APIC":
            if frame.mime != "-->":  # a link
                pictures.append(_picture(frame.data, frame.mime, int(frame.type), frame.desc))
        else:
            pairs += _texts_of(frame)
    return pairs, pictures


def _read_mp4(tags: Any) -> tuple[list[tuple[str, Any]], list[Picture]]:
    pairs: list[tuple[str, Any]] = []
    pictures = []
    for atom, values in tags.items():
        if atom in _UNTRUE_ATOMS:
            continue
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
        else:
            values = values if isinstance(values, list) else [values]
            pairs.append((name or atom.removeprefix("\xa9").lower(), [v for v in values if isinstance(v, str | int)]))
    return pairs, pictures


def _read_vorbis(file: Any) -> tuple[list[tuple[str, Any]], list[Picture]]:
    comments = file.tags.as_dict() if file.tags is not None else {}  # a FLAC may have pictures alone
    blocks = comments.pop("metadata_block_picture", [])
    pictures = [Picture(base64.b64decode(block)) for block in blocks] + getattr(file, "pictures", [])
    return list(comments.items()), pictures


def _read_container(file: BinaryIO) -> Texts:
    """Return the tags that FFmpeg finds, in Matroska and others."""
    from .ffmpeg import open_container

    with open_container(file) as container:
        texts = _joined((name.lower(), [value]) for name, value in container.metadata.items())
    return {name: values for name, values in texts.items() if not _TECHNICAL.match(name)}


def _picture(data: bytes, mime: str, kind: int = 3, description: str = "") -> Picture:
    picture = Picture()
    picture.data, picture.mime, picture.type, picture.desc = data, mime, kind, description
    return picture


def _write(file: Any, texts: Texts, pictures: list[Picture]) -> list[str]:
    """Put texts and pictures into a file's tags; return the names of what they cannot hold."""
    if isinstance(file.tags, ID3):
        _write_id3(file.tags, texts, pictures)
        return []
    if isinstance(file, MP4):
        return _write_mp4(file.tags, texts, pictures)
    return _write_vorbis(file, texts, pictures)


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
        elif (kind := _TO_ID3.get(name, name.upper())) in Frames and issubclass(Frames[kind], TextFrame):
            tags.add(Frames[kind](encoding=3, text=values))
        else:
            tags.add(TXXX(encoding=3, desc=name.upper(), text=values))
    for i, picture in enumerate(pictures):
        description = picture.desc + " " * i  # ID3 wants them to differ
        tags.add(APIC(encoding=3, mime=picture.mime, type=picture.type, desc=description, data=picture.data))


def _write_mp4(tags: Any, texts: Texts, pictures: list[Picture]) -> list[str]:
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
    return [_picture_name(picture) for picture in pictures if picture.mime not in _COVERS]


def _write_vorbis(file: Any, texts: Texts, pictures: list[Picture]) -> list[str]:
    lost = []
    for name, values in texts.items():
        name = re.sub("[^ -<>-}]", "_", name)  # what such a name may consist of
        file.tags[name] = values
    blocks = [(picture, picture.write()) for picture in pictures]
    if isinstance(file, FLAC):
        lost = [_picture_name(picture) for picture, block in blocks if len(block) > _LARGEST_BLOCK]
        for picture, block in blocks:
            if len(block) <= _LARGEST_BLOCK:
                file.add_picture(picture)
    elif blocks:
        file.tags["metadata_block_picture"] = [base64.b64encode(block).decode("ascii") for _, block in blocks]
    return lost


def _picture_name(picture: Picture) -> str:
    """Return how a warning names a picture."""
    return f"a picture ({picture.mime}, {len(picture.data) / 1e6:.1f} MB)"


def _number(values: list[str]) -> int:
    match = re.match(r"\s*(\d+)", values[0]) if values else None
    return min(int(match[1]), 65535) if match else 0
