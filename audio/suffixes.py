"""The files in a folder that are songs."""

# In lower case. A file that a user names is tried whatever its suffix is.
AUDIO_SUFFIXES = frozenset([
    ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".bwf", ".caf", ".dff", ".dsf", ".dts", ".eac3",
    ".flac", ".m4a", ".m4b", ".mka", ".mp2", ".mp3", ".mpc", ".mpga", ".oga", ".ogg", ".opus", ".rf64", ".shn", ".snd",
    ".spx", ".tak", ".tta", ".voc", ".w64", ".wav", ".wave", ".weba", ".wma", ".wv",
])  # fmt: skip
