"""Measures of single units: rates, irregularity, variability of counts, complexity."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from lsdx.analysis.binning import bin_spikes
from lsdx.analysis.inputs import binned, require_spikes
from lsdx.analysis.seeds import seed_of, unit_keys
from lsdx.analysis.trains import Promised, kept_trains, map_trains
from lsdx.analysis.windows import labels_of_windows, observed_ticks
from lsdx.clock import TICKS_PER_SECOND, to_bin_ticks
from lsdx.errors import SelectionError, located

# of inter-spike intervals, in the order of the kernel; of counts in windows; of bits
OF_INTERVALS = {
    "cv": "Coefficient of variation of the inter-spike intervals",
    "cv2": "CV2 of neighbouring inter-spike intervals",
    "lv": "Local variation of the inter-spike intervals",
    "lvr": "Local variation of the inter-spike intervals, revised for refractoriness of 5 ms",
}
OF_WINDOWS = {
    "fano_factor": "Fano factor of counts in windows",
    "allan_factor": "Allan factor of counts in windows",
}
OF_BITS = {"lempel_ziv": "Lempel-Ziv complexity of windows with more spikes than the unit's mean"}
METRICS = ("mean_rate", *OF_INTERVALS, *OF_WINDOWS, *OF_BITS)
_RATE = {"units": "Hz", "long_name": "Firing rate"}
_WINDOWS = ("100 ms", "1 s", "10 s")
_REFRACTORINESS = to_bin_ticks("5 ms")  # of lvr
_LABELS = ("phase", "epoch", "centre")  # of cells, also where one is selected
THINNINGS = 20  # to equal rates, of which means are taken


def rates(ds: xr.Dataset) -> xr.DataArray:
    """Return the firing rate of each unit in each epoch.

    Parameters
    ----------
    ds : Dataset
        With ``counts``, ``n_spikes`` and ``duration``: of `lsdx.open_units` or
        ``spikes.lsd.bin``.

    Returns
    -------
    DataArray
        ``mean_rate`` in Hz, over the dimensions of ``n_spikes``; NaN where not observed. Of
        the binned time: the last part of an epoch, shorter than a bin, is left out.
        `unit_metrics` gives that of the whole epochs.

    Raises
    ------
    SelectionError
        If ``ds`` lacks them; for bins whose width is not known. When it is computed: for counts
        whose sums are not ``n_spikes``.

    Notes
    -----
    All measures of counts see to it that counts, bin width, ``n_spikes`` and ``duration`` belong
    together:

    - bins are as wide as they lie apart in ``time``, evenly to 10 us; the attribute
      ``bin_width`` counts where there are fewer than two bins, or no ``time``;
    - where bins were cut off (``ds.isel(time=slice(0, 1000))``) ``n_spikes`` and ``duration``
      are worked out anew from those that are left;
    - else counts must add up to ``n_spikes``: bins that were stepped over, or averaged, are
      refused;
    - where ``bin_width`` says another width, bins were added up
      (``ds.coarsen(time=10, boundary="trim").sum()``) if counts still add up to ``n_spikes``.
      What that leaves out at the end of an epoch must be shorter than the new bin, and hold at
      most half of the spikes (or ten). Without ``n_spikes`` and ``duration`` they are refused
      until ``bin_width`` says the new width;
    - bins past ``duration`` are NaN, though xarray adds up NaN to 0.

    Examples
    --------
    >>> import lsdx
    >>> lsdx.open_units(demo_stores).lsd.rates().dims
    ('unit', 'phase', 'epoch')
    """
    if "counts" in ds.variables and "time" in ds["counts"].dims:
        ds = binned(ds, "rates", ("time",))
    missing = [n for n in ("n_spikes", "duration") if n not in ds.variables]
    if missing:
        raise SelectionError(
            located(
                "rates",
                "n_spikes and duration",
                "no " + ", ".join(missing),
                "Start from lsdx.open_units(), or ds.lsd.bin(...) of spikes.",
            )
        )
    found = (ds["n_spikes"] / ds["duration"]).rename("mean_rate")
    found.attrs = dict(_RATE)
    return found


def cv(
    ds: xr.Dataset,
    *,
    phase: str | Sequence[str] | None = None,
    epoch: str | Sequence[str] | None = None,
    duplicates: str = "keep",
) -> xr.DataArray:
    """Return the coefficient of variation of each unit's inter-spike intervals.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    phase, epoch : str or sequence of str, optional
        Which epochs; all by default.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.

    Returns
    -------
    DataArray
        Over (unit, phase, epoch), float64; NaN for fewer than three spikes in an epoch, and
        where it was not observed. Lazy where the spikes are.

    Raises
    ------
    SelectionError
        If ``ds`` holds no spikes, or for a phase or epoch that is unknown.

    Notes
    -----
    `lsdx.kernels.variability.cv` has the formula. It rises where the rate drifts: `cv2` and `lv`
    hardly do. It follows the rate itself where trains have a dead time (5 ms, 10 to 30 Hz: .95 to
    .85), and of few spikes it is too low (Poisson, 12 spikes: .88): compare rates that are alike,
    as `lsdx.analysis.modulation.modulation` does.

    Examples
    --------
    >>> import lsdx
    >>> lsdx.open_spikes(demo_stores).lsd.cv(epoch="rfm").dims
    ('unit', 'phase')
    """
    return _spikes_measure(ds, "cv", phase=phase, epoch=epoch, duplicates=duplicates)


def cv2(
    ds: xr.Dataset,
    *,
    phase: str | Sequence[str] | None = None,
    epoch: str | Sequence[str] | None = None,
    duplicates: str = "keep",
) -> xr.DataArray:
    """Return CV2 of each unit: how much neighbouring inter-spike intervals differ.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    phase, epoch : str or sequence of str, optional
        Which epochs; all by default.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.

    Returns
    -------
    DataArray
        Over (unit, phase, epoch), float64; NaN for fewer than three spikes in an epoch, and
        where it was not observed. Lazy where the spikes are.

    Raises
    ------
    SelectionError
        If ``ds`` holds no spikes, or for a phase or epoch that is unknown.

    Notes
    -----
    `lsdx.kernels.variability.cv2` has the formula. Of neighbouring intervals, so that drift of
    the rate hardly changes it; a dead time does (5 ms, 10 to 30 Hz: .92 to .79).

    Examples
    --------
    >>> import lsdx
    >>> lsdx.open_spikes(demo_stores).lsd.cv2(epoch="rfm").dims
    ('unit', 'phase')
    """
    return _spikes_measure(ds, "cv2", phase=phase, epoch=epoch, duplicates=duplicates)


def lv(
    ds: xr.Dataset,
    *,
    phase: str | Sequence[str] | None = None,
    epoch: str | Sequence[str] | None = None,
    duplicates: str = "keep",
) -> xr.DataArray:
    """Return the local variation of each unit's inter-spike intervals.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    phase, epoch : str or sequence of str, optional
        Which epochs; all by default.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.

    Returns
    -------
    DataArray
        Over (unit, phase, epoch), float64; NaN for fewer than three spikes in an epoch, and
        where it was not observed. Lazy where the spikes are.

    Raises
    ------
    SelectionError
        If ``ds`` holds no spikes, or for a phase or epoch that is unknown.

    Notes
    -----
    `lsdx.kernels.variability.lv` has the formula. Of neighbouring intervals, so that drift of
    the rate hardly changes it; a dead time does (5 ms, 10 to 30 Hz: .85 to .64), see `lvr`.

    Examples
    --------
    >>> import lsdx
    >>> lsdx.open_spikes(demo_stores).lsd.lv(epoch="rfm").dims
    ('unit', 'phase')
    """
    return _spikes_measure(ds, "lv", phase=phase, epoch=epoch, duplicates=duplicates)


def lvr(
    ds: xr.Dataset,
    *,
    phase: str | Sequence[str] | None = None,
    epoch: str | Sequence[str] | None = None,
    duplicates: str = "keep",
) -> xr.DataArray:
    """Return LvR of each unit: local variation revised for a refractoriness of 5 ms.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    phase, epoch : str or sequence of str, optional
        Which epochs; all by default.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.

    Returns
    -------
    DataArray
        Over (unit, phase, epoch), float64; NaN for fewer than three spikes in an epoch, and
        where it was not observed. Lazy where the spikes are.

    Raises
    ------
    SelectionError
        If ``ds`` holds no spikes, or for a phase or epoch that is unknown.

    Notes
    -----
    `lsdx.kernels.variability.lvr` has the formula (Shinomoto et al. 2009), and a table. A dead
    time makes `lv` fall as the rate rises; this one less, if it is 3 to 5 ms (3 ms, 10 to 30 Hz:
    1.04 to 1.04; 5 ms: .97 to .86). Of trains without one it rises with the rate (1.2 to 1.6).

    Examples
    --------
    >>> import lsdx
    >>> lsdx.open_spikes(demo_stores).lsd.lvr(epoch="rfm").dims
    ('unit', 'phase')
    """
    return _spikes_measure(ds, "lvr", phase=phase, epoch=epoch, duplicates=duplicates)


def fano_factor(
    ds: xr.Dataset, *, window: str | float | Sequence[str | float] = _WINDOWS
) -> xr.DataArray:
    """Return the Fano factor of each unit's counts in windows: variance over mean (ddof 1).

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (unit, ..., time): of `lsdx.open_units` or ``spikes.lsd.bin``.
    window : str, float or sequence of these
        Lengths of the windows, whole numbers of bins; a plain number is seconds.

    Returns
    -------
    DataArray
        Over (unit, ..., window), float64; the coordinate ``window`` in s. What is left of an
        epoch after its last whole window is not used. NaN for fewer than two windows, mean 0,
        and where not observed. Lazy where the counts are.

    Raises
    ------
    SelectionError
        If ``ds`` has no counts, or a window is no whole number of bins.

    Notes
    -----
    `lsdx.kernels.variability.fano_factor` has the formula. Above 1 it may be drift of the rate:
    `allan_factor`, of successive windows, is the check. Both follow the rate itself: a dead time
    brings them down (5 ms, 10 to 30 Hz, 100 ms: .91 to .73), a gain that swings up (sd .3, 1 s:
    1.5 to 2.5).

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units(demo_stores)
    >>> u.lsd.fano_factor(window=["1 s", "10 s"]).window.values.tolist()
    [1.0, 10.0]
    """
    return _windows_measure(ds, "fano_factor", window=window)


def allan_factor(
    ds: xr.Dataset, *, window: str | float | Sequence[str | float] = _WINDOWS
) -> xr.DataArray:
    """Return the Allan factor of each unit's counts in windows: of successive ones.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (unit, ..., time): of `lsdx.open_units` or ``spikes.lsd.bin``.
    window : str, float or sequence of these
        Lengths of the windows, whole numbers of bins; a plain number is seconds.

    Returns
    -------
    DataArray
        Over (unit, ..., window), float64; the coordinate ``window`` in s. What is left of an
        epoch after its last whole window is not used. NaN for fewer than two windows, mean 0,
        and where not observed. Lazy where the counts are.

    Raises
    ------
    SelectionError
        If ``ds`` has no counts, or a window is no whole number of bins.

    Notes
    -----
    `lsdx.kernels.variability.allan_factor` has the formula. Drift of the
    rate over many windows hardly changes it.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units(demo_stores)
    >>> u.lsd.allan_factor(window=["1 s", "10 s"]).window.values.tolist()
    [1.0, 10.0]
    """
    return _windows_measure(ds, "allan_factor", window=window)


def _spikes_measure(ds: xr.Dataset, name: str, **which: Any) -> xr.DataArray:
    return _spikes_measures(ds, name, [name], **which)[name]


def _spikes_measures(
    ds: xr.Dataset,
    where: str,
    names: Sequence[str],
    *,
    phase: str | Sequence[str] | None = None,
    epoch: str | Sequence[str] | None = None,
    duplicates: str = "keep",
) -> xr.Dataset:
    """Return measures of the spikes themselves of each unit in epochs, in one pass."""
    ds = require_spikes(ds, where, duplicates)
    start, begin, end = observed_ticks(ds, where, phase, epoch)
    flat = (ds.sizes["unit"], int(np.prod(begin.shape[1:])))
    values = map_trains(
        ds,
        _of_spikes,
        (begin.reshape(flat), end.reshape(flat)),
        (tuple(names),),
        Promised((*flat[1:], len(names))),
        duplicates,
    ).reshape((*begin.shape, len(names)))
    variables = {
        name: (
            start.dims,
            values[..., i],
            {"units": "1", "long_name": OF_INTERVALS[name]} if name in OF_INTERVALS else _RATE,
        )
        for i, name in enumerate(names)
    }
    # a DataArray of its own would copy every label of every unit
    return xr.Dataset(variables, labels_of_windows(ds, start))


def _of_spikes(
    ticks: np.ndarray,
    keep: np.ndarray | None,
    row_start: np.ndarray,
    row_size: np.ndarray,
    begin: np.ndarray,
    end: np.ndarray,
    names: Sequence[str],
) -> np.ndarray:
    from lsdx.kernels.binning import count_in_intervals

    trains = kept_trains(ticks, keep, row_start, row_size)
    out = np.empty((*begin.shape, len(names)))
    if set(names) & set(OF_INTERVALS):
        of_intervals = measures_of_intervals(trains, begin, end)
    for i, name in enumerate(names):
        if name in OF_INTERVALS:
            out[..., i] = of_intervals[name]
        else:
            seconds = np.where(end > begin, end - begin, np.nan) / TICKS_PER_SECOND
            out[..., i] = count_in_intervals(*trains, begin, end) / seconds
    return out


def measures_of_intervals(
    trains: tuple[np.ndarray, np.ndarray, np.ndarray], begin: np.ndarray, end: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the measures of inter-spike intervals, by name, each (n_units, n_intervals)."""
    from lsdx.kernels.variability import interval_measures

    found = interval_measures(*trains, begin, end, refractoriness=_REFRACTORINESS)
    return dict(zip(OF_INTERVALS, found, strict=True))


def _windows_measure(
    ds: xr.Dataset, name: str, *, window: str | float | Sequence[str | float]
) -> xr.DataArray:
    """Return a measure of the counts in windows of each unit."""
    ds = binned(ds, name)
    sizes = _window_sizes(ds, name, window)
    out: xr.DataArray = xr.apply_ufunc(
        _of_windows,
        ds["counts"],
        input_core_dims=[["time"]],
        output_core_dims=[["window"]],
        kwargs={"name": name, "sizes": sizes},
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {"window": len(sizes)}},
    )
    out = out.assign_coords(window=_window_coord(ds, sizes))
    out.attrs = {"units": "1", "long_name": OF_WINDOWS[name]}
    return out.rename(name)


def _of_windows(counts: np.ndarray, *, name: str, sizes: Sequence[int]) -> np.ndarray:
    from lsdx.kernels import variability

    measure = getattr(variability, name)
    return np.stack([measure(variability.window_counts(counts, n)) for n in sizes], axis=-1)


def lempel_ziv(
    ds: xr.Dataset,
    *,
    window: str | float | Sequence[str | float] = _WINDOWS[0],
    rate: float | None = None,
    surrogates: int = 100,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Return the Lempel-Ziv complexity of each unit's counts, and its ratio to shuffled bins.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (unit, ..., time): of `lsdx.open_units` or ``spikes.lsd.bin``.
    window : str, float or sequence of these
        Lengths of the windows that become bits, whole numbers of bins; a plain number is
        seconds.
    rate : float, optional
        Hz to which trains are thinned; by default each unit's lowest among what is compared.
        Trains of fewer spikes are taken as they are.
    surrogates : int
        Shuffles of the bits.
    rng : Generator or int, optional
        Of thinning and shuffles; the attribute ``seed`` gives them again.

    Returns
    -------
    Dataset
        ``lempel_ziv`` (c log2(n) / n) and ``lempel_ziv_ratio`` (to the mean of shuffled bits: 1
        where their order does not matter) over (unit, ..., window), float64, means over 20
        thinnings; ``lempel_ziv_sd`` and ``lempel_ziv_ratio_sd``, how much other thinnings would
        move them (sd, 0 where nothing is thinned). NaN for fewer than 200 windows, trains
        without one above or below the threshold, and where not observed. Lazy where the counts
        are; the same for any chunks.

    Raises
    ------
    SelectionError
        If ``ds`` has no counts, ``surrogates`` is below 1, or a window is no whole number of
        bins.

    Notes
    -----
    Bits are windows with more spikes than the unit's mean over all that is compared: one
    threshold a unit. The number of phrases depends on the number of ones: hence the thinning,
    and the ratio.

    What is compared is what is selected: the lowest rate and the threshold are those of the
    phases, epochs and windows that ``ds`` holds. Their order changes nothing, nor do other units
    and other window lengths, since random numbers follow from unit, labels and seed. With
    ``rate`` the thinned trains do not depend on what is selected either; the threshold is then
    near ``rate`` times the window, and a selection changes bits only if that is about a whole
    number.

    Sd over seeds of what is thinned (Poisson, 300 s, the faster of two phases; 16 units, 20
    seeds); what is not thinned varies with the shuffles alone (ratio .001 to .005):

    ==========  ======  ===================  ===================  ====================
    rates (Hz)  window  ratio, one thinning  ratio, 20 thinnings  value, 20 thinnings
    ==========  ======  ===================  ===================  ====================
    0.5, 2      100 ms  .031                 .006                 .004
    0.5, 2      1 s     .035                 .008                 .009
    1, 10       100 ms  .020                 .005                 .004
    1, 10       1 s     .041                 .008                 .011
    5, 10       100 ms  .010                 .002                 .002
    5, 10       1 s     .035                 .009                 .009
    10, 30      100 ms  .011                 .003                 .009
    10, 30      1 s     .035                 .009                 .009
    ==========  ======  ===================  ===================  ====================

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units(demo_stores).isel(unit=slice(3)).sel(epoch="rfm")
    >>> u.lsd.lempel_ziv(surrogates=5, rng=0).lempel_ziv_ratio.dims
    ('unit', 'phase', 'window')
    """
    ds = binned(ds, "lempel_ziv")
    counts = ds["counts"]
    if isinstance(surrogates, bool) or surrogates < 1:
        found = repr(surrogates)
        raise SelectionError(
            located("lempel_ziv, surrogates", "a whole number from 1", found, "Correct it.")
        )
    seed = seed_of(rng)
    sizes = _window_sizes(ds, "lempel_ziv", window)
    cells = [str(d) for d in counts.dims if d not in ("unit", "time")]
    whole = counts.chunk(dict.fromkeys([*cells, "time"], -1)) if counts.chunks else counts
    keys = xr.DataArray(unit_keys(ds), dims="unit")
    found = xr.apply_ufunc(
        _of_bits,
        whole,
        keys,
        input_core_dims=[[*cells, "time"], []],
        output_core_dims=[[*cells, "window"]] * 4,
        keep_attrs=True,  # those of labels: without it older xarray drops them
        kwargs={
            "streams": cell_streams(counts, cells),
            "sizes": sizes,
            "rate": None if rate is None else rate * float(ds.attrs["bin_width"]),
            "surrogates": int(surrogates),
            "seed": seed,
        },
        dask="parallelized",
        output_dtypes=[np.float64] * 4,
        dask_gufunc_kwargs={"output_sizes": {"window": len(sizes)}},
    )
    words = OF_BITS["lempel_ziv"]
    names = ("lempel_ziv", "lempel_ziv_ratio", "lempel_ziv_sd", "lempel_ziv_ratio_sd")
    told = (
        words,
        f"{words}, over that of shuffled bins",
        *(f"Sd of {n} over seeds" for n in names),
    )
    for values, word in zip(found, told, strict=False):
        values.attrs = {"units": "1", "long_name": word}
    out = xr.Dataset(dict(zip(names, found, strict=True)))
    out = out.assign_coords(window=_window_coord(ds, sizes))
    return out.assign_attrs(seed=str(seed), surrogates=int(surrogates), thinnings=THINNINGS)


def cell_streams(counts: xr.DataArray, cells: Sequence[str]) -> list[int]:
    """Return each cell a number that follows from its labels alone, as `stream_of` says.

    Labels of ``phase``, ``epoch`` and ``centre`` count where one of them was selected too; those
    of other dimensions only while they are dimensions.
    """
    first = [n for n in _LABELS if n in cells or (n in counts.coords and not counts[n].ndim)]
    names = [*first, *sorted(set(cells) - set(first))]
    labels = {
        n: counts[n].values if n in counts.coords else np.arange(counts.sizes[n]) for n in names
    }
    return [
        stream_of(*(labels[n][place[cells.index(n)]] if n in cells else labels[n] for n in names))
        for place in np.ndindex(*(counts.sizes[d] for d in cells))
    ]


def stream_of(*labels: Any) -> int:
    """Return the number that thinning of a phase and epoch is keyed by.

    Examples
    --------
    >>> stream_of("pre", "rfm") == stream_of("pre/rfm")
    True
    """
    return zlib.crc32("/".join(map(str, labels)).encode())


def thinning_keys(units: np.ndarray, seed: int, streams: Sequence[int]) -> np.ndarray:
    """Return the keys (n_units, n_cells) of thinning, from unit, seed and the cells' labels."""
    from lsdx.kernels.resampling import stream_keys

    keys = [stream_keys(units, seed, stream) for stream in streams]
    return np.stack(keys, axis=1)


def _of_bits(
    counts: np.ndarray,
    keys: np.ndarray,
    *,
    streams: Sequence[int],
    sizes: Sequence[int],
    rate: float | None,
    surrogates: int,
    seed: int,
) -> tuple[np.ndarray, ...]:
    """Return the arrays of `lempel_ziv`, of counts (n_units, cells..., n_bins)."""
    from lsdx.kernels.complexity import thinned_lempel_ziv
    from lsdx.kernels.variability import window_counts

    cells = counts.reshape(counts.shape[0], -1, counts.shape[-1])
    mine = thinning_keys(keys, seed, streams)
    found = [
        # each window is thinned by itself: its value does not depend on the others
        thinned_lempel_ziv(
            window_counts(cells, size),
            mine,
            n_thinnings=THINNINGS,
            n_shuffles=surrogates,
            seed=seed,
            mean=None if rate is None else rate * size,
        )
        for size in sizes
    ]
    shape = (4, *counts.shape[:-1], len(sizes))
    return tuple(np.stack(found, axis=-1).reshape(shape))


def unit_metrics(
    ds: xr.Dataset,
    *,
    metrics: Sequence[str] = METRICS[:-1],
    window: str | float | Sequence[str | float] = _WINDOWS,
    phase: str | Sequence[str] | None = None,
    epoch: str | Sequence[str] | None = None,
    surrogates: int = 100,
    duplicates: str = "keep",
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Return many measures of each unit in each epoch, from spikes.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    metrics : sequence of str
        Of ``mean_rate``, ``cv``, ``cv2``, ``lv``, ``lvr``, ``fano_factor``, ``allan_factor`` and
        ``lempel_ziv``. A value does not depend on the other measures and units, nor on order;
        that of ``lempel_ziv`` alone on which phases and epochs are chosen, which it compares.
    window : str, float or sequence of these
        Of ``fano_factor``, ``allan_factor`` and ``lempel_ziv``; whole numbers of the smallest.
    phase, epoch : str or sequence of str, optional
        Which epochs; all by default.
    surrogates : int
        Of ``lempel_ziv``.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.
    rng : Generator or int, optional
        Of ``lempel_ziv``.

    Returns
    -------
    Dataset
        One variable a measure over (unit, phase, epoch[, window]), float64; NaN as each
        measure's own function says. Lazy where the spikes are.

    Raises
    ------
    SelectionError
        For a metric that does not exist (the error lists those that do), or without spikes.

    Notes
    -----
    Rates and inter-spike intervals come from the spikes themselves, all else from counts.

    Examples
    --------
    >>> import lsdx
    >>> s = lsdx.open_spikes(demo_stores)
    >>> list(s.lsd.unit_metrics(metrics=["mean_rate", "lv"], epoch="rfm"))
    ['mean_rate', 'lv']
    """
    chosen = [metrics] if isinstance(metrics, str) else list(metrics)
    unknown = [m for m in chosen if m not in METRICS]
    if unknown or not chosen:
        raise SelectionError(
            located(
                "unit_metrics, metrics",
                "some of " + ", ".join(METRICS),
                repr(metrics),
                "Correct it.",
            )
        )
    ds = require_spikes(ds, "unit_metrics", duplicates)
    which: dict[str, Any] = {"phase": phase, "epoch": epoch, "duplicates": duplicates}
    lengths = _listed(window)
    width = min(to_bin_ticks(w) for w in lengths) / TICKS_PER_SECOND
    counts = bin_spikes(ds, width, **which)
    of_spikes = [n for n in chosen if n == "mean_rate" or n in OF_INTERVALS]
    passed = _spikes_measures(ds, "unit_metrics", of_spikes, **which) if of_spikes else {}
    found: dict[str, Any] = {}
    for name in chosen:
        if name in passed:
            found[name] = passed[name]
        elif name in OF_WINDOWS:
            found[name] = _windows_measure(counts, name, window=lengths)
        else:
            complexity = lempel_ziv(counts, window=lengths, surrogates=surrogates, rng=rng)
            found |= {str(n): v for n, v in complexity.data_vars.items()}
            counts = counts.assign_attrs(complexity.attrs)
    about = {k: v for k, v in counts.attrs.items() if k != "n_spikes"}
    # as variables: xarray would compare their labels, computing those that are lazy
    coords = {n: c.variable for v in found.values() for n, c in v.coords.items()}
    return xr.Dataset({n: v.variable for n, v in found.items()}, coords).assign_attrs(about)


def _window_coord(ds: xr.Dataset, sizes: Sequence[int]) -> tuple[str, np.ndarray, dict[str, str]]:
    return "window", np.array(sizes) * float(ds.attrs["bin_width"]), {"units": "s"}


def _listed(window: Any) -> list[Any]:
    return [window] if isinstance(window, str) or np.ndim(window) == 0 else list(window)


def _window_sizes(ds: xr.Dataset, where: str, window: Any) -> list[int]:
    if "window" in ds["counts"].dims:
        raise SelectionError(
            located(
                where,
                "counts whose dimensions leave the name window to the result's",
                "those of windows that slide",
                'Rename it before: ds.rename(window="centre").',
            )
        )
    lengths = _listed(window)
    width = to_bin_ticks(float(ds.attrs["bin_width"]))
    ticks = [to_bin_ticks(w) for w in lengths]
    wrong = [w for w, t in zip(lengths, ticks, strict=True) if t % width]
    if wrong or not lengths:
        raise SelectionError(
            located(
                f"{where}, window",
                f"whole numbers of bins of {width / TICKS_PER_SECOND:g} s",
                repr(window),
                "Choose such windows, or bin spikes in narrower bins.",
            )
        )
    return [t // width for t in ticks]
