"""The store of pose: keypoints of one camera of one session at full rate, in movement's form."""

from __future__ import annotations

from lsdx.schema.spec import Schema, Variable, label

_POSITION = ("time", "space", "keypoints", "individuals")
#: Positions are rounded to this, in px: a tracker is right to a pixel or so.
RESOLUTION = 1 / 64
#: What Lightning Pose says of the spread of its ensemble, by the ending of its columns.
ENSEMBLE = ("ens_median", "ens_var", "posterior_var")
#: The right camera's video is flipped before tracking (int-brain-lab/iblvideo, README).
MIRRORED = (
    "The right camera's video is mirrored before tracking: on either side camera paw_r is the paw "
    "nearer to that camera."
)

POSE = Schema(
    name="pose",
    version=1,
    doc="Keypoints of one camera of one session, a row a frame; one store a session and camera.",
    concat="time",
    chunks={"time": 262_144},
    variables=(
        label("space", "space", "Axis of the image: x to the right, y down.", unique=True),
        label("keypoints", "keypoints", "Keypoint, as the tracker calls it.", unique=True),
        label("individuals", "individuals", "Animal.", unique=True),
        Variable(
            "frame_time",
            ("time",),
            "float64",
            "Time of the frame on the spike clock; NaN where the frames have no times.",
            units="s",
        ),
        Variable(
            "position",
            _POSITION,
            "float32",
            "Position in the image, rounded to 1/64 px; unlikely points are kept.",
            units="px",
        ),
        Variable(
            "confidence",
            ("time", "keypoints", "individuals"),
            "float32",
            "Likelihood as the tracker states it; NaN where it states none.",
            units="1",
        ),
        *(
            Variable(name, _POSITION, "float32", doc, units=units, optional=True)
            for name, units, doc in (
                ("ens_median", "px", "Median of Lightning Pose's ensemble; kept on request."),
                ("ens_var", "px^2", "Variance of Lightning Pose's ensemble; kept on request."),
                ("posterior_var", "px^2", "Variance after Lightning Pose's smoother; on request."),
            )
        ),
    ),
)
