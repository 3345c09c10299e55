"""Trained models: cards, registry, network construction, weights, engines."""
