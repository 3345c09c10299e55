"""The loading dock: pixels in, pixels out. Knows no normalisation and no network."""
