"""Training data: patch extraction from slides, manifests, batches of patches and simulated pairs."""
