"""Spike counts in bins of 100 ms.

For another width, or without the spikes that bombcell calls duplicates, copy this file (as
counts_10ms.py, say), change ``bin_width`` or ``duplicates``, and build: both are then published
side by side.
"""

from lsdx.assemble.counts import assemble_counts
from lsdx.builders.recipe import Recipe

recipe = Recipe(
    store="counts",
    assemble=assemble_counts,
    inputs=("record", "ephys", "task"),
    needs=("units", "spikes", "epochs", "insertions"),
    parameters={"bin_width": "100 ms", "duplicates": "keep"},
    revision=2,
)
