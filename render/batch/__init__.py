"""Many songs: found, planned, rendered by many processes, and journalled."""
