"""The store of counts: spikes of each unit in the time bins of each epoch."""

from __future__ import annotations

from lsdx.schema.spec import Schema, Variable, label

_EPOCH = ("unit", "phase", "epoch")

COUNTS = Schema(
    name="counts",
    version=1,
    doc="Spike counts of each unit in equal bins of each epoch; NaN where not observed.",
    concat="unit",
    chunks={"unit": 256, "phase": 1, "epoch": 1},
    variables=(
        label("unit", "unit", "Unit id.", unique=True, whole=True),
        label("phase", "phase", "Passive run, relative to the injection.", unique=True, whole=True),
        label("epoch", "epoch", "Epoch of a run.", unique=True, whole=True),
        Variable(
            "time",
            ("time",),
            "float64",
            "Centre of the bin, from the epoch's start.",
            units="s",
            coord=True,
        ),
        Variable(
            "counts",
            (*_EPOCH, "time"),
            "counts",
            "Spikes in [start, stop) of the bin; NaN outside the epoch or not observed.",
            units="1",
        ),
        Variable(
            "n_spikes",
            _EPOCH,
            "float64",
            "Spikes in the binned time; NaN where the epoch was not observed.",
            units="1",
            whole=True,
        ),
        Variable(
            "duration",
            _EPOCH,
            "float64",
            "Binned time: whole bins only; NaN where the epoch was not observed.",
            units="s",
            whole=True,
        ),
    ),
)
