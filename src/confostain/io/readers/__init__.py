"""Readers of scans and H&E slides: which image, channels, pixel size, lazily read pixels."""
