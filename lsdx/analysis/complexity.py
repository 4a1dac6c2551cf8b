"""The complexity of single units' counts, beside that of shuffled ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from lsdx.analysis.inputs import binned
from lsdx.analysis.seeds import cell_streams, seed_of, unit_keys
from lsdx.analysis.windows import WINDOWS, window_coord, window_sizes
from lsdx.arguments import whole_number


def lempel_ziv(
    ds: xr.Dataset,
    *,
    window: str | float | Sequence[str | float] = WINDOWS[0],
    rate: float | None = None,
    surrogates: int = 100,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Return the Lempel-Ziv complexity of each unit's counts, and its ratio to shuffled bins.

    Complexity follows the rate, so trains are thinned to equal rates first.

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
        If ``ds`` has no counts, or a window is no whole number of bins.
    ArgumentError
        If ``surrogates`` is below 1.

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
    >>> u = lsdx.open_units().isel(unit=slice(3)).sel(epoch="rfm")
    >>> u.lsd.lempel_ziv(surrogates=5, rng=0).lempel_ziv_ratio.dims
    ('unit', 'phase', 'window')
    """
    from lsdx.kernels.metrics import METRICS
    from lsdx.kernels.resampling import THINNINGS

    ds = binned(ds, "lempel_ziv")
    counts = ds["counts"]
    whole_number(surrogates, "lempel_ziv, surrogates", least=1)
    seed = seed_of(rng)
    sizes = window_sizes(ds, "lempel_ziv", window)
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
    words = METRICS["lempel_ziv"].long_name
    names = ("lempel_ziv", "lempel_ziv_ratio", "lempel_ziv_sd", "lempel_ziv_ratio_sd")
    told = (
        words,
        f"{words}, over that of shuffled bins",
        *(f"Sd of {n} over seeds" for n in names),
    )
    for values, word in zip(found, told, strict=False):
        values.attrs = {"units": "1", "long_name": word}
    out = xr.Dataset(dict(zip(names, found, strict=True)))
    out = out.assign_coords(window=window_coord(ds, sizes))
    return out.assign_attrs(seed=str(seed), surrogates=int(surrogates), thinnings=THINNINGS)


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
    from lsdx.kernels.resampling import THINNINGS, thinning_keys
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
