"""Image files: readers of scans and H&E, writers of results. Stored pixel values, no intensity scaling."""
