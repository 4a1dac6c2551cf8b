"""The store of behavior: features of the animal in the bins that spikes are counted in."""

from __future__ import annotations

from dataclasses import dataclass

from lsdx.schema.spec import Schema, Variable, label

#: How the frames of a camera came by their times.
CLOCKS = ("times", "trimmed", "no times", "untestable", "")
#: Width of the image of each camera of the rig, in px; another camera's is not known.
FRAME_WIDTHS = {"left": 1280.0, "right": 640.0, "body": 640.0}


@dataclass(frozen=True)
class Feature:
    """One measure of a camera or the wheel: its unit, and how it is worked out."""

    units: str
    doc: str


_SPEED = "speed of {}, from the time stamps; NaN beside gaps of more than three frames"
FEATURES: dict[str, Feature] = {
    "pupil_diameter": Feature(
        "px",
        "median of the two distances of opposite points and of the four of neighbours times the "
        "square root of 2; at least three of the four points",
    ),
    "pupil_diameter_percent": Feature(
        "%", "pupil_diameter as a share of its 2nd percentile in the epochs of the first phase"
    ),
    "nose_speed": Feature("px/s", _SPEED.format("nose_tip")),
    "paw_near_speed": Feature(
        "px/s", _SPEED.format("paw_r, on either side camera the paw nearer to it")
    ),
    "paw_far_speed": Feature("px/s", _SPEED.format("paw_l, the paw farther from the camera")),
    "tongue": Feature(
        "1",
        "share of frames in which an end of the tongue is likely; only where the tracker has a "
        "threshold",
    ),
    "tail_speed": Feature("px/s", _SPEED.format("tail_start")),
    "motion_energy": Feature("1", "mean absolute difference of grey levels in the ROI, as read"),
    "speed": Feature("rad/s", "of the wheel: path turned in the bin, by the bin's width"),
}
#: The measures of a camera in the order in which they stand along ``feature``.
CAMERA_FEATURES = tuple(n for n in FEATURES if n != "speed")
WHEEL = "wheel/speed"

_BINS = ("session", "feature", "phase", "epoch", "time")
_CAMERA = ("session", "camera")


def _of_camera(name: str, units: str, doc: str) -> Variable:
    return Variable(name, _CAMERA, "float64", doc, units=units, whole=True)


def _told(name: str, doc: str, values: tuple[str, ...] = ()) -> Variable:
    return Variable(name, _CAMERA, "str", doc, values=values, whole=True)


BEHAVIOR = Schema(
    name="behavior",
    version=1,
    doc="Behaviour of each session in equal bins of each epoch; NaN where not observed.",
    concat="session",
    chunks={"session": 8, "phase": 1, "epoch": 1},
    variables=(
        label("session", "session", "Session id (eid).", unique=True),
        label("feature", "feature", "Camera and measure, as camera/measure.", unique=True),
        label("phase", "phase", "Passive run, relative to the injection.", unique=True, whole=True),
        label("epoch", "epoch", "Epoch of a run.", unique=True, whole=True),
        label("camera", "camera", "Camera.", unique=True),
        Variable(
            "time",
            ("time",),
            "float64",
            "Centre of the bin, from the epoch's start.",
            units="s",
            coord=True,
            whole=True,
        ),
        Variable(
            "behavior",
            _BINS,
            "float32",
            "Mean of the likely samples in [start, stop) of the bin, in the unit of the feature; "
            "NaN where there are none.",
        ),
        Variable(
            "share",
            _BINS,
            "float32",
            "Likely samples of the frames due in the bin, at most 1; NaN outside the epoch and "
            "where the frames have no times.",
            units="1",
        ),
        _told("tracker", "Tracker of the pose that is read; blank: no pose."),
        _told("tracker_version", "Its version, as the record has it."),
        _told("pose_revision", "Revision of the pose file; blank: the first."),
        _told("clock", "How the frames came by their times; blank: no camera.", CLOCKS),
        _of_camera("n_frames", "1", "Rows of the pose, or of the motion energy; NaN: no camera."),
        _of_camera("n_times", "1", "Times of frames."),
        _of_camera("n_trimmed", "1", "Times left out, since there are more than frames."),
        _of_camera("n_repeated", "1", "Times that go back or repeat."),
        _of_camera("n_gaps", "1", "Intervals longer than 1.5 times the median one."),
        _of_camera("n_dropped", "1", "Frames missing by the camera's own counter; NaN: unknown."),
        _of_camera("frame_rate", "Hz", "Of the median interval."),
        _of_camera("first_interval", "s", "Between the first two frames."),
        _of_camera("likelihood", "1", "Points below this likelihood are left out; 0: none are."),
        _of_camera(
            "lag",
            "s",
            "How far motion energy, or the wheel, is behind the paws where they correlate most.",
        ),
        _of_camera("lag_p", "1", "Share of shifts by 30 s or more that correlate as much."),
        _told("lag_of", "What the lag is of.", ("motion_energy", "wheel", "")),
    ),
)


def describe(feature: str) -> tuple[str, str, str, float]:
    """Return a feature's camera, measure, units and the width of its frames in px (NaN: none).

    Examples
    --------
    >>> describe("left/nose_speed")
    ('left', 'nose_speed', 'px/s', 1280.0)
    """
    camera, _, measure = feature.partition("/")
    return camera, measure, FEATURES[measure].units, FRAME_WIDTHS.get(camera, float("nan"))
