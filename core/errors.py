"""The errors that StemBridge raises if it cannot use something that a user gave."""


class StemBridgeError(ValueError):
    """The base of StemBridge's errors. Its text is one line that names the thing, the value and a remedy."""


class AudioError(StemBridgeError):
    """A file cannot be read or written as audio."""


class ModelError(StemBridgeError):
    """A model cannot be used."""


class PresetError(StemBridgeError):
    """A preset cannot be used."""


class ControlError(StemBridgeError):
    """An automation, a MIDI map or a MIDI port cannot be used."""


class LiveError(StemBridgeError):
    """Live audio cannot be started, or has failed."""


class DataError(StemBridgeError):
    """Training material cannot be used."""


class BridgeError(StemBridgeError):
    """A VST3 bundle cannot be made, installed or used."""
