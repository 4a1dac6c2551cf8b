"""When each epoch of each session was, and how that is known."""

from lsdx.assemble.epochs import assemble_epochs
from lsdx.builders.recipe import Recipe

recipe = Recipe(
    store="epochs",
    assemble=assemble_epochs,
    inputs=("task", "ephys"),
    revision=2,
)
