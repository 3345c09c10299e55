"""Evaluation of despecklers and stainers: metrics, comparisons, reports."""
