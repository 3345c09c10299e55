"""Adaptation of shipped models to one's own scanner, without truth."""
