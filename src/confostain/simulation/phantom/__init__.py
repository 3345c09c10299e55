"""Phantom: synthetic skin slide with known ground truth, generated region by region at any size."""

from confostain.simulation.phantom.cells import Cell, Nuclei
from confostain.simulation.phantom.phantom import BLOCK, Phantom

__all__ = ["BLOCK", "Cell", "Nuclei", "Phantom"]
