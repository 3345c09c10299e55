"""Blinded reader study: readers judge image fields without knowing where these come from."""
