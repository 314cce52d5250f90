"""Names of texts in Vorbis comments, ID3 and MP4, and tags that are wrong for new sound."""

import re
from typing import Any

FREEFORM = "----:com.apple.iTunes:"
# Vorbis comment, ID3 frame, MP4 atom.
_NAMES = (
    ("title", "TIT2", "\xa9nam"),
    ("subtitle", "TIT3", f"{FREEFORM}SUBTITLE"),
    ("artist", "TPE1", "\xa9ART"),
    ("albumartist", "TPE2", "aART"),
    ("album", "TALB", "\xa9alb"),
    ("date", "TDRC", "\xa9day"),
    ("originaldate", "TDOR", f"{FREEFORM}ORIGINALDATE"),
    ("genre", "TCON", "\xa9gen"),
    ("composer", "TCOM", "\xa9wrt"),
    ("lyricist", "TEXT", f"{FREEFORM}LYRICIST"),
    ("conductor", "TPE3", f"{FREEFORM}CONDUCTOR"),
    ("remixer", "TPE4", f"{FREEFORM}REMIXER"),
    ("copyright", "TCOP", "cprt"),
    ("organization", "TPUB", f"{FREEFORM}LABEL"),
    ("isrc", "TSRC", f"{FREEFORM}ISRC"),
    ("grouping", "TIT1", "\xa9grp"),
    ("bpm", "TBPM", "tmpo"),
    ("initialkey", "TKEY", f"{FREEFORM}initialkey"),
    ("language", "TLAN", f"{FREEFORM}LANGUAGE"),
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
    ("mood", "TMOO", f"{FREEFORM}MOOD"),
    ("media", "TMED", f"{FREEFORM}MEDIA"),
    ("discsubtitle", "TSST", f"{FREEFORM}DISCSUBTITLE"),
    ("originalartist", "TOPE", f"{FREEFORM}ORIGINALARTIST"),
    ("releasedate", "TDRL", f"{FREEFORM}RELEASEDATE"),
)
TO_ID3 = {name: frame for name, frame, _ in _NAMES}
FROM_ID3 = {frame: name for name, frame, _ in _NAMES}
TO_MP4 = {name: atom for name, _, atom in _NAMES}
FROM_MP4 = {atom.lower(): name for name, _, atom in _NAMES}
TOTALS = {"tracknumber": "tracktotal", "discnumber": "disctotal"}  # "3/12" in ID3, a pair in MP4
ALIASES = {
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
UNTRUE = re.compile(
    r"replaygain_|r128_|itun(smpb|norm|pgap|es_cddb)|mp3gain_|acoustid_fingerprint|accurate_?rip"
    r"|(encoder|encoding|encoded[-_ ]?by|encoder[-_ ]?(settings|options)|tool|length|duration|bitrate)$",
    re.IGNORECASE,
)
_UNTRUE_FRAMES = {"RVA2", "RVAD", "RVRB", "EQU2", "EQUA", "TLEN", "TSIZ", "TFLT", "TSSE", "TENC", "TDEN", "TDTG"}
_UNTRUE_FRAMES |= {"TDLY", "MLLT", "ASPI", "SEEK", "RBUF"}
UNTRUE_ATOMS = {"\xa9too", "\xa9enc", "pgap"}


def is_untrue(frame: Any) -> bool:
    """Return whether an ID3 frame is wrong for new sound."""
    return frame.FrameID in _UNTRUE_FRAMES or (frame.FrameID in ("TXXX", "COMM") and bool(UNTRUE.match(frame.desc)))
