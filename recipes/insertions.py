"""One row a probe insertion: hardware, sorting, unit numbers."""

from lsdx.assemble.insertions import assemble_insertions
from lsdx.builders.recipe import Recipe

recipe = Recipe(
    store="insertions",
    assemble=assemble_insertions,
    inputs=("record", "ephys", "task"),
    needs=("epochs",),
    revision=3,
)
