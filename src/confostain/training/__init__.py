"""Training: recipes, one training loop for despecklers and stainers, validation, release of trained models."""
