"""One song: a file in, its remix or its stems out."""
