"""Rates of single units, and the variability of their counts in windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from lsdx.analysis.inputs import binned
from lsdx.analysis.results import result_attrs
from lsdx.analysis.windows import WINDOWS, window_coord, window_sizes
from lsdx.errors import SelectionError, located


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
    >>> lsdx.open_units().lsd.rates().dims
    ('unit', 'phase', 'epoch')
    """
    from lsdx.kernels.metrics import METRICS

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
    found.attrs = METRICS["mean_rate"].attrs | result_attrs(ds)
    return found


def fano_factor(
    ds: xr.Dataset, *, window: str | float | Sequence[str | float] = WINDOWS
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
    >>> u = lsdx.open_units()
    >>> u.lsd.fano_factor(window=["1 s", "10 s"]).window.values.tolist()
    [1.0, 10.0]
    """
    return windows_measure(ds, "fano_factor", window=window).assign_attrs(result_attrs(ds))


def allan_factor(
    ds: xr.Dataset, *, window: str | float | Sequence[str | float] = WINDOWS
) -> xr.DataArray:
    """Return the Allan factor of each unit's counts in windows: of successive ones.

    It is the check of `fano_factor`, which drift of the rate raises too.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (unit, ..., time), as for `fano_factor`.
    window : str, float or sequence of these
        Lengths, as for `fano_factor`: whole numbers of bins; a plain number is seconds.

    Returns
    -------
    DataArray
        Over (unit, ..., window), float64, as for `fano_factor`: ``window`` in s, what is left of
        an epoch after its last whole window not used. NaN without two successive windows, for
        mean 0, and where not observed. Lazy where the counts are.

    Raises
    ------
    SelectionError
        For ``ds`` without counts, and for a window that is no whole number of bins.

    Notes
    -----
    `lsdx.kernels.variability.allan_factor` has the formula. Drift of the
    rate over many windows hardly changes it.

    Examples
    --------
    >>> import lsdx
    >>> lsdx.open_units().lsd.allan_factor(window="1 s").dims
    ('unit', 'phase', 'epoch', 'window')
    """
    return windows_measure(ds, "allan_factor", window=window).assign_attrs(result_attrs(ds))


def windows_measure(
    ds: xr.Dataset, name: str, *, window: str | float | Sequence[str | float]
) -> xr.DataArray:
    """Return a measure of the counts in windows of each unit."""
    from lsdx.kernels.metrics import METRICS

    ds = binned(ds, name)
    sizes = window_sizes(ds, name, window)
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
    out = out.assign_coords(window=window_coord(ds, sizes))
    out.attrs = METRICS[name].attrs
    return out.rename(name)


def _of_windows(counts: np.ndarray, *, name: str, sizes: Sequence[int]) -> np.ndarray:
    from lsdx.kernels.metrics import METRICS
    from lsdx.kernels.variability import window_counts

    measure = METRICS[name].kernel
    return np.stack([measure(window_counts(counts, n)) for n in sizes], axis=-1)
