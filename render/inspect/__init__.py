"""Inspection of a song: its stems are measured and drawn."""
