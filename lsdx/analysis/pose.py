"""Measures of the pose of one camera at full rate: speed, pupil, its course, bins of any width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from lsdx.arguments import number_between, some_of
from lsdx.clock import TICKS_PER_SECOND, bin_centres, n_bins, to_bin_ticks, to_seconds, to_ticks
from lsdx.errors import SelectionError, located
from lsdx.schema.behavior import FEATURES, FRAME_WIDTHS

_BLINK = (0.05, 1.0)  # s: shortest and longest


def speed(
    ds: xr.Dataset,
    *,
    keypoints: str | Sequence[str] | None = None,
    likelihood: float | None = None,
) -> xr.DataArray:
    """Return the speed of each keypoint, from the times of the frames.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_pose` gives.
    keypoints : str or sequence of str, optional
        Which; all by default.
    likelihood : float, optional
        Points below this confidence are left out; by default the one that the stores were built
        with (attribute ``likelihood``). 0 leaves none out.

    Returns
    -------
    DataArray
        Over (time, keypoints, individuals), float64 px/s; NaN where a point is not likely, and
        where a neighbour is more than three frames away. Lazy where the pose is.

    Raises
    ------
    SelectionError
        If ``ds`` is no pose, or its frames have no times.
    ArgumentError
        For a keypoint that the camera has not.

    Notes
    -----
    `lsdx.kernels.behavior.speed` has the formula: second-order differences on uneven samples
    (`numpy.gradient`).

    Examples
    --------
    >>> import lsdx
    >>> eid = lsdx.open_sessions().session.values[0]
    >>> lsdx.open_pose(session=eid, camera="left").lsd.speed(keypoints="nose_tip").dims
    ('time', 'keypoints', 'individuals')
    """
    ds = _timed(ds, "speed")
    if keypoints is not None:
        known = [str(k) for k in ds["keypoints"].values]
        ds = ds.sel(keypoints=list(some_of(keypoints, "speed, keypoints", known)))
    found: xr.DataArray = xr.apply_ufunc(
        _speed,
        _likely(ds, likelihood, "speed").chunk(time=-1),
        ds["time"].variable,
        input_core_dims=[["time", "space"], ["time"]],
        output_core_dims=[["time"]],
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    about = {"units": "px/s", "long_name": "Speed of the keypoint"}
    return found.transpose("time", ...).rename("speed").assign_attrs(about)


def _speed(position: np.ndarray, times: np.ndarray) -> np.ndarray:
    from lsdx.kernels import behavior

    return np.moveaxis(behavior.speed(np.moveaxis(position, (-2, -1), (0, 1)), times), 0, -1)


def pupil_diameter(ds: xr.Dataset, *, likelihood: float | None = None) -> xr.DataArray:
    """Return the diameter of the pupil in each frame, as the IBL defines it.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_pose` gives; by frame where the frames have no times.
    likelihood : float, optional
        Points below this confidence are left out; by default as the stores were built.

    Returns
    -------
    DataArray
        Over (time,), float64 px; NaN with fewer than three likely points. Lazy where the pose is.

    Raises
    ------
    SelectionError
        If ``ds`` is no pose, or has fewer than three points of the pupil.

    Notes
    -----
    The median of the distances of the two pairs of opposite points, and of the four pairs of
    neighbours times the square root of 2 (int-brain-lab/ibllib, brainbox). One point may be
    missing. Of an ellipse it is the root mean square of its axes.

    Examples
    --------
    >>> import lsdx
    >>> eid = lsdx.open_sessions().session.values[0]
    >>> lsdx.open_pose(session=eid, camera="left").lsd.pupil_diameter().dims
    ('time',)
    """
    from lsdx.kernels.features import PUPIL

    ds = _of_pose(ds, "pupil_diameter")
    known = [str(k) for k in ds["keypoints"].values]
    if len(set(PUPIL) & set(known)) < 3:
        found = ", ".join(known)
        do = "Choose another camera or session."
        raise SelectionError(located("pupil_diameter", "three of " + ", ".join(PUPIL), found, do))
    points = _likely(ds, likelihood, "pupil_diameter").isel(individuals=0)
    points = points.reindex(keypoints=list(PUPIL)).chunk(keypoints=-1, space=-1)
    found_: xr.DataArray = xr.apply_ufunc(
        _diameter,
        points,
        input_core_dims=[["keypoints", "space"]],
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    about = {"units": "px", "long_name": "Diameter of the pupil"}
    return found_.rename("pupil_diameter").assign_attrs(about)


def _diameter(points: np.ndarray) -> np.ndarray:
    from lsdx.kernels import behavior

    return behavior.pupil_diameter(*(points[:, i] for i in range(4)))


def blinks(ds: xr.Dataset, *, likelihood: float | None = None) -> xr.Dataset:
    """Return when the eye was shut: runs of 50 ms to 1 s with fewer than three likely points.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_pose` gives, of a tracker with a threshold of confidence.
    likelihood : float, optional
        Points below this confidence are not likely; by default as the stores were built.

    Returns
    -------
    Dataset
        Over (event,): ``start``, ``stop`` and ``duration`` in s, ``kind`` ``"blink"``, and
        ``session``, so that ``psth`` takes it. Computed at once.

    Raises
    ------
    SelectionError
        If ``ds`` is no pose with times and a pupil, or no point can be unlikely.

    Examples
    --------
    >>> import lsdx
    >>> eid = lsdx.open_sessions().session.values[2]
    >>> lsdx.open_pose(session=eid, camera="left").lsd.blinks(likelihood=0.5).start.dims
    ('event',)
    """
    ds = _timed(ds, "blinks")
    least = float(ds.attrs.get("likelihood", 0)) if likelihood is None else likelihood
    if not least > 0:
        do = "Say one: likelihood=0.9."
        raise SelectionError(located("blinks", "a confidence above 0", f"{least:g}", do))
    shut = np.isnan(pupil_diameter(ds, likelihood=likelihood).values)
    times = ds["time"].values
    edge = np.flatnonzero(np.diff(np.concatenate([[False], shut, [False]]).astype(np.int8)))
    first, last = edge[::2], edge[1::2]
    # a run lasts to the first frame that is open again
    whole = (first > 0) & (last < times.size)
    first, last = first[whole], last[whole]
    duration = to_ticks(times[last] - times[first])  # whole ticks: 3 frames at 60 Hz are 50 ms
    kept = (duration >= to_ticks(_BLINK[0])) & (duration <= to_ticks(_BLINK[1]))
    return event_table(ds, times[first][kept], times[last][kept], "blink")


def event_table(ds: xr.Dataset, start: np.ndarray, stop: np.ndarray, kind: str) -> xr.Dataset:
    """Return events of one session in the form of `lsdx.open_events`."""
    n = start.size
    labels = {n_: ds[n_].item() for n_ in ("session", "session_label") if n_ in ds.coords}
    return xr.Dataset(
        {
            "start": ("event", start, {"units": "s"}),
            "stop": ("event", stop, {"units": "s"}),
            "duration": ("event", stop - start, {"units": "s"}),
        },
        {
            "kind": ("event", np.full(n, kind, dtype=object)),
            **{k: ("event", np.full(n, v, dtype=object)) for k, v in labels.items()},
        },
    )


def pupil_course(
    ds: xr.Dataset,
    *,
    bin_width: str | float = "2 min",
    window: tuple[str | float, str | float] = ("-30 min", "90 min"),
    relative_to: str = "administration",
    likelihood: float | None = 0.9,
    smoothing: str | float = "1 s",
    sd: float = 5.0,
    percentile: float = 2.0,
) -> xr.Dataset:
    """Return the course of the pupil's diameter around the injection, in % of its baseline.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_pose` gives, of a camera that sees the pupil.
    bin_width : str or float
        Of the course.
    window : tuple of two str or float
        From where to where.
    relative_to : {"administration", "recording"}
        Where time is counted from.
    likelihood : float, optional
        Points below this confidence are left out; None as the stores were built.
    smoothing : str or float
        Window of the local polynomial of third order (Savitzky-Golay).
    sd : float
        Samples whose residual is beyond so many standard deviations are left out.
    percentile : float
        Which percentile of the epochs of the first phase is 100 %.

    Returns
    -------
    Dataset
        Over (time,), s from ``relative_to``: ``pupil`` in %, ``pupil_px`` in px, and ``share`` of
        the frames due that were used. NaN in a bin without any. Computed at once.

    Raises
    ------
    SelectionError
        If ``ds`` is no pose with times and a pupil, or the injection's time is not known.

    Notes
    -----
    Points under ``likelihood`` out; smoothed in time; residuals beyond ``sd`` robust standard
    deviations out, and smoothed again; gaps of more than 1 s stay NaN; the mean in each bin. The
    baseline is of the FIRST phase alone: that of a whole session moves with the drug.

    Examples
    --------
    >>> import lsdx
    >>> eid = lsdx.open_sessions().session.values[0]
    >>> pose = lsdx.open_pose(session=eid, camera="left")
    >>> pose.lsd.pupil_course(bin_width="10 min").pupil.dims
    ('time',)
    """
    from lsdx.kernels import behavior, features

    ds = _timed(ds, "pupil_course")
    number_between(percentile, "pupil_course, percentile", 0, 100, ends="low high")
    number_between(sd, "pupil_course, sd", 0, np.inf)
    zero = 0.0 if relative_to == "recording" else float(ds["administration"])
    if relative_to not in ("recording", "administration") or np.isnan(zero):
        raise SelectionError(
            located(
                "pupil_course, relative_to",
                "'recording', or 'administration' of a session whose injection is known",
                repr(relative_to),
                "Say relative_to='recording'.",
            )
        )
    width = to_bin_ticks(bin_width)
    low, high = (to_seconds(w, "pupil_course, window") for w in window)
    if not low < high:
        raise SelectionError(located("pupil_course, window", "from low to high", repr(window)))
    times, length = ds["time"].values, to_seconds(smoothing, "pupil_course, smoothing")
    raw = pupil_diameter(ds, likelihood=likelihood).values
    smooth = behavior.smooth(raw, times, window=length)
    kept = np.where(behavior.outliers(raw, smooth, sd=sd), np.nan, raw)
    smooth = behavior.smooth(kept, times, window=length)
    base = features.baseline(smooth[_in_first_phase(ds)], percentile)
    number = int(n_bins(to_ticks(high - low), width))
    seconds = width / TICKS_PER_SECOND
    whole = {"pupil": smooth}
    first, n = np.array([zero + low]), np.array([number])
    ((course,), (share,)) = features.binned_features(whole, times, first, n, seconds)["pupil"]
    about = {"units": "s", "long_name": f"Time from {relative_to}"}
    labels = {n_: c.variable for n_, c in ds.coords.items() if c.ndim == 0}
    return xr.Dataset(
        {
            "pupil": ("time", 100 * course / base, {"units": "%"}),
            "pupil_px": ("time", course, {"units": "px"}),
            "share": ("time", share, {"units": "1"}),
        },
        {"time": ("time", low + bin_centres(number, width), about), **labels},
        {
            "baseline": base,
            "smoothing": length,
            "percentile": percentile,
            "likelihood": ds.attrs.get("likelihood") if likelihood is None else likelihood,
            "relative_to": relative_to,
        },
    )


def bin_behavior(
    ds: xr.Dataset, *, bin_width: str | float = "100 ms", likelihood: float | None = None
) -> xr.Dataset:
    """Bin the features of one camera in each epoch, at any width, as `lsdx.open_behavior` has them.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_pose` gives.
    bin_width : str or float
        A whole number of 10 us.
    likelihood : float, optional
        Points below this confidence are left out; by default as the stores were built.

    Returns
    -------
    Dataset
        ``behavior`` and ``share`` over (feature, phase, epoch, time), float32; NaN as in
        `lsdx.open_behavior`. Computed at once.

    Raises
    ------
    SelectionError
        If ``ds`` is no pose with times.

    Examples
    --------
    >>> import lsdx
    >>> eid = lsdx.open_sessions().session.values[0]
    >>> pose = lsdx.open_pose(session=eid, camera="body")
    >>> pose.lsd.bin_behavior(bin_width="1 s").feature.values.tolist()
    ['body/tail_speed']
    """
    from lsdx.kernels import features

    ds = _timed(ds, "bin_behavior")
    width = to_bin_ticks(bin_width)
    times = ds["time"].values
    series = _features(ds, likelihood)
    start, stop = (ds[n].values for n in ("start", "stop"))
    known = ~(np.isnan(start) | np.isnan(stop))
    begin, end = (to_ticks(np.where(known, t, 0)).ravel() for t in (start, stop))
    number = np.where(known.ravel(), n_bins(end - begin, width), 0).clip(min=0)
    seconds = width / TICKS_PER_SECOND
    binned = features.binned_features(series, times, begin / TICKS_PER_SECOND, number, seconds)
    if "pupil_diameter" in series:
        base = features.baseline(series["pupil_diameter"][_in_first_phase(ds)])
        binned = features.with_percent(binned, base)
    names = [n for n in FEATURES if n in binned]
    camera = str(ds.attrs["camera"])
    length = int(number.max(initial=0))
    both = np.array([binned[n] for n in names], dtype=np.float32)
    both = np.moveaxis(both, 1, 0).reshape(2, len(names), *start.shape, length)
    dims = ("feature", "phase", "epoch", "time")
    labels = {n_: c.variable for n_, c in ds.coords.items() if c.ndim == 0}
    return xr.Dataset(
        {
            "behavior": (dims, both[0]),
            "share": (dims, both[1], {"units": "1"}),
        },
        {
            "feature": [f"{camera}/{n_}" for n_ in names],
            "phase": ds["phase"].variable,
            "epoch": ds["epoch"].variable,
            "time": ("time", bin_centres(length, width), {"units": "s"}),
            "feature_camera": ("feature", np.full(len(names), camera, dtype=object)),
            "measure": ("feature", np.array(names, dtype=object)),
            "feature_units": ("feature", np.array([FEATURES[m].units for m in names], object)),
            "frame_width": ("feature", np.full(len(names), FRAME_WIDTHS.get(camera, np.nan))),
            "start": ds["start"].variable,
            "stop": ds["stop"].variable,
            **labels,
        },
        {**{k: v for k, v in ds.attrs.items() if k in _KEPT}, "bin_width": seconds},
    )


_KEPT = ("title", "simulated", "catalog", "tracker", "tracker_version", "clock")


def _features(ds: xr.Dataset, likelihood: float | None) -> Mapping[str, np.ndarray]:
    from lsdx.kernels import features

    least = float(ds.attrs.get("likelihood", 0)) if likelihood is None else likelihood
    position = _likely(ds, likelihood, "bin_behavior").isel(individuals=0).values
    confidence = ds["confidence"].isel(individuals=0).values
    names = [str(k) for k in ds["keypoints"].values]
    points = {k: position[:, :, i] for i, k in enumerate(names)}
    tongue = features.tongue_is_likely({k: confidence[:, i] for i, k in enumerate(names)}, least)
    found = features.keypoint_features(points, ds["time"].values, tongue)
    if not found:
        raise SelectionError(
            located("bin_behavior", "keypoints that give a feature", ", ".join(names))
        )
    return found


def _in_first_phase(ds: xr.Dataset) -> np.ndarray:
    """Return which frames lie in an epoch of the first phase."""
    from lsdx.kernels.features import within

    first = ds[["start", "stop"]].isel(phase=0)
    return within(ds["time"].values, first["start"].values, first["stop"].values)


def _likely(ds: xr.Dataset, likelihood: float | None, where: str) -> xr.DataArray:
    """Return positions, NaN where they are not likely; those without a confidence are kept."""
    least = float(ds.attrs.get("likelihood", 0)) if likelihood is None else likelihood
    number_between(least, f"{where}, likelihood", 0, 1, ends="low high")
    return ds["position"].where(~(ds["confidence"] < least))


def _of_pose(ds: xr.Dataset, where: str) -> xr.Dataset:
    if not {"position", "confidence"} <= set(getattr(ds, "data_vars", ())):
        found = ", ".join(map(str, getattr(ds, "data_vars", ()))) or type(ds).__name__
        do = "Start from lsdx.open_pose(session=..., camera=...)."
        raise SelectionError(located(where, "position and confidence of a pose", found, do))
    return ds


def _timed(ds: xr.Dataset, where: str) -> xr.Dataset:
    ds = _of_pose(ds, where)
    if ds.attrs.get("time_unit") == "frames":
        found = f"frame numbers alone (clock: {ds.attrs.get('clock')})"
        do = "See [pose] surplus in the settings, if there are too many times."
        raise SelectionError(located(where, "times of the frames", found, do))
    return ds
