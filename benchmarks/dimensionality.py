"""Dimensionality: spectra, loadings, windows, and the whole cohort from its stores."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import lsdx
from benchmarks.cohort import Cohort
from benchmarks.timing import Result, compare, measure
from lsdx.kernels.spectra import explained_variance, principal_components


def _fitted(x: np.ndarray) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    return PCA().fit(StandardScaler().fit_transform(x.astype(np.float64)))


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.allclose(a, b, rtol=0, atol=1e-12))


def spectra(quick: bool) -> Iterator[Result]:
    """Run `_spectra` on one BLAS thread."""
    with threadpool_limits(1, user_api="blas"):
        yield from _spectra(quick)


def _spectra(quick: bool) -> Iterator[Result]:
    """Return spectrum and loadings of one epoch, and spectra of sliding windows, on one thread."""
    rng = np.random.default_rng(0)
    n_bins, sizes, windows = (300, (40,), 2) if quick else (3000, (400, 1000, 2000), 16)
    for n_units in sizes:
        x = rng.poisson(0.5, (n_bins, n_units)).astype(np.float32)

        def theirs(x: np.ndarray = x) -> Any:
            return _fitted(x).explained_variance_ratio_

        yield compare(
            f"spectrum of {n_bins} bins x {n_units} units",
            partial(explained_variance, x),
            {"StandardScaler + PCA": theirs},
            same=_close,
            moved=x.nbytes,
        )

    def loadings(n: int) -> np.ndarray:
        return np.abs(principal_components(x, n_components=n)[1][:, :5])

    def their_loadings() -> np.ndarray:
        return np.abs(_fitted(x).components_.T[:, :5])

    x = rng.poisson(0.5, (n_bins, sizes[len(sizes) // 2])).astype(np.float32)
    for n in (10 if quick else 50, x.shape[1]):
        yield compare(
            f"{n} loadings of {x.shape[1]} units",
            partial(loadings, n),
            {"StandardScaler + PCA, all loadings": their_loadings},
            same=lambda a, b: bool(np.allclose(a, b, atol=1e-6)),
        )
    w = rng.poisson(3, (windows, 300, 40 if quick else 1000)).astype(np.float32)
    m = min(w.shape[1:]) - (w.shape[2] > w.shape[1])

    def of_windows() -> np.ndarray:
        return np.stack([_fitted(x).explained_variance_ratio_[:m] for x in w])

    yield compare(
        f"spectra of {windows} windows of 300 bins x {w.shape[2]} units",
        partial(explained_variance, w),
        {"StandardScaler + PCA of each": of_windows},
        same=_close,
    )


def whole_cohort(cohort: Cohort, quick: bool) -> Iterator[Result]:
    """Measure every epoch of every session from the stores, half of the cohort's units."""
    units = lsdx.open_units(cohort.stores)
    order = units.session.to_series().groupby(units.session.values).cumcount().values
    half = units.isel(unit=np.flatnonzero(order < max(8, cohort.n_units // 2)))
    sizes = f"{half.sizes['unit']} units of {cohort.n_sessions} sessions x 6 epochs"
    few = {"min_units": 4, "draws": 2} if quick else {}
    ways: dict[str, dict[str, Any]] = {
        "single pass": {"match_units": None, "match_rates": False},
        "rates matched, 10 draws": {},
        "levels matched, 20 draws": {"match_units": "min", "match_rates": "all", "draws": 20},
    }
    for name, options in ways.items():

        def run(options: dict[str, Any] = options) -> Any:
            lazy = half.lsd.dimensionality(rng=0, **{**few, **options})
            return lazy.compute(scheduler="threads", num_workers=2)

        yield measure(f"dimensionality of {sizes}, {name}", run, runs=1)
