"""Training data: preparation of slides, batches of patches and pairs."""
