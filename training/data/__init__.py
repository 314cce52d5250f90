"""Training data: folders of songs, a teacher's labels, and random mixes."""
