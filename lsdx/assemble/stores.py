"""All stores, in the order in which they are made: each needs only what stands before it."""

from __future__ import annotations

from lsdx.assemble import (
    behavior,
    counts,
    epochs,
    events,
    insertions,
    pose,
    quality,
    sessions,
    spikes,
    units,
)
from lsdx.assemble.stored import Stored

STORED: dict[str, Stored] = {
    module.STORED.store: module.STORED
    for module in (
        sessions,
        epochs,
        insertions,
        events,
        units,
        spikes,
        quality,
        counts,
        pose,
        behavior,
    )
}
