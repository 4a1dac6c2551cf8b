"""Which effect a design could have found: power of the comparison over mice, by simulation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from lsdx.analysis.comparisons import STRATA, codes_of, conditions_of, refuse_unknown_strata
from lsdx.analysis.seeds import seed_of
from lsdx.analysis.sessions import session_values
from lsdx.arguments import number_between, whole_number
from lsdx.errors import ArgumentError, SelectionError, located
from lsdx.kernels import arrangements, contrasts
from lsdx.kernels.cohort import icc as intraclass


def power(
    x: xr.DataArray | xr.Dataset,
    *,
    effects: Sequence[float] = (0.5, 1.0, 1.5, 2.0, 3.0),
    icc: float | None = None,
    between: tuple[str, str] | None = ("pre", "post"),
    conditions: tuple[str, str] | None = None,
    by: str | Sequence[str] | None = None,
    reduce: str = "mean",
    strata: Sequence[str] = STRATA,
    alpha: float = 0.05,
    n_draws: int = 1000,
    n_permutations: int = 999,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Return how often the design of these sessions would find an effect of a given size.

    Parameters
    ----------
    x : DataArray or Dataset
        A measure over ``session`` or ``unit``, as in `lsdx.analysis.cohort.compare_conditions`.
    between, conditions, by, reduce, strata, n_permutations : object
        As there: which comparison is simulated.
    rng : Generator or int, optional
    effects : sequence of float
        In standard deviations of a session's value; 0 gives the level of the test.
    icc : float, optional
        Correlation of sessions of one mouse, from 0 to below 1; by default that of ``x``, over its
        cells the median, at least 0.
    alpha : float
        Found is ``p <= alpha``.
    n_draws : int
        Simulated cohorts.

    Returns
    -------
    Dataset
        ``power`` over (effect,), float64 from 0 to 1; ``difference`` (effect, ...), the effect in
        the unit of the values, by the spread of each cell. NaN where nothing can be permuted.

    Raises
    ------
    SelectionError, ArgumentError
        As `lsdx.analysis.cohort.compare_conditions` does.

    Notes
    -----
    Normal values on the sessions, mice and conditions that there are: a part that the sessions of a
    mouse share, of variance ``icc``, the rest each session's own, and the effect in the sessions of
    the first condition. They are compared as `lsdx.analysis.cohort.compare_conditions` does. Where
    ``p_least`` is above ``alpha``, no effect can be found, however large. On the layout of
    `lsdx.kernels.contrasts.stratified` it gives, within the error of 4,000 draws, the powers that
    are stated there of 20,000 data sets drawn by themselves. It holds for normal values and for an
    effect that is the same in all mice.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().sel(epoch="spontaneous")
    >>> found = u.lsd.rates().lsd.power(n_draws=100, rng=0)
    >>> found.power.dims, bool(found.power.isnull().all())  # of the demo nothing can be permuted
    (('effect',), True)
    """
    where = "power"
    sizes = np.asarray(effects, dtype=np.float64)
    if sizes.ndim != 1 or not sizes.size or not np.isfinite(sizes).all():
        raise ArgumentError(located(f"{where}, effects", "numbers", repr(effects)))
    number_between(alpha, f"{where}, alpha", 0, 1)
    whole_number(n_draws, f"{where}, n_draws", least=1)
    whole_number(n_permutations, f"{where}, n_permutations", least=1)
    values = session_values(x, where, between=between, by=by, reduce=reduce)
    named = conditions_of(x, values, conditions, where)
    known = np.isfinite(values.values).any(axis=1)
    values = values.take(known & np.isin(values.label("condition").astype(str), named))
    if not len(values.table):
        raise SelectionError(located(where, "sessions with a value", "none"))
    condition = values.label("condition").astype(str)
    first = condition == named[0]
    refuse_unknown_strata(values, strata, where)
    mouse, _ = codes_of(values, ["subject"])
    stratum, _ = codes_of(values, ["subject", *strata])
    residual = values.values - _condition_means(values.values, first)
    if icc is None:
        of_cells = [intraclass(r[np.isfinite(r)], mouse[np.isfinite(r)]) for r in residual.T]
        told = [v for v in of_cells if np.isfinite(v)]
        icc = float(np.clip(np.median(told), 0, 0.99)) if told else 0.0
    number_between(icc, f"{where}, icc", 0, 1, ends="low")
    seed = seed_of(rng)
    generator = np.random.default_rng(seed)
    ways = arrangements.conditions_within(first, stratum, n_permutations, generator)
    shared = generator.normal(size=(int(mouse.max()) + 1, n_draws))[mouse]
    noise = np.sqrt(icc) * shared + np.sqrt(1 - icc) * generator.normal(size=shared.shape)
    found = np.full(sizes.size, np.nan)
    if ways.count > 1:
        for i, size in enumerate(sizes):
            drawn = noise + size * first[:, None]
            null = contrasts.stratified(drawn, stratum, mouse, ways.values).null
            found[i] = float((contrasts.permutation_p(null) <= alpha).mean())
    with np.errstate(invalid="ignore", divide="ignore"):
        n = np.isfinite(residual).sum(axis=0)
        spread = np.sqrt(np.nansum(residual**2, axis=0) / np.where(n > 2, n - 2, np.nan))
    units = str(values.attrs.get("units", "1"))
    difference = (sizes[:, None] * spread).reshape(sizes.size, *values.shape)
    return xr.Dataset(
        {
            "power": ("effect", found, {"units": "1", "long_name": "Share of cohorts found"}),
            "difference": (("effect", *values.dims), difference, {"units": units}),
        },
        {"effect": ("effect", sizes, {"units": "1"}), **values.coords},
        {
            **values.source,
            "conditions": list(named),
            "icc": icc,
            "alpha": alpha,
            "p_least": ways.p_least,
            "n_arrangements": ways.count,
            "n_draws": n_draws,
            "seed": str(seed),
            "note": "" if ways.count > 1 else "nothing can be permuted: there is no p",
        },
    )


def _condition_means(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the mean of each session's condition, by cell."""
    out = np.full(values.shape, np.nan)
    for rows in (first, ~first):
        if rows.any():
            known = np.isfinite(values[rows])
            with np.errstate(invalid="ignore", divide="ignore"):
                out[rows] = np.where(known, values[rows], 0).sum(axis=0) / known.sum(axis=0)
    return out
