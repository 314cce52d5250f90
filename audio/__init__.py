"""Audio files as streams of blocks: decode, encode, tags."""

from ..core.errors import AudioError
from .decode import open_audio, read_audio
from .encode import create_audio, create_video
from .reader import AudioReader
from .tags import copy_tags, read_tags
from .writer import AudioWriter

__all__ = [
    "AudioError",
    "AudioReader",
    "AudioWriter",
    "copy_tags",
    "create_audio",
    "create_video",
    "open_audio",
    "read_audio",
    "read_tags",
]
