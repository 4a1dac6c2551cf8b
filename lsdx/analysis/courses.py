"""The course of single units in time: how long they stay alike, and when they change most."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lsdx.analysis.binning import bin_spikes
from lsdx.analysis.inputs import binned, require_spikes
from lsdx.analysis.results import result_attrs
from lsdx.analysis.windows import zero_of
from lsdx.clock import TICKS_PER_SECOND, to_bin_ticks, to_seconds, to_ticks
from lsdx.errors import ArgumentError, located, missing_package

_LEAST_SPIKES = 30


def autocorrelation_timescale(ds: xr.Dataset, *, max_lag: str | float = "5 s") -> xr.Dataset:
    """Return the time in which the autocorrelation of each unit's counts decays.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (unit, ..., time): of `lsdx.open_units` or ``spikes.lsd.bin``.
    max_lag : str or float
        Longest lag that is fitted; a plain number is seconds.

    Returns
    -------
    Dataset
        Over (unit, ...), lazy where the counts are: ``timescale`` (s) and ``r_squared`` of the
        fit, float64, and ``note``, why they are NaN: "no decay beyond chance", "fewer than 30
        spikes", "faster than half a bin", "slower than twice max_lag", "fewer than five lags",
        "shorter than ten times max_lag" (the epoch), "bins are missing", "not observed".

    Raises
    ------
    SelectionError
        If ``ds`` has no counts, their bin width is not known, or their sums are not ``n_spikes``
        (`lsdx.analysis.counts.rates` says how these belong together).
    ArgumentError
        If ``max_lag`` is shorter than a bin.

    Notes
    -----
    One exponential is fitted to the autocorrelation, in the shape that it has on average in an
    epoch of this length (`lsdx.kernels.timescale.decay_time` has the formula). Cosines of
    periods of ten times ``max_lag`` and longer are taken out first, and the shape says what that
    does to the rest. A time scale is told from half a bin to twice ``max_lag``: for faster ones bin
    spikes in narrower bins, for slower ones ask for longer lags. Where there are several, it is
    one between them. Correlations of n bins fall too fast by 2 / n a bin, beside what their mean
    does (Marriott & Pope 1954, Biometrika 41:390): taken back from ``1 / tau``. Counts of
    independent bins have a time scale in at most 5 %.

    2,000 simulated units, 300 s in bins of 100 ms, of shot noise: rates (sd half the mean) that
    are correlated exactly exponentially. Median (quartiles), in s, and how many % are NaN:

    ========  ===================  ===================  ===================  ===================
    tau (s)   .5 Hz                1 Hz                 5 Hz                 20 Hz
    ========  ===================  ===================  ===================  ===================
    constant  97                   97                   97                   96
    .1        .37 (.16, 1.22) 96   .28 (.14, .61) 93    .14 (.09, .24) 44    .10 (.08, .13) 3
    .3        .35 (.16, .88) 90    .32 (.17, .72) 75    .30 (.22, .40) 0     .30 (.26, .34) 0
    1         .80 (.37, 1.37) 77   .92 (.53, 1.57) 42   .99 (.79, 1.27) 0    .99 (.85, 1.18) 0
    3         1.64 (.70, 3.01) 75  2.20 (1.29, 3.64) 42 2.98 (2.24, 4.05) 4  2.99 (2.38, 3.83) 2
    ========  ===================  ===================  ===================  ===================

    Where most are NaN, chance made the others large (``r_squared`` of .15; .45 and more where few
    are): read the share beside the median. Log-Gaussian rates whose logs (sd .5) are correlated
    over .3, 1 and 3 s are themselves correlated over .29, .95 and 2.80 s: .29, .94 and 2.78 at
    5 Hz. With drift beside it (sd .3 of the log rate, over 60 s) shot noise gives .34, 1.07 and
    2.96 at 5 Hz. Drift alone gives a time scale to 4, 11 and 33 % of units of 1, 5 and 20 Hz if
    it is over 60 s, to 6, 23 and 40 % over 20 s, to 3 to 4 % if the rate doubles evenly. Of units
    of 33 ms and 100 Hz 72 % are "faster than half a bin", the others have a median of 70 ms.

    Examples
    --------
    >>> import lsdx
    >>> lsdx.open_units().lsd.autocorrelation_timescale().timescale.dims
    ('unit', 'phase', 'epoch')
    """
    ds = binned(ds, "autocorrelation_timescale")
    width = float(ds.attrs["bin_width"])
    n_lags = int(to_seconds(max_lag, "max_lag") / width + 1e-9)
    if n_lags < 1:
        raise ArgumentError(
            located(
                "autocorrelation_timescale, max_lag",
                f"at least a bin of {width:g} s",
                repr(max_lag),
                "Ask for more, or bin spikes in narrower bins.",
            )
        )
    tau, r_squared, note = xr.apply_ufunc(
        _decay,
        ds["counts"],
        input_core_dims=[["time"]],
        output_core_dims=[[], [], []],
        kwargs={"n_lags": n_lags, "width": width},
        dask="parallelized",
        output_dtypes=[np.float64, np.float64, object],
    )
    tau.attrs = {"units": "s", "long_name": "Decay time of the autocorrelation"}
    r_squared.attrs = {"units": "1", "long_name": "Share of the autocorrelation that the decay has"}
    note.attrs = {"long_name": "Why values are NaN"}
    out = xr.Dataset({"timescale": tau, "r_squared": r_squared, "note": note})
    return out.assign_attrs(result_attrs(ds) | {"max_lag": n_lags * width})


def _decay(
    counts: np.ndarray, *, n_lags: int, width: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from lsdx.kernels.timescale import autocorrelation, decay_time, skewness

    rows = counts.reshape(-1, counts.shape[-1])
    tau, r_squared = np.full((2, len(rows)), np.nan)
    seen = np.isfinite(rows)
    length = seen.sum(axis=1)
    holes = (seen[:, 1:] > seen[:, :-1]).any(axis=1)
    sums = np.where(seen, rows, 0).sum(axis=1, dtype=np.float64)
    asked = ~holes & (length >= 10 * n_lags) & (sums >= _LEAST_SPIKES)
    for n in np.unique(length[asked]):
        mine = asked & (length == n)
        x = rows[mine, :n].astype(np.float64)
        n_slow = int(n) // (5 * n_lags)
        found = decay_time(autocorrelation(x, n_lags, n_slow), int(n), n_slow, skewness(x))
        # correlations fall too fast by 2 / n a bin, beside what the mean does to them
        tau[mine], r_squared[mine] = found[0] / (1 - 2 * np.minimum(found[0], n / 5) / n), found[1]
    tau[tau > 2 * n_lags] = np.inf
    r_squared[np.isinf(tau)] = np.nan
    why = {
        "not observed": length == 0,
        "bins are missing": holes,
        "fewer than five lags": np.full(len(rows), n_lags < 5),
        "shorter than ten times max_lag": length < 10 * n_lags,
        f"fewer than {_LEAST_SPIKES} spikes": sums < _LEAST_SPIKES,
        "no decay beyond chance": np.isnan(tau),
        "faster than half a bin": tau == 0,
        "slower than twice max_lag": np.isinf(tau),
    }
    note = np.select(list(why.values()), list(why), "").astype(object)
    told = np.where(note == "", tau * width, np.nan)
    shape = counts.shape[:-1]
    return told.reshape(shape), r_squared.reshape(shape), note.reshape(shape)


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

    It describes, and does not test: each unit has a time of largest change.

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
        time was recorded, and without spikes. It says "at the edge" where one side has no more
        than two bins, or a twentieth of all. The attribute ``gain_null_95``: the gain that one
        in 20 units of constant Poisson rate exceeds.

    Raises
    ------
    SelectionError
        If ``ds`` holds no spikes, or ``relative_to`` is none of these.
    ArgumentError
        If fewer than four bins are between ``start`` and ``stop``.
    MissingPackage
        If ruptures is not installed.
    ConfigError
        For times that are none.

    Notes
    -----
    The exact best split by least squares (`ruptures.KernelCPD`, Truong et al. 2020, Signal Process
    167:107299) of ``2 sqrt(n + 3 / 8)``, whose variance is 1 for a Poisson process (Anscombe
    1948). It does not test: drift and bursts have a best split too, of gains far above
    ``gain_null_95``, and stimuli differ before and after. Compare the distribution of
    ``time`` with that of saline sessions.

    ``gain_null_95`` is ``b^2`` where the largest of the standardised steps of n normal values
    exceeds b with probability .05 (James, James & Siegmund 1987, Biometrika 74:71):
    ``b phi(b) int nu(b / sqrt(n t (1 - t))) / (t (1 - t)) dt + 2 (1 - Phi(b))``, over t from
    ``2 / n`` to ``1 - 2 / n``. 40,000 simulated series of 4 to 270 bins exceed it in 4.6 to
    5.1 %. Of largest steps without any change 35 % lie "at the edge" of 270 bins, where 10 % of
    the splits are, and 7 % at the first or the last. With few spikes a bin the variance is below
    1 and gains are smaller. 20,000 simulated units of constant rate, 270 bins (the default;
    ``gain_null_95`` is 10.1):

    ==============  ===  ===  ===  ===  ===  ====  ====
    spikes a bin     .1   .3   .5    1    3    10    30
    variance        .12  .31  .47  .72  .98   1.0   1.0
    95 % of gains   1.6  3.4  4.8  7.1  9.9  10.0   9.8
    above 10.1 (%)    0    0    0   .7  4.5   4.9   4.4
    at the edge (%)  32   32   34   35   35    36    36
    ==============  ===  ===  ===  ===  ===  ====  ====

    Examples
    --------
    >>> import lsdx
    >>> s = lsdx.open_spikes().isel(unit=slice(3))
    >>> s.lsd.changepoint().time.dims
    ('unit',)
    """
    from lsdx.kernels.changepoint import largest_gain_by_chance

    ds = require_spikes(ds, "changepoint", duplicates)
    _require_ruptures()
    width = to_bin_ticks(bin_width)
    edges = [to_seconds(t, n) for t, n in ((start, "start"), (stop, "stop"))]
    n_bins = int(to_ticks(edges[1] - edges[0])) // width
    if n_bins < 4:
        raise ArgumentError(
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
    about["gain_null_95"] = largest_gain_by_chance(n_bins)
    seen = np.isfinite(binned["duration"].values)
    split = (fields["time"].variable - edges[0]) / seconds
    at_edge = np.minimum(split, n_bins - split) < max(2, n_bins // 20) + 0.5
    said = xr.where(at_edge, "at the edge", "").astype(object)
    said = xr.where(binned["n_spikes"].variable == 0, "no spikes", said).astype(object)
    note = xr.where(xr.Variable("unit", seen), said, xr.Variable("unit", why.astype(object)))
    found = xr.Dataset(fields)
    found["note"] = ("unit", note.data, {"long_name": "Why values are NaN, or doubtful"})
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
        raise missing_package("changepoint", "ruptures", "changepoint") from error


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
