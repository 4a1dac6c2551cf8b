"""The store of epochs: when each epoch of each session was, and how that is known."""

from __future__ import annotations

from lsdx.schema.spec import Schema, Variable, label, number, session_labels

PROVENANCE = (
    "alf",
    "alf_cut",
    "gabor",
    "replay_start+300",
    "rig_clock",
    "table",
    "missing",
)
ADMINISTRATION_PROVENANCE = ("filler_start", "table", "missing")
_ALL = ("session", "phase", "epoch")

EPOCHS = Schema(
    name="epochs",
    version=2,
    doc="One row a session: start and stop of each epoch on the spike clock, with provenance.",
    concat="session",
    variables=(
        *session_labels("session", unique=True),
        label("phase", "phase", "Passive run, relative to the injection.", unique=True),
        label("epoch", "epoch", "Epoch of a run.", unique=True),
        Variable("start", _ALL, "float64", "Start; NaN where not known.", units="s"),
        Variable("stop", _ALL, "float64", "Stop; NaN where not known.", units="s"),
        Variable("provenance", _ALL, "str", "How the times are known.", values=PROVENANCE),
        Variable(
            "uncertainty",
            _ALL,
            "float64",
            "95 % of such times lie this near the truth; 0 on the spike clock, "
            "NaN where it is not known.",
            units="s",
            cohort=True,
        ),
        Variable(
            "flags",
            _ALL,
            "str",
            "Checks that the epoch fails, blank-separated; blank: none.",
        ),
        number(
            "administration",
            "session",
            "s",
            "Injection; with provenance filler_start an upper bound.",
        ),
        Variable(
            "administration_provenance",
            ("session",),
            "str",
            "How the injection's time is known.",
            values=ADMINISTRATION_PROVENANCE,
        ),
        Variable(
            "administration_flags", ("session",), "str", "Checks that the injection's time fails."
        ),
        Variable("session_flags", ("session",), "str", "Checks that the session's runs fail."),
        Variable(
            "rig_residual",
            ("session", "epoch"),
            "float64",
            "Start of the epoch's second run as the rig clocks predict it from the first, "
            "minus its true start; NaN where one is not known or an interval was cut.",
            units="s",
        ),
    ),
)
