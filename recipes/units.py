"""One row a unit: identity, place in the brain, quality."""

from lsdx.assemble.units import assemble_units
from lsdx.builders.recipe import Recipe

recipe = Recipe(
    store="units",
    assemble=assemble_units,
    inputs=("ephys",),
    revision=2,
)
