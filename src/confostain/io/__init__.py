"""Input and output of image files. No normalisation, no networks."""
