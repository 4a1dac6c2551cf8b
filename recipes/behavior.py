"""Behaviour in bins of 100 ms: pupil, paws, motion energy, wheel.

For another width copy this file (as behavior_20ms.py, say), change ``bin_width``, and build: both
are then published side by side.
"""

from lsdx.assemble.behavior import assemble_behavior
from lsdx.builders.recipe import Recipe

recipe = Recipe(
    store="behavior",
    assemble=assemble_behavior,
    inputs=("behavior", "task", "ephys"),
    needs=("epochs",),
    parameters={"bin_width": "100 ms"},
)
