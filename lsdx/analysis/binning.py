"""Spike counts from spike times: any bin width, any intervals, lazily."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from lsdx.analysis.inputs import require_spikes
from lsdx.analysis.trains import Promised, map_trains
from lsdx.analysis.windows import labels_of_windows, observed_ticks, zero_of
from lsdx.clock import (
    TICKS_PER_SECOND,
    bin_centres,
    n_bins,
    to_bin_ticks,
    to_bins,
    to_seconds,
    to_ticks,
)
from lsdx.errors import ArgumentError, located
from lsdx.kernels.trains import Trains
from lsdx.schema.spec import text


def bin_spikes(
    ds: xr.Dataset,
    bin_width: str | float,
    *,
    phase: str | Sequence[str] | None = None,
    epoch: str | Sequence[str] | None = None,
    intervals: xr.Dataset | np.ndarray | Sequence[Sequence[float]] | None = None,
    duplicates: str = "keep",
) -> xr.Dataset:
    """Count spikes in the bins of epochs, or of any intervals.

    For the epochs and a bin width that has been built this equals `lsdx.open_counts`.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    bin_width : str or float
        Such as ``"10 ms"`` (a plain number is seconds); a whole number of 10 us.
    phase, epoch : str or sequence of str, optional
        Which epochs; all by default.
    intervals : optional
        Instead of epochs: (n, 2) starts and stops in s on the session's spike clock, the same
        for all units; or a Dataset with ``start`` and ``stop`` in s, by session or unit and
        any dimension of its own. NaN is not observed.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.

    Returns
    -------
    Dataset
        ``counts`` (unit, ..., time) float32, NaN past an interval's last whole bin and where
        not observed; ``n_spikes`` float64 and ``duration`` (s) of the binned time. Lazy where
        the spikes are: one task a session. ``time`` is the bin's centre from the start.

    Raises
    ------
    SelectionError
        If ``ds`` holds no spikes, its spikes were cut, or a phase or epoch is unknown.
    ConfigError
        For a bin width that is no whole number of 10 us.

    Notes
    -----
    Times are compared as integer ticks of 10 us; bins are half-open, ``[start, stop)``.

    Examples
    --------
    >>> import lsdx
    >>> s = lsdx.open_spikes()
    >>> s.lsd.bin("1 s", epoch="replay").counts.dims
    ('unit', 'phase', 'time')
    """
    ds = require_spikes(ds, "bin", duplicates)
    width = to_bin_ticks(bin_width)
    start, begin, end = observed_ticks(ds, "bin", phase, epoch, intervals)
    bins = n_bins(end - begin, width)
    bins[end == begin] = 0
    length = int(bins.max(initial=1))  # a bin of NaN where nothing was observed
    flat = (ds.sizes["unit"], int(np.prod(begin.shape[1:])))
    data = map_trains(
        ds,
        _count_block,
        (begin.reshape(flat), bins.reshape(flat)),
        (width, length),
        Promised((flat[1], length), np.float32),
        duplicates,
    ).reshape((*begin.shape, length))
    dims = (*start.dims, "time")
    duration = np.where(bins > 0, bins * (width / TICKS_PER_SECOND), np.nan)
    coords = labels_of_windows(ds, start)
    out = xr.Dataset(
        {
            "counts": (
                dims,
                data,
                {"units": "1", "long_name": "Spikes in [start, stop) of the bin"},
            ),
            "duration": (start.dims, duration, {"units": "s", "long_name": "Binned time"}),
        },
        coords={**coords, "time": ("time", bin_centres(length, width), {"units": "s"})},
    )
    out["n_spikes"] = (
        out["counts"]
        .sum("time", min_count=1, dtype=np.float64)
        .assign_attrs(units="1", long_name="Spikes in the binned time")
    )
    about = {k: v for k, v in ds.attrs.items() if k not in ("featureType", "n_spikes")}
    return out.assign_attrs(about, bin_width=width / TICKS_PER_SECOND, duplicates=duplicates)


def sliding(
    ds: xr.Dataset,
    *,
    width: str | float,
    step: str | float,
    relative_to: str = "administration",
    start: str | float = "-18 min",
    stop: str | float = "30 min",
    bin_width: str | float = "1 s",
    duplicates: str = "keep",
) -> xr.Dataset:
    """Count spikes in windows that slide along the recording.

    The course of the session confounds stimulus and drug: ``share`` tells what windows hold.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    width, step : str or float
        Length of a window and distance between their starts, such as ``"5 min"`` (a plain
        number is seconds); whole numbers of ``bin_width``.
    relative_to : str
        Where 0 is: ``"administration"``, ``"recording"``, or the start of an epoch such as
        ``"post/spontaneous"``.
    start, stop : str or float
        From where to where windows lie, relative to that; every window lies within.
    bin_width : str or float
        Of the counts; a whole number of 10 us.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.

    Returns
    -------
    Dataset
        ``counts`` (unit, window, time) float32, ``n_spikes``, ``duration`` (s), as `bin_spikes`
        gives them; the coordinates ``window`` (s, centre), ``window_start`` and
        ``window_stop``; ``share`` (unit, window, stimulus), the share of each window that each
        epoch of the protocol takes, ``"none"`` what is left; ``note`` (unit, window), why a
        window is NaN: the injection falls into it, it passes an end of the recording, or the
        session's zero is not known.

    Raises
    ------
    SelectionError
        If ``ds`` holds no spikes.
    ArgumentError
        If no window fits.
    ConfigError
        For lengths that are no whole number of bins.

    Examples
    --------
    >>> import lsdx
    >>> s = lsdx.open_spikes()
    >>> w = s.lsd.sliding(width="5 min", step="5 min")
    >>> w.counts.dims, w.sizes["window"]
    (('unit', 'window', 'time'), 9)
    """
    ds = require_spikes(ds, "sliding", duplicates)
    bin_ticks = to_bin_ticks(bin_width)
    long, apart = (
        to_bins(v, bin_ticks / TICKS_PER_SECOND, f"sliding, {n}", least=1) * bin_ticks
        for v, n in ((width, "width"), (step, "step"))
    )
    first = int(to_ticks(to_seconds(start, "start")))
    last = int(to_ticks(to_seconds(stop, "stop")))
    begin = np.arange(first, last - long + 1, apart, dtype=np.int64)
    if not begin.size:
        raise ArgumentError(
            located(
                "sliding",
                "a window that fits between start and stop",
                f"width {width} from {start} to {stop}",
                "Widen the range.",
            )
        )
    zero = zero_of(ds, relative_to, "sliding")
    administration = ds["administration"].values
    known = np.isfinite(zero)
    origin = to_ticks(np.where(known, zero, 0.0))
    from_ticks = origin[:, None] + begin
    injected = np.where(np.isfinite(administration), administration, -1.0)
    injection = to_ticks(injected)[:, None]
    crossing = (from_ticks < injection) & (injection < from_ticks + long)
    valid = known[:, None] & ~crossing & (from_ticks >= 0)
    from_s = np.where(valid, from_ticks / TICKS_PER_SECOND, np.nan)
    dims = ("unit", "window")
    edges = {
        "window_start": begin / TICKS_PER_SECOND,
        "window_stop": (begin + long) / TICKS_PER_SECOND,
    }
    centre = (2 * begin + long) / (2 * TICKS_PER_SECOND)
    windows = xr.Dataset(
        {"start": (dims, from_s), "stop": (dims, from_s + long / TICKS_PER_SECOND)},
        {"unit": ds["unit"], "window": ("window", centre)},
    )
    out = bin_spikes(
        ds.drop_dims([d for d in ("phase", "epoch") if d in ds.dims]),
        bin_width,
        intervals=windows,
        duplicates=duplicates,
    )
    words = {"units": "s", "long_name": f"Centre of the window from {relative_to}"}
    out["window"] = out["window"].assign_attrs(words)
    out = out.assign_coords({n: ("window", v, {"units": "s"}) for n, v in edges.items()})
    unknown = f"no {'start of ' if '/' in relative_to else ''}{relative_to} is known"
    reasons = [
        np.broadcast_to(~known[:, None], crossing.shape),
        crossing,
        np.isnan(out["duration"].values),
    ]
    why = (unknown, "the administration falls into it", "not recorded whole")
    note = np.select(reasons, [np.array(w, dtype=object) for w in why], np.array("", dtype=object))
    out["note"] = (dims, note, {"long_name": "Why a window is NaN"})
    starts = np.where(known, zero, np.nan)[:, None] + edges["window_start"]
    out["share"] = (
        (*dims, "stimulus"),
        _stimulus_shares(ds, starts, long / TICKS_PER_SECOND),
        {"units": "1", "long_name": "Share of the window that the stimulus takes"},
    )
    out = out.assign_coords(stimulus=("stimulus", text([*ds["epoch"].values, "none"])))
    return out.assign_attrs(relative_to=relative_to, width=long / TICKS_PER_SECOND)


def _stimulus_shares(ds: xr.Dataset, begin: np.ndarray, width: float) -> np.ndarray:
    """Return what share of windows (unit, window) of ``width`` s each epoch takes, and none."""
    start = ds["start"].transpose("unit", "phase", "epoch").values[:, None]
    stop = ds["stop"].transpose("unit", "phase", "epoch").values[:, None]
    low = np.maximum(start, begin[:, :, None, None])
    high = np.minimum(stop, begin[:, :, None, None] + width)
    by_epoch = np.nansum(np.maximum(high - low, 0.0) / width, axis=2)
    # what an epoch without times takes is not known, nor then what is left
    unknown = np.isnan(start + stop).any(axis=(1, 2, 3))[:, None] | np.isnan(begin)
    left = np.where(unknown, np.nan, 1 - by_epoch.sum(axis=-1))
    by_epoch[np.isnan(begin)] = np.nan
    return np.concatenate([by_epoch, left[..., None]], axis=-1)


def _count_block(
    trains: Trains,
    begin: np.ndarray,
    bins: np.ndarray,
    width: int,
    length: int,
) -> np.ndarray:
    from lsdx.kernels.binning import count_spikes

    counts = count_spikes(trains, begin, bins, width, length, dtype=np.float32)
    counts[np.arange(length) >= bins[..., None]] = np.nan
    return counts
