"""Recordings of an open field: read tracked points, and measure how far and where an animal went.

Files of SLEAP, DeepLabCut and Lightning Pose are read by movement (``pip install
'lsdx[movement]'``). Measuring needs no more than lsdx.
"""

from lsdx.open_field.measuring import LIKELIHOOD, measures
from lsdx.open_field.reading import open_recordings, read

__all__ = ["LIKELIHOOD", "measures", "open_recordings", "read"]
