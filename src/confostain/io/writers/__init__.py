"""Writers of results: every format complete or absent."""
