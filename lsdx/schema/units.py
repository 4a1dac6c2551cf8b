"""The store of units: one row a sorted cluster, its labels and quality numbers."""

from __future__ import annotations

from lsdx.schema.spec import Schema, integer, label, number, session_labels, session_rank, truth

QUALITY_NUMBERS = (
    number("amp_max", "unit", "V", "Largest spike amplitude."),
    number("amp_min", "unit", "V", "Smallest spike amplitude."),
    number("amp_median", "unit", "V", "Median spike amplitude."),
    number("amp_std_dB", "unit", "dB", "Spread of the amplitudes."),
    number("contamination", "unit", "1", "Estimated contamination."),
    number("contamination_alt", "unit", "1", "Estimated contamination, other method."),
    number("drift", "unit", "um", "Drift of the unit."),
    number("missed_spikes_est", "unit", "1", "Estimated share of missed spikes."),
    number("noise_cutoff", "unit", "1", "Noise cutoff; below 5 passes."),
    number("presence_ratio", "unit", "1", "Share of the recording in which the unit fires."),
    number("presence_ratio_std", "unit", "1", "Spread of the presence ratio."),
    number("slidingRP_viol", "unit", "1", "Sliding refractory period test; 1 passes."),
    number("slidingRP_viol_forced", "unit", "1", "The same test, of units with few spikes too."),
    number(
        "max_confidence", "unit", "percent", "Confidence of the sliding refractory period test."
    ),
    number("min_contamination", "unit", "percent", "Least contamination that test supports."),
    number("n_spikes_below2", "unit", "1", "Intervals below 2 ms."),
    number("firing_rate", "unit", "Hz", "Rate over the recording, as the metrics give it."),
    number("label", "unit", "1", "Share of IBL's three quality tests passed: 0, 1/3, 2/3, 1."),
    number("bitwise_fail", "unit", "1", "Which of IBL's tests failed, as bits."),
)

# the one place where quality filters have a name: label, and the value it must have
QUALITY = {
    "ks2_good": ("ks2_label", "good"),
    "ibl_pass": ("label", 1.0),
    "bombcell_good": ("bombcell", "GOOD"),
    "stable": ("stable", 1.0),  # of the store of quality
}

UNITS = Schema(
    name="units",
    version=3,
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
        *session_labels("unit"),
        label("insertion", "unit", "Insertion id (pid)."),
        label("subject", "unit", "Subject's name."),
        label("probe", "unit", "Probe name."),
        label("sorter", "unit", "Spike sorter."),
        integer("cluster_id", "unit", "The sorter's number of the cluster.", coord=True),
        label("region", "unit", "Allen acronym; blank: place not known."),
        *(
            label(name.lower(), "unit", f"Region in the {name} parcellation.")
            for name in ("Beryl", "Cosmos", "Swanson")
        ),
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
        truth(
            "has_duplicate_mask",
            "unit",
            "Whether bombcell's mask of duplicate spikes was read for its insertion.",
            coord=True,
        ),
        integer("spike_count", "unit", "Spikes in the recording, counted by lsdx."),
        *QUALITY_NUMBERS,
        label("condition", "unit", "What was given in the session.", cohort=True),
        *session_rank("unit", before="the session's"),
        label(
            "exclusion",
            "unit",
            "Why the lab excludes the unit, its insertion or its session; blank: not.",
            cohort=True,
        ),
    ),
)
