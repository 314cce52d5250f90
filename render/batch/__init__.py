"""Many songs: find them, plan the work, render with many processes, and keep a journal."""
