"""The phantom: skin-like tissue with known truth, painted lazily at any size. Demo, tests and benchmarks live on it."""

from confostain.simulation.phantom.cells import Cell, Nuclei
from confostain.simulation.phantom.phantom import BLOCK, Phantom

__all__ = ["BLOCK", "Cell", "Nuclei", "Phantom"]
