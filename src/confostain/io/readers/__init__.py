"""Readers: files of scans and of H&E, to lazily read planes."""
