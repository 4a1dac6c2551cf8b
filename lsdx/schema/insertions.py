"""The store of insertions: one row a probe in a session."""

from __future__ import annotations

from lsdx.schema.spec import Schema, Variable, label, number

INSERTIONS = Schema(
    name="insertions",
    version=1,
    doc="One row a probe insertion: hardware, sorting, unit numbers, histology.",
    concat="insertion",
    variables=(
        label("insertion", "insertion", "Insertion id (pid).", unique=True),
        label("session", "insertion", "Session id (eid)."),
        label("subject", "insertion", "Subject's name."),
        label("probe", "insertion", "Probe name."),
        label("model", "insertion", "Probe model."),
        label("serial", "insertion", "Probe serial number."),
        label("sorter", "insertion", "Spike sorter; blank: no sorting on disk."),
        label("sorter_revision", "insertion", "Revision of the sorting read."),
        label("sorter_version", "insertion", "Version of the sorter, where recorded."),
        label(
            "histology_stage",
            "insertion",
            "Highest histology stage that the insertion record states.",
            values=("", "traced", "aligned", "resolved"),
        ),
        Variable("n_units", ("insertion",), "int64", "Units; -1: could not be read.", units="1"),
        Variable("n_spikes", ("insertion",), "int64", "Spikes; -1: could not be read.", units="1"),
        number("first_spike", "insertion", "s", "Time of the first spike."),
        number("last_spike", "insertion", "s", "Time of the last spike."),
        Variable(
            "has_duplicate_mask",
            ("insertion",),
            "bool",
            "Whether bombcell's mask of duplicate spikes was read.",
        ),
        label("phase", "phase", "Passive run, relative to the injection."),
        label("epoch", "epoch", "Epoch of a run."),
        Variable(
            "observed",
            ("insertion", "phase", "epoch"),
            "bool",
            "Whether the probe observed the epoch: times known, checks passed, recording long "
            "enough.",
        ),
        label("exclusion", "insertion", "Why the lab excludes it; blank: not.", cohort=True),
    ),
)
