"""Features of an animal from the keypoints of one camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lsdx.kernels.behavior import pupil_diameter, speed
from lsdx.kernels.frames import bin_means, frame_rate

BASELINE = 2.0  # percentile of the pupil in the epochs of the first phase

PUPIL = ("pupil_top_r", "pupil_right_r", "pupil_bottom_r", "pupil_left_r")
_BLOCK = 65_536  # frames
_TONGUE = ("tongue_end_l", "tongue_end_r")
# what moves, by the measure of its speed; side cameras see the mirrored animal (schema/pose.py)
_MOVING = {
    "nose_speed": "nose_tip",
    "paw_near_speed": "paw_r",
    "paw_far_speed": "paw_l",
    "tail_speed": "tail_start",
}
#: Keypoints whose positions give a feature.
USED = frozenset({*PUPIL, *_MOVING.values()})


def keypoint_features(
    points: Mapping[str, np.ndarray],
    times: np.ndarray,
    tongue: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Return every feature that the keypoints of a camera give, at full rate.

    Parameters
    ----------
    points : mapping of str to ndarray (n, 2)
        Positions in px by keypoint, NaN where a point is not likely. None may be assumed.
    times : ndarray (n,) of float64
        Times of the frames, in s.
    tongue : ndarray (n,) of bool, optional
        Whether an end of the tongue is likely; None where the tracker has no threshold.

    Returns
    -------
    dict of ndarray (n,)
        By measure, in the units of `lsdx.schema.behavior.FEATURES`; NaN where a point is missing.

    Examples
    --------
    >>> nose = np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    >>> keypoint_features({"nose_tip": nose}, np.array([0.0, 1.0, 2.0]))["nose_speed"].tolist()
    [5.0, 5.0, 5.0]
    """
    found: dict[str, np.ndarray] = {}
    if len([p for p in PUPIL if p in points]) >= 3:
        found["pupil_diameter"] = _pupil([points.get(p) for p in PUPIL], times.size)
    found |= {
        measure: speed(points[keypoint], times)
        for measure, keypoint in _MOVING.items()
        if keypoint in points
    }
    if tongue is not None:
        found["tongue"] = tongue.astype(np.float64)
    return found


def _pupil(points: Sequence[np.ndarray | None], n: int) -> np.ndarray:
    """Return the diameter block by block: six estimates a frame are many times the points."""
    diameter = np.empty(n)
    missing = np.full((_BLOCK, 2), np.nan)
    for start in range(0, n, _BLOCK):
        block = slice(start, min(start + _BLOCK, n))
        rest = missing[: block.stop - start]
        diameter[block] = pupil_diameter(*(rest if p is None else p[block] for p in points))
    return diameter


def tongue_is_likely(confidence: Mapping[str, np.ndarray], least: float) -> np.ndarray | None:
    """Return whether an end of the tongue is likely in each frame; None without a threshold.

    Examples
    --------
    >>> tongue_is_likely({"tongue_end_l": np.array([0.2, 0.95])}, 0.9).tolist()
    [False, True]
    """
    ends = [confidence[k] for k in _TONGUE if k in confidence]
    if not ends or not least > 0 or any(np.isnan(e).all() for e in ends):
        return None
    return np.asarray(np.any([e >= least for e in ends], axis=0))


def binned_features(
    series: Mapping[str, np.ndarray],
    times: np.ndarray,
    start: np.ndarray,
    number: np.ndarray,
    width: float,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the mean of each feature in equal bins, and the share of the frames due in them.

    Parameters
    ----------
    series : mapping of str to ndarray (n,)
        By measure, NaN where not likely.
    times : ndarray (n,) of float64
        Times of the frames, in s.
    start, number : ndarray (w,)
        Start in s and number of bins of each window.
    width : float
        Of a bin, in s.

    Returns
    -------
    dict of tuple of ndarray (w, max number)
        Mean, NaN without a sample; share, at most 1, NaN past a window's bins.

    Examples
    --------
    >>> times = np.arange(4) / 2
    >>> pair = binned_features({"x": times}, times, np.array([0.0]), np.array([2]), 1.0)["x"]
    >>> [v.tolist() for v in pair]
    [[[0.25, 1.25]], [[1.0, 1.0]]]
    """
    if not series:
        return {}
    table = np.stack(list(series.values()), axis=1).astype(np.float32)
    mean, found = bin_means(table, times, start, width, number)
    inside = np.arange(mean.shape[1]) < np.asarray(number)[:, None]
    due = width * frame_rate(times)
    share = np.where(inside[..., None], np.minimum(found / due, 1.0), np.nan)
    return {name: (mean[..., i], share[..., i]) for i, name in enumerate(series)}


def with_percent(
    binned: Mapping[str, tuple[np.ndarray, np.ndarray]], base: float
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Add the pupil's diameter in % of a baseline to binned features that have it.

    Examples
    --------
    >>> pair = np.array([3.0]), np.array([1.0])
    >>> with_percent({"pupil_diameter": pair}, 2.0)["pupil_diameter_percent"][0].tolist()
    [150.0]
    """
    found = dict(binned)
    if "pupil_diameter" in found:
        mean, share = found["pupil_diameter"]
        found["pupil_diameter_percent"] = (100 * mean / base, share)
    return found


def within(times: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Return which times lie in a window ``[start, stop)``; one that is NaN holds none.

    Examples
    --------
    >>> within(np.arange(4.0), np.array([0.0, np.nan]), np.array([2.0, 9.0])).tolist()
    [True, True, False, False]
    """
    inside = np.zeros(times.size, dtype=bool)
    for first, last in zip(start, stop, strict=True):
        inside |= (times >= first) & (times < last)
    return inside


def baseline(values: np.ndarray, percentile: float = BASELINE) -> float:
    """Return a percentile of what is known; NaN where nothing is, or where it is not above 0.

    Examples
    --------
    >>> baseline(np.array([1.0, np.nan, 3.0]), 50)
    2.0
    """
    known = values[np.isfinite(values)]
    found = float(np.percentile(known, percentile)) if known.size else 0.0
    return found if found > 0 else float("nan")
