"""The store of insertions: one row a probe in a session."""

from __future__ import annotations

from lsdx.schema.spec import Schema, Variable, label, number

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
    "apRms_p10": ("ap_rms_p10", "V", "10th percentile of the AP band's RMS, in older records."),
    "apRms_p90": ("ap_rms_p90", "V", "90th percentile of the AP band's RMS, in older records."),
    "apRms_p10_raw": ("ap_rms_p10_raw", "V", "10th percentile of the raw AP band's RMS."),
    "apRms_p90_raw": ("ap_rms_p90_raw", "V", "90th percentile of the raw AP band's RMS."),
    "apRms_p10_proc": ("ap_rms_p10_proc", "V", "10th percentile of the destriped AP band's RMS."),
    "apRms_p90_proc": ("ap_rms_p90_proc", "V", "90th percentile of the destriped AP band's RMS."),
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
        label("session", "insertion", "Session id (eid)."),
        label("session_label", "insertion", "Subject, day and number of the session."),
        label("subject", "insertion", "Subject's name."),
        label("probe", "insertion", "Probe name."),
        label("model", "insertion", "Probe model."),
        label("serial", "insertion", "Probe serial number."),
        label("sorter", "insertion", "Spike sorter; blank: no sorting on disk."),
        label("sorter_revision", "insertion", "Revision of the spike times read."),
        label(
            "file_revisions",
            "insertion",
            "Files of the sorting that are of another revision; blank: none.",
        ),
        label("sorter_version", "insertion", "Version of the sorter, where recorded."),
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
        *(label(name, "insertion", doc) for name, doc in RECORD_OUTCOMES.items()),
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
        Variable("n_units", ("insertion",), "int64", "Units; -1: could not be read.", units="1"),
        Variable("n_spikes", ("insertion",), "int64", "Spikes; -1: could not be read.", units="1"),
        Variable(
            "n_spikes_before_start",
            ("insertion",),
            "int64",
            "Spikes before 0 s that were left out; -1: could not be read.",
            units="1",
        ),
        Variable(
            "n_spikes_reordered",
            ("insertion",),
            "int64",
            "Spikes that stood up to 1 ms out of order; -1: could not be read.",
            units="1",
        ),
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
