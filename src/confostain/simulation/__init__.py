"""Simulation of data with known truth: confocal pairs from H&E, speckle noise, phantom slides."""
