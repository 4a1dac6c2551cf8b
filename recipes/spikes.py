"""Spike times, sorted by unit, then time; one store a session."""

from lsdx.assemble.spikes import assemble_spikes
from lsdx.builders.recipe import Recipe

recipe = Recipe(
    store="spikes",
    assemble=assemble_spikes,
    inputs=("ephys",),
    needs=("units",),
    revision=1,
)
