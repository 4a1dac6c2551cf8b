"""The store of sessions: one row a recording session."""

from __future__ import annotations

from lsdx.schema.spec import Schema, Variable, integer, label, number, session_labels, session_rank

CAMERAS = ("left", "right", "body")
VIDEO_CHECKS = ("dropped_frames", "timestamps", "pin_state", "framerate")
# Alyx's words for the outcome of a test
OUTCOMES = ("NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL")
STATUS = ("extraction complete", "extraction error", "raw data missing")


def _trajectory(tag: str, nth: str) -> tuple[Variable, ...]:
    what, error = f"{nth.title()} trajectory label", f"Whether the {nth} trajectory has an error."
    truth = ("true", "false", "unknown")
    return (
        label(f"trajectory_{tag}", "session", f"{what} of the lab.", cohort=True),
        label(f"error_t{tag}", "session", error, values=truth, cohort=True),
    )


SESSIONS = Schema(
    name="sessions",
    version=3,
    doc="One row a recording session: who, when, which drug, and which datasets exist.",
    concat="session",
    variables=(
        *session_labels("session", unique=True),
        label("dataset", "dataset", "Name of a dataset, as group/slot/name.", unique=True),
        label("subject", "session", "Subject's name."),
        label("lab", "session", "Lab."),
        label("date", "session", "Day of the recording, yyyy-mm-dd."),
        Variable(
            "start_time",
            ("session",),
            "datetime64[us]",
            "Start as Alyx records it; NaT where only the day is known.",
            coord=True,
        ),
        integer("number", "session", "Number of the session on its day."),
        label("task_protocol", "session", "Task protocol as Alyx records it."),
        label("projects", "session", "Projects."),
        label("qc", "session", "Aggregate quality control of the session record."),
        label(
            "extended_qc",
            "session",
            "Other outcomes of the session record than those of video_qc, as name=outcome, in "
            "order of their names; blank: none.",
        ),
        label(
            "histology",
            "session",
            "Histology stage of each insertion, as probe=stage; blank: no insertion records.",
        ),
        integer("n_probes", "session", "Probe insertions recorded."),
        integer("n_tasks", "session", "Task runs found on disk."),
        Variable(
            "status",
            ("session", "dataset"),
            "str",
            "Whether each dataset is there, and if not, whether its raw data are.",
            values=STATUS,
        ),
        label("camera", "camera", "Camera.", unique=True),
        label("check", "check", "Test of a video.", unique=True),
        Variable(
            "video_qc",
            ("session", "camera", "check"),
            "str",
            "Outcome of a test of a video, as Alyx records it; blank: none.",
        ),
        Variable(
            "video_qc_value",
            ("session", "camera", "check"),
            "float64",
            "Number that goes with the outcome, such as dropped frames; NaN: none.",
            units="1",
        ),
        label("condition", "session", "What was given; unknown where nothing says.", cohort=True),
        label("condition_source", "session", "Where the condition comes from.", cohort=True),
        *session_rank("session", before="this one"),
        number(
            "days_since_first_lsd",
            "session",
            "d",
            "Days since the subject's first drug day before this one; NaN if none.",
            cohort=True,
        ),
        integer("n_units", "session", "Units stored for the session.", coord=True, cohort=True),
        integer(
            "rec_day", "session", "Count of drug days in the lab's table; -1 unknown.", cohort=True
        ),
        number("weight", "session", "g", "Body mass on the day.", cohort=True),
        number("stock_volume", "session", "uL", "Volume of drug stock given.", cohort=True),
        number("saline_volume", "session", "uL", "Volume of saline given with it.", cohort=True),
        number("stock_per_weight", "session", "uL/g", "Stock per body mass.", cohort=True),
        number(
            "dose",
            "session",
            "ug/kg",
            "Drug per body mass; NaN where the stock's concentration is not set.",
            cohort=True,
        ),
        label(
            "flags",
            "session",
            "Rules that the session's rows of the lab's tables break: volume, stock, weight, "
            "weight_step, trajectory_date, condition; blank: none.",
            cohort=True,
        ),
        *_trajectory("01", "first"),
        *_trajectory("02", "second"),
        label("exclusion", "session", "Why the lab excludes the session; blank: not.", cohort=True),
    ),
)
