"""Prediction of behaviour in held-out blocks, with its null, against a loop over RidgeCV."""

from __future__ import annotations

from collections.abc import Iterator

import dask.array as da
import numpy as np
import xarray as xr

from benchmarks.timing import Result, measure, timed
from lsdx.analysis.prediction import predict
from lsdx.kernels.folds import blocked_folds
from lsdx.kernels.regression import PENALTIES, ridge


def predicting(quick: bool) -> Iterator[Result]:
    """Return the prediction of six features in six epochs of a cohort."""
    n_sessions, n_units, n_bins, n_shifts = (1, 20, 1500, 5) if quick else (40, 500, 3000, 199)
    counts, behavior = _cohort(n_sessions, n_units, n_bins)
    told = f"{n_sessions} sessions x {n_units} units x {n_bins:,} bins x 6 epochs"
    job = f"predict: {told}, 6 features, 5 folds, 10 penalties, {n_shifts} shifts"

    def ours() -> None:
        predict(counts, behavior, n_shifts=n_shifts, rng=0).compute()

    done = measure(job, ours, runs=1)
    x = counts["counts"][:n_units, 0, 0].values.T.astype(np.float64)
    y = behavior["behavior"][0, :, 0, 0].values.T.astype(np.float64)
    seconds, found = timed(lambda: _loop(x, y[:, :1]))
    folds = blocked_folds(np.ones(n_bins, dtype=bool), 5, gap=50)
    if not np.allclose(found, ridge(x, y[:, :1], folds).r2, atol=0.02):
        raise RuntimeError(f"{job}: the loop finds {found}")
    # a feature of one epoch, without shifts, was timed
    times = 6 * 6 * n_sessions * (n_shifts + 1) / 2  # on two cores
    name = "loop over RidgeCV, folds, features and shifts (one fit of 5 folds timed)"
    yield Result(
        job, done.seconds, done.limit, done.peak, {name: f"{seconds * times / done.seconds:.3g} x"}
    )


def _cohort(n_sessions: int, n_units: int, n_bins: int) -> tuple[xr.Dataset, xr.Dataset]:
    """Return counts, made as they are asked for, and behaviour that follows some units."""
    shape = (n_units, 2, 3, n_bins)

    def made(block_info: dict) -> np.ndarray:
        seed = block_info[None]["chunk-location"][0]
        return _counts(seed, shape)

    counts = da.map_blocks(
        made,
        chunks=((n_units,) * n_sessions, (2,), (3,), (n_bins,)),
        dtype=np.float32,
        meta=np.empty((0, 0, 0, 0), dtype=np.float32),
    )
    first = _counts(0, shape)[:6].transpose(1, 2, 0, 3)
    behavior = np.random.default_rng(1).normal(size=(n_sessions, 6, 2, 3, n_bins))
    behavior[0] += first.transpose(2, 0, 1, 3)
    dims = {"phase": ["pre", "post"], "epoch": ["a", "b", "c"]}
    names = [f"s{i:02d}" for i in range(n_sessions)]
    session = np.repeat(np.array(names, dtype=object), n_units)
    ds = xr.Dataset(
        {"counts": (("unit", "phase", "epoch", "time"), counts)},
        {"unit": np.arange(session.size), "session": ("unit", session), **dims},
        {"bin_width": 0.1},
    )
    told = xr.Dataset(
        {"behavior": (("session", "feature", "phase", "epoch", "time"), behavior)},
        {"session": names, "feature": list("abcdef"), **dims},
        {"bin_width": 0.1},
    )
    return ds, told


def _counts(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    # quick to make: they are made when they are asked for
    return np.random.default_rng(seed).integers(0, 3, shape, dtype=np.uint8).astype(np.float32)


def _loop(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold
    from sklearn.preprocessing import StandardScaler

    folds = blocked_folds(np.ones(len(x), dtype=bool), 5, gap=50)
    r2 = []
    for target in y.T:
        sse = sst = 0.0
        for f in range(5):
            train, test = folds.train(f), folds.test(f)
            scaler = StandardScaler().fit(x[train])
            model = RidgeCV(PENALTIES * train.size, cv=KFold(4))
            model.fit(scaler.transform(x[train]), target[train])
            sse += np.sum((target[test] - model.predict(scaler.transform(x[test]))) ** 2)
            sst += np.sum((target[test] - target[train].mean()) ** 2)
        r2.append(1 - sse / sst)
    return np.array(r2)
