"""Gabors and stimuli of the replay, one a row."""

from lsdx.assemble.events import assemble_events
from lsdx.builders.recipe import Recipe

recipe = Recipe(
    store="events",
    assemble=assemble_events,
    inputs=("task",),
    revision=2,
)
