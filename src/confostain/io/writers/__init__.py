"""Writers of stained slides in each format; a result is complete or absent."""
