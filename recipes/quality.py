"""Quality of each unit: bombcell's measures, amplitudes and depths, and whether it was stable.

A unit is stable if it fires in 90 % of the 10-s bins of every phase and, where they are known, its
median amplitudes differ by half an octave at most and its median depths by 20 um.
"""

from lsdx.assemble.quality import assemble_quality
from lsdx.builders.recipe import Recipe

recipe = Recipe(
    store="quality",
    assemble=assemble_quality,
    inputs=("record", "ephys", "task", "quality"),
    needs=("units", "spikes", "epochs", "insertions"),
    parameters={"least_presence": 0.9, "most_octaves": 0.5, "most_um": 20.0},
)
