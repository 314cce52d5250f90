"""Reports of a batch: JSON, CSV and a page to look at."""
