"""What each store is: one declaration a noun, one validator."""

from __future__ import annotations

from lsdx.schema.behavior import BEHAVIOR
from lsdx.schema.counts import COUNTS
from lsdx.schema.epochs import EPOCHS
from lsdx.schema.events import EVENTS
from lsdx.schema.insertions import INSERTIONS
from lsdx.schema.pose import POSE
from lsdx.schema.quality import QUALITY_STORE
from lsdx.schema.sessions import SESSIONS
from lsdx.schema.spec import Schema, Variable, validate
from lsdx.schema.spikes import SPIKES
from lsdx.schema.units import UNITS

SCHEMAS: dict[str, Schema] = {
    s.name: s
    for s in (
        SESSIONS,
        INSERTIONS,
        EPOCHS,
        EVENTS,
        UNITS,
        QUALITY_STORE,
        COUNTS,
        SPIKES,
        POSE,
        BEHAVIOR,
    )
}

__all__ = ["SCHEMAS", "Schema", "Variable", "validate"]
