"""One row a session: who, when, and which of its datasets exist."""

from lsdx.assemble.sessions import assemble_sessions
from lsdx.builders.recipe import Recipe

recipe = Recipe(
    store="sessions",
    assemble=assemble_sessions,
    inputs=("record", "ephys", "task"),
    revision=3,
)
