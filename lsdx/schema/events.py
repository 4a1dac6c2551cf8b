"""The store of events: gabors and stimuli, one row each."""

from __future__ import annotations

from lsdx.schema.spec import Schema, label, number

EVENTS = Schema(
    name="events",
    version=1,
    doc="One row a stimulus of the replay: gabor patches, valve, tone, noise.",
    concat="event",
    chunks={"event": 131_072},
    variables=(
        label("session", "event", "Session id (eid)."),
        label("phase", "event", "Passive run."),
        label("kind", "event", "Stimulus.", values=("gabor", "valve", "tone", "noise")),
        label("side", "event", "Side of a gabor.", values=("", "left", "right")),
        number("start", "event", "s", "Onset; NaN where the extractor left it blank."),
        number("stop", "event", "s", "Offset."),
        number("position", "event", "degrees", "Azimuth of a gabor; positive is left."),
        number("contrast", "event", "1", "Contrast of a gabor, 0 to 1."),
        number("gabor_phase", "event", "rad", "Spatial phase of a gabor."),
    ),
)
