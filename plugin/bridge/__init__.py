"""Between a host and Python: the native shell, its bundles, and the process that makes the sound."""
