"""Between a host and Python: the native shell, the bundles it lives in, and the process that makes the sound."""
