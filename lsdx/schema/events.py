"""The store of events: gabors and stimuli, one row each."""

from __future__ import annotations

from lsdx.schema.spec import Schema, label, number, session_labels

EVENTS = Schema(
    name="events",
    version=2,
    doc="One row an event: gabor patches, valve, tone, noise of the replay; the lab's own.",
    concat="event",
    chunks={"event": 131_072},
    variables=(
        *session_labels("event"),
        label("phase", "event", "Passive run."),
        label("kind", "event", "Kind: gabor, valve, tone, noise, or one of the lab's own."),
        label(
            "provenance",
            "event",
            "How the times are known: alf, the session's files; table, the lab's table of events.",
            values=("alf", "table"),
        ),
        label("side", "event", "Side of a gabor.", values=("", "left", "right")),
        number("start", "event", "s", "Onset; NaN where the extractor left it blank."),
        number("stop", "event", "s", "Offset."),
        number("position", "event", "degrees", "Azimuth of a gabor; positive is left."),
        number("contrast", "event", "1", "Contrast of a gabor, 0 to 1."),
        number("gabor_phase", "event", "rad", "Spatial phase of a gabor."),
        label(
            "other",
            "event",
            "Other columns of the lab's table, as JSON, which open_events turns into labels; "
            "blank: none.",
        ),
    ),
)
