"""Synthetic data with known truth: confocal pairs from H&E, speckle, a phantom slide."""
