"""MIDI maps: how a controller's messages move the faders, and how to learn a map from messages."""
