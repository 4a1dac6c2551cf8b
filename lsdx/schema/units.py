"""The store of units: one row a sorted cluster, its labels and quality numbers."""

from __future__ import annotations

from lsdx.schema.spec import Schema, Variable, label, number

QUALITY_UNITS = {
    "amp_max": ("V", "Largest spike amplitude."),
    "amp_min": ("V", "Smallest spike amplitude."),
    "amp_median": ("V", "Median spike amplitude."),
    "amp_std_dB": ("dB", "Spread of the amplitudes."),
    "contamination": ("1", "Estimated contamination."),
    "contamination_alt": ("1", "Estimated contamination, other method."),
    "drift": ("um", "Drift of the unit."),
    "missed_spikes_est": ("1", "Estimated share of missed spikes."),
    "noise_cutoff": ("1", "Noise cutoff; below 5 passes."),
    "presence_ratio": ("1", "Share of the recording in which the unit fires."),
    "presence_ratio_std": ("1", "Spread of the presence ratio."),
    "slidingRP_viol": ("1", "Sliding refractory period test; 1 passes."),
    "max_confidence": ("percent", "Confidence of the sliding refractory period test."),
    "min_contamination": ("percent", "Least contamination that test supports."),
    "n_spikes_below2": ("1", "Intervals below 2 ms."),
    "firing_rate": ("Hz", "Rate over the recording, as the metrics give it."),
    "label": ("1", "Share of IBL's three quality tests passed: 0, 1/3, 2/3, 1."),
    "bitwise_fail": ("1", "Which of IBL's tests failed, as bits."),
}

# the one place where quality filters have a name: label, and the value it must have
QUALITY = {
    "ks2_good": ("ks2_label", "good"),
    "ibl_pass": ("label", 1.0),
    "bombcell_good": ("bombcell", "GOOD"),
}

UNITS = Schema(
    name="units",
    version=2,
    doc="One row a unit (sorted cluster): identity, place in the brain, quality.",
    concat="unit",
    chunks={"unit": 131_072},
    variables=(
        label(
            "unit",
            "unit",
            "Unit id: the cluster's UUID; where the sorter gave none, uuid5 of insertion, "
            "sorter, revision and cluster.",
            unique=True,
        ),
        label("session", "unit", "Session id (eid)."),
        label("session_label", "unit", "Subject, day and number of the session."),
        label("insertion", "unit", "Insertion id (pid)."),
        label("subject", "unit", "Subject's name."),
        label("probe", "unit", "Probe name."),
        label("sorter", "unit", "Spike sorter."),
        Variable(
            "cluster_id",
            ("unit",),
            "int64",
            "The sorter's number of the cluster.",
            units="1",
            coord=True,
        ),
        label("region", "unit", "Allen acronym; blank: place not known."),
        label("beryl", "unit", "Region in the Beryl parcellation."),
        label("cosmos", "unit", "Region in the Cosmos parcellation."),
        label("swanson", "unit", "Region in the Swanson parcellation."),
        label("group", "unit", "Coarse group; none: the atlas places it in no division."),
        number("x", "unit", "m", "Right of bregma (ML).", coord=True),
        number("y", "unit", "m", "Anterior of bregma (AP).", coord=True),
        number("z", "unit", "m", "Above bregma (DV).", coord=True),
        number("depth", "unit", "um", "Distance from the probe's tip.", coord=True),
        label(
            "histology",
            "unit",
            "How the place is known; blank: it is not.",
            values=("", "alf", "resolved", "aligned", "traced"),
        ),
        label("ks2_label", "unit", "Kilosort's label; blank: none."),
        label("bombcell", "unit", "Bombcell's label; blank: none."),
        Variable(
            "has_duplicate_mask",
            ("unit",),
            "bool",
            "Whether bombcell's mask of duplicate spikes was read for its insertion.",
            coord=True,
        ),
        Variable(
            "spike_count",
            ("unit",),
            "int64",
            "Spikes in the recording, counted by lsdx.",
            units="1",
        ),
        *(number(name, "unit", units, doc) for name, (units, doc) in QUALITY_UNITS.items()),
        label("condition", "unit", "What was given in the session.", cohort=True),
        Variable(
            "session_n",
            ("unit",),
            "int64",
            "Rank of the session among all of its subject, from 1.",
            units="1",
            coord=True,
            cohort=True,
        ),
        Variable("cohort_year", ("unit",), "int64", "Year.", units="1", coord=True, cohort=True),
        number(
            "days_since_lsd",
            "unit",
            "d",
            "Days since the subject's last drug day before the session's; NaN if none.",
            coord=True,
            cohort=True,
        ),
        label(
            "exclusion",
            "unit",
            "Why the lab excludes the unit, its insertion or its session; blank: not.",
            cohort=True,
        ),
    ),
)
