"""The networks: what they see, three families, and the masks that they give."""
