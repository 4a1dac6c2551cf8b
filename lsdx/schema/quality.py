"""The store of quality: bombcell's measures of each unit, and how steady it stayed."""

from __future__ import annotations

from lsdx.schema.spec import Schema, Variable, label, number

_PHASE = ("unit", "phase")

#: Bombcell's measures under its own names: units, and what each is.
BOMBCELL_MEASURES: dict[str, tuple[str, str]] = {
    "nSpikes": ("1", "Spikes of the unit that bombcell kept."),
    "nPeaks": ("1", "Peaks of the template."),
    "nTroughs": ("1", "Troughs of the template."),
    "waveformDuration_peakTrough": ("us", "Time from the template's trough to its peak."),
    "spatialDecaySlope": ("1", "How fast the template gets smaller with distance along the probe."),
    "waveformBaselineFlatness": ("1", "Largest baseline of the template over its largest value."),
    "scndPeakToTroughRatio": ("1", "Second peak over main trough."),
    "mainPeakToTroughRatio": ("1", "Main peak over main trough."),
    "peak1ToPeak2Ratio": ("1", "First peak over second peak."),
    "troughToPeak2Ratio": ("1", "Main trough over second peak."),
    "mainPeak_before_width": ("1", "Width of the peak before the trough, in samples."),
    "mainTrough_width": ("1", "Width of the main trough, in samples."),
    "percentageSpikesMissing_gaussian": (
        "percent",
        "Spikes below the detection threshold, by a Gaussian fitted to the amplitudes.",
    ),
    "percentageSpikesMissing_symmetric": (
        "percent",
        "Spikes below the detection threshold, if the amplitudes are symmetric.",
    ),
    "RPV_window_index": ("1", "Which of the refractory periods tried was taken."),
    "fractionRPVs_estimatedTauR": (
        "1",
        "Share of contaminating spikes, from violations of the refractory period.",
    ),
    "estimatedTauR": ("s", "Refractory period that was taken."),
    "RPV_status": ("1", "Outcome of the test of the refractory period, as bombcell codes it."),
    "presenceRatio": ("1", "Share of bombcell's time bins in which the unit fires."),
    "maxDriftEstimate": ("um", "Largest drift of the unit."),
    "cumDriftEstimate": ("um", "Drift of the unit, summed."),
    "rawAmplitude": ("uV", "Amplitude of the mean raw waveform."),
    "signalToNoiseRatio": ("1", "Signal to noise ratio of the raw waveforms."),
    "isolationDistance": ("1", "Isolation distance of the cluster."),
    "Lratio": ("1", "L-ratio of the cluster."),
    "silhouetteScore": ("1", "Silhouette score of the cluster."),
    "useTheseTimesStart": ("s", "Start of the time that bombcell used."),
    "useTheseTimesStop": ("s", "Stop of the time that bombcell used."),
    "maxChannels": ("1", "Channel of the template's largest amplitude, as bombcell counts."),
}


def _of_phase(name: str, units: str, doc: str) -> Variable:
    return Variable(name, _PHASE, "float64", doc, units=units)


QUALITY_STORE = Schema(
    name="quality",
    version=2,
    doc="Quality of each unit: bombcell's measures, and how steady it stayed; NaN where not known.",
    concat="unit",
    chunks={"unit": 131_072},
    variables=(
        label("unit", "unit", "Unit id.", unique=True),
        label("phase", "phase", "Passive run, relative to the injection.", unique=True),
        number("channel", "unit", "1", "Channel on which the unit is largest, from 0."),
        number("axial_um", "unit", "um", "Place of that channel along the probe, from the tip."),
        number("lateral_um", "unit", "um", "Place of that channel across the probe."),
        label("bombcell_version", "unit", "Version of bombcell that saw the unit; blank: unknown."),
        label(
            "bombcell_parameters",
            "unit",
            "First 16 digits of the SHA-256 of bombcell's parameters; blank: unknown.",
        ),
        *(number(name, "unit", *told) for name, told in BOMBCELL_MEASURES.items()),
        number(
            "amplitude_cutoff",
            "unit",
            "1",
            "Share of the unit's spikes missed below the detection threshold, 0 to 0.5.",
        ),
        _of_phase("amplitude", "V", "Median amplitude of the spikes of the phase."),
        _of_phase("spike_depth", "um", "Median depth of the spikes of the phase, from the tip."),
        _of_phase("presence", "1", "Share of 10-s bins of the observed epochs that have a spike."),
        number("stable", "unit", "1", "Whether the unit stayed the same: 1 yes, 0 no."),
    ),
)
