"""Image processing, arrays to arrays: intensity, tissue masks, stains, nuclei, speckle. No files, no networks."""
