"""What is in a song: its stems measured and drawn."""
