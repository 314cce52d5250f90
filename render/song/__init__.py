"""One song: read a file, write its remix or its stems."""
