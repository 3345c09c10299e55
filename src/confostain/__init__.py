"""confostain: digital staining of confocal microscopy.

For Research Use Only. Not for use in diagnostic procedures.
"""

__version__ = "0.1.0"
