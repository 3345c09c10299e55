"""The workshop: trains the networks."""
