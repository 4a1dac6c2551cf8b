"""The course of single units in time: how long they stay alike, and when they change most."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lsdx.analysis.binning import bin_spikes, zero_of
from lsdx.analysis.population import binned, result_attrs
from lsdx.analysis.trains import require_spikes
from lsdx.clock import TICKS_PER_SECOND, to_bin_ticks, to_seconds, to_ticks
from lsdx.errors import LsdxError, SelectionError, located


def autocorrelation_timescale(ds: xr.Dataset, *, max_lag: str | float = "5 s") -> xr.Dataset:
    """Give the time in which the autocorrelation of each unit's counts decays.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (unit, ..., time): of `lsdx.open_units` or ``spikes.lsd.bin``.
    max_lag : str or float
        Longest lag that is fitted; a plain number is seconds.

    Returns
    -------
    Dataset
        ``timescale`` (s) and ``r_squared`` of the fit over (unit, ...), float64. NaN where the
        correlation does not decay within the lags, for constant counts, fewer than five lags,
        epochs shorter than ten times ``max_lag``, and where not observed. Lazy where the counts
        are.

    Raises
    ------
    SelectionError
        If ``ds`` has no counts, their bin width is not known, or their sums are not ``n_spikes``
        (`lsdx.analysis.variability.rates` says how these belong together).

    Notes
    -----
    `lsdx.kernels.timescale.decay_time` has the formula: an exponential with an offset, which
    takes up what is slower than the lags. Values below the bin width are extrapolated. Few
    spikes make it noisy: read ``r_squared`` beside it.

    Examples
    --------
    >>> import lsdx
    >>> lsdx.open_units(demo_stores).lsd.autocorrelation_timescale().timescale.dims
    ('unit', 'phase', 'epoch')
    """
    ds = binned(ds, "autocorrelation_timescale")
    width = float(ds.attrs["bin_width"])
    n_lags = int(to_seconds(max_lag, "max_lag") / width + 1e-9)
    if n_lags < 1:
        raise SelectionError(
            located(
                "autocorrelation_timescale, max_lag",
                f"at least a bin of {width:g} s",
                repr(max_lag),
                "Ask for more, or bin spikes in narrower bins.",
            )
        )
    tau, r_squared = xr.apply_ufunc(
        _decay,
        ds["counts"],
        input_core_dims=[["time"]],
        output_core_dims=[[], []],
        kwargs={"n_lags": n_lags, "width": width},
        dask="parallelized",
        output_dtypes=[np.float64, np.float64],
    )
    tau.attrs = {"units": "s", "long_name": "Decay time of the autocorrelation"}
    r_squared.attrs = {"units": "1", "long_name": "Share of variance that the decay has"}
    out = xr.Dataset({"timescale": tau, "r_squared": r_squared})
    return out.assign_attrs(result_attrs(ds) | {"max_lag": n_lags * width})


def _decay(counts: np.ndarray, *, n_lags: int, width: float) -> tuple[np.ndarray, np.ndarray]:
    from lsdx.kernels.timescale import autocorrelation, decay_time

    rows = counts.reshape(-1, counts.shape[-1])
    tau, r_squared = np.full((2, len(rows)), np.nan)
    seen = np.isfinite(rows)
    length = seen.sum(axis=1)
    length[(seen[:, 1:] > seen[:, :-1]).any(axis=1)] = 0  # some are missing between others
    for n in np.unique(length[length >= 10 * n_lags]):
        mine = length == n
        lags = np.arange(1, n_lags + 1) * width
        tau[mine], r_squared[mine] = decay_time(autocorrelation(rows[mine, :n], n_lags), lags)
    return tau.reshape(counts.shape[:-1]), r_squared.reshape(counts.shape[:-1])


def changepoint(
    ds: xr.Dataset,
    *,
    relative_to: str = "administration",
    start: str | float = "-15 min",
    stop: str | float = "30 min",
    bin_width: str | float = "10 s",
    duplicates: str = "keep",
) -> xr.Dataset:
    """Find when each unit's rate changes most around the injection, or another time.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    relative_to : str
        Where 0 is: ``"administration"``, ``"recording"``, or the start of an epoch such as
        ``"post/spontaneous"``.
    start, stop : str or float
        From where to where, from that.
    bin_width : str or float
        Of the counts; times are whole numbers of it from ``start``.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.

    Returns
    -------
    Dataset
        Over (unit,), float64, lazy where the spikes are: ``time`` (s from ``relative_to``) of
        the change, ``rate_before`` and ``rate_after`` (Hz), their modulation ``index``,
        ``gain``: how much two rates explain more than one, in variances of a Poisson process.
        ``note`` says why they are NaN: where ``relative_to`` is not known, less than all of the
        time was recorded, and without spikes.

    Raises
    ------
    SelectionError
        If ``ds`` holds no spikes, fewer than four bins are asked for, or ``relative_to`` is
        none of these.
    LsdxError
        If ruptures is not installed.
    ConfigError
        For times that are none.

    Notes
    -----
    The exact best split by least squares (`ruptures.KernelCPD`, Truong et al. 2020, Signal Process
    167:107299) of ``2 sqrt(n + 3 / 8)``, whose variance is 1 for a Poisson process (Anscombe
    1948). It describes, and does not test: drift has a best split too, and stimuli differ before
    and after. Compare the distribution of ``time`` with that of saline sessions.

    Examples
    --------
    >>> import lsdx
    >>> s = lsdx.open_spikes(demo_stores).isel(unit=slice(3))
    >>> s.lsd.changepoint().time.dims
    ('unit',)
    """
    ds = require_spikes(ds, "changepoint", duplicates)
    _require_ruptures()
    width = to_bin_ticks(bin_width)
    edges = [to_seconds(t, n) for t, n in ((start, "start"), (stop, "stop"))]
    n_bins = int(to_ticks(edges[1] - edges[0])) // width
    if n_bins < 4:
        raise SelectionError(
            located(
                "changepoint",
                "at least four bins between start and stop",
                f"{start!r} to {stop!r} in bins of {bin_width!r}",
                "Widen the range.",
            )
        )
    zero = xr.DataArray(zero_of(ds, relative_to, "changepoint"), dims="unit")
    first = (zero + edges[0]).where(zero + edges[0] >= 0)
    window = xr.Dataset({"start": first, "stop": first + n_bins * width / TICKS_PER_SECOND})
    # what the recording did not hold whole is NaN in bin_spikes
    bare = ds.drop_dims([d for d in ("phase", "epoch") if d in ds.dims])
    binned = bin_spikes(bare, width / TICKS_PER_SECOND, intervals=window, duplicates=duplicates)
    seconds = width / TICKS_PER_SECOND
    outputs = xr.apply_ufunc(
        _best_split,
        binned["counts"].chunk({"time": -1}) if binned["counts"].chunks else binned["counts"],
        input_core_dims=[["time"]],
        output_core_dims=[["field"]],
        kwargs={"first": edges[0], "seconds": seconds},
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"output_sizes": {"field": len(_FIELDS)}},
    )
    fields = {
        name: outputs.isel(field=i).assign_attrs(units=units, long_name=words)
        for i, (name, (units, words)) in enumerate(_FIELDS.items())
    }
    about = {"start": edges[0], "stop": edges[1], "bin_width": seconds, "duplicates": duplicates}
    about |= {"relative_to": relative_to}
    why = np.where(np.isnan(zero), f"no {relative_to} is known", "not recorded whole")
    seen = np.isfinite(binned["duration"].values)
    silent = xr.where(binned["n_spikes"].variable == 0, "no spikes", "").astype(object)
    note = xr.where(xr.Variable("unit", seen), silent, xr.Variable("unit", why.astype(object)))
    found = xr.Dataset(fields)
    found["note"] = ("unit", note.data, {"long_name": "Why values are NaN"})
    return found.assign_attrs(result_attrs(ds) | about)


_FIELDS = {
    "time": ("s", "Time of the largest change, from relative_to"),
    "rate_before": ("Hz", "Firing rate before it"),
    "rate_after": ("Hz", "Firing rate after it"),
    "index": ("1", "Modulation index of both rates"),
    "gain": ("1", "What two rates explain more than one, in Poisson variances"),
}


def _require_ruptures() -> None:
    try:
        import ruptures  # noqa: F401
    except ImportError as error:
        raise LsdxError(
            located(
                "changepoint", "the package ruptures", "none", "pip install 'lsdx[changepoint]'."
            )
        ) from error


def _best_split(counts: np.ndarray, *, first: float, seconds: float) -> np.ndarray:
    import ruptures

    from lsdx.kernels.modulation import modulation_index

    out = np.full((*counts.shape[:-1], len(_FIELDS)), np.nan)
    usable = np.isfinite(counts).all(axis=-1) & (np.nan_to_num(counts).sum(axis=-1) > 0)
    for at in zip(*np.nonzero(usable), strict=True):
        row = counts[at].astype(np.float64)
        signal = 2 * np.sqrt(row + 3 / 8)
        # a linear kernel is least squares, and ruptures has it compiled
        model = ruptures.KernelCPD(kernel="linear", min_size=2).fit(signal)
        split = int(model.predict(n_bkps=1)[0])
        rates = row[:split].mean() / seconds, row[split:].mean() / seconds
        step = signal[split:].mean() - signal[:split].mean()
        gain = step**2 * split * (len(row) - split) / len(row)
        out[at] = (first + split * seconds, *rates, modulation_index(*rates), gain)
    return out
