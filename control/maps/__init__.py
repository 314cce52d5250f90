"""MIDI maps: what a controller's messages mean, and how a map is learned from them."""
