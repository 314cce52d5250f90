"""The networks: their features, three families, and their masks."""
