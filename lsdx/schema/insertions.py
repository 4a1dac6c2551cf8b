"""The store of insertions: one row a probe in a session."""

from __future__ import annotations

from lsdx.schema.spec import Schema, Variable, integer, label, labels, number, session_labels, truth

# numbers of the insertion record's json: name there -> name, units and meaning here
RECORD_NUMBERS = {
    "n_units": ("recorded_units", "1", "Units, as the record states them."),
    "n_units_qc_pass": ("recorded_units_qc_pass", "1", "Units that pass IBL's tests, as stated."),
    "drift_rms_um": ("drift_rms", "um", "RMS of the probe's drift."),
    "firing_rate_max": ("firing_rate_max", "Hz", "Highest rate of a unit."),
    "firing_rate_median": ("firing_rate_median", "Hz", "Median rate of the units."),
    "amplitude_max_uV": ("amplitude_max", "uV", "Highest amplitude of a unit."),
    "amplitude_median_uV": ("amplitude_median", "uV", "Median amplitude of the units."),
    "whitening_matrix_conditioning": (
        "whitening_matrix_conditioning",
        "1",
        "Condition number of the sorter's whitening matrix.",
    ),
}
# the same of its json.extended_qc
RECORD_CHECKS = {
    "alignment_qc": ("alignment_qc", "1", "Similarity of the alignments."),
    "alignment_count": ("alignment_count", "1", "Alignments made."),
    **{
        f"apRms_p{p}{key}": (f"ap_rms_p{p}{key}", "V", f"{p}th percentile of the {what}.")
        for key, what in (
            ("", "AP band's RMS, in older records"),
            ("_raw", "raw AP band's RMS"),
            ("_proc", "destriped AP band's RMS"),
        )
        for p in (10, 90)
    },
}
# its text, as recorded: the keys are the names here
RECORD_OUTCOMES = {
    "tracing": "Outcome for the tracing; blank: none.",
    "experimenter": "Outcome that the experimenter gave; blank: none.",
    "experimenter_raw_destripe": "The same for the destriped raw data; blank: none.",
    "alignment_stored": "Key of the stored alignment (when and by whom); blank: none.",
    "alignment_resolved_by": "How the alignment was resolved; blank: not stated.",
}
STAGES = ("unknown", "no-stacks", "no-tracing", "traced", "aligned", "resolved")

INSERTIONS = Schema(
    name="insertions",
    version=3,
    doc="One row a probe insertion: hardware, sorting, unit numbers, histology.",
    concat="insertion",
    variables=(
        label("insertion", "insertion", "Insertion id (pid).", unique=True),
        *session_labels("insertion"),
        *labels(
            "insertion",
            {
                "subject": "Subject's name.",
                "probe": "Probe name.",
                "model": "Probe model.",
                "serial": "Probe serial number.",
                "sorter": "Spike sorter; blank: no sorting on disk.",
                "sorter_revision": "Revision of the spike times read.",
                "file_revisions": "Files of the sorting that are of another revision; blank: none.",
                "sorter_version": "Version of the sorter, where recorded.",
            },
        ),
        label(
            "histology_stage",
            "insertion",
            "Highest histology stage reached; unknown: no picks, and whether there are image "
            "stacks is not known.",
            values=STAGES,
        ),
        label(
            "hemisphere",
            "insertion",
            "Side of the traced track: that of the mean of its picks; both: each side has more "
            "than 30 % of them; blank: not traced.",
            values=("", "left", "right", "both"),
        ),
        label("qc", "insertion", "Quality control of the insertion record; blank: none."),
        *labels("insertion", RECORD_OUTCOMES),
        label(
            "tracing_exists",
            "insertion",
            "Whether the record says that the track is traced.",
            values=("true", "false", "unknown"),
        ),
        *(
            number(name, "insertion", units, doc)
            for name, units, doc in (*RECORD_NUMBERS.values(), *RECORD_CHECKS.values())
        ),
        *(
            integer(name, "insertion", f"{what}; -1: could not be read.")
            for name, what in {
                "n_units": "Units",
                "n_spikes": "Spikes",
                "n_spikes_before_start": "Spikes before 0 s that were left out",
                "n_spikes_reordered": "Spikes that stood up to 1 ms out of order",
            }.items()
        ),
        number("first_spike", "insertion", "s", "Time of the first spike."),
        number("last_spike", "insertion", "s", "Time of the last spike."),
        truth(
            "has_duplicate_mask",
            "insertion",
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
