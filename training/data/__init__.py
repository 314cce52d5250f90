"""From folders of songs to mixes to learn from."""
