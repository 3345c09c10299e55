"""The wash bench: arrays to arrays. Knows no files and no network."""
