"""Over mice: the hierarchical bootstrap and permutations within strata, against loops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from benchmarks.timing import Result, measure, timed
from lsdx.analysis.cohort import compare_conditions
from lsdx.analysis.resampled import hierarchical_bootstrap

# mouse, year, sessions of LSD and of saline: the layout of the recordings
DESIGN = [
    *[(0, 2025, 2, 3), (1, 2025, 1, 3), (2, 2025, 1, 2), (3, 2025, 0, 1)],
    *[(m, 2025, 3, 0) for m in (4, 5)],
    *[(m, 2022 + m % 2, 2 + m % 2, 0) for m in range(6, 16)],
]


def resampling(quick: bool) -> Iterator[Result]:
    """Return the bootstrap of many units, and a comparison of many measures and regions."""
    yield _bootstrap(50 if quick else 15_000, 100 if quick else 10_000)
    yield _permutations((2, 2) if quick else (12, 3, 7), 50 if quick else 9999)


def _bootstrap(n_units: int, n_draws: int) -> Result:
    rng = np.random.default_rng(0)
    session = np.sort(rng.integers(0, 34, n_units))
    mouse = session % 15
    values = rng.normal(size=n_units) + rng.normal(size=15)[mouse]
    labels = {"subject": mouse.astype(str), "session": session.astype(str)}
    coords = {n: ("unit", v.astype(object)) for n, v in labels.items()}
    x = xr.DataArray(values, {"unit": np.arange(n_units), **coords}, ["unit"])
    found: list[xr.Dataset] = []

    def ours() -> None:
        found[:] = [hierarchical_bootstrap(x, n_draws=n_draws, rng=0)]

    job = f"hierarchical bootstrap: {n_units:,} units of 34 sessions of 15 mice, {n_draws:,} draws"
    done = measure(job, ours)
    table = pd.DataFrame({"value": values, **labels})
    few = 20
    seconds, draws = timed(lambda: _loop_of_draws(table, few))
    mean, spread = float(found[0]["draws"].mean()), float(found[0]["draws"].std())
    # three standard errors of so few draws
    agree = abs(np.mean(draws) - mean) <= 3 * spread / few**0.5
    if not (agree and abs(np.std(draws) - spread) <= 3 * spread / (2 * few) ** 0.5):
        told = f"{np.mean(draws)} and {np.std(draws)} of the loop"
        raise RuntimeError(f"{job}: {told} against {mean} and {spread}")
    name = f"pandas loop over draws, {few} of them"
    return _with(done, name, seconds * n_draws / few)


def _loop_of_draws(table: pd.DataFrame, n: int) -> list[float]:
    rng = np.random.default_rng(1)
    of_mouse = {m: list(t.groupby("session")) for m, t in table.groupby("subject")}
    mice = list(of_mouse)
    means = []
    for _ in range(n):
        drawn = []
        for mouse in rng.choice(mice, len(mice)):
            sessions = of_mouse[mouse]
            drawn += [
                sessions[s][1]["value"].sample(frac=1, replace=True, random_state=rng)
                for s in rng.integers(0, len(sessions), len(sessions))
            ]
        means.append(float(pd.concat(drawn).mean()))
    return means


def _permutations(shape: tuple[int, ...], n: int) -> Result:
    rows = [
        (f"m{m}", year, condition)
        for m, year, lsd, saline in DESIGN
        for condition in ["lsd"] * lsd + ["saline"] * saline
    ]
    table = pd.DataFrame(rows, columns=["subject", "cohort_year", "condition"])
    table = pd.concat([table, table.assign(subject=table["subject"] + "b")], ignore_index=True)
    rng = np.random.default_rng(0)
    dims = ["region", "epoch", "measure"][: len(shape)]
    values = rng.normal(size=(len(table), *shape))
    coords: dict[str, Any] = {n: ("session", table[n].to_numpy(dtype=object)) for n in table}
    ids = [f"s{i:03d}" for i in range(len(table))]
    x = xr.DataArray(values, {"session": ids, **coords}, ["session", *dims])
    found: list[xr.Dataset] = []

    def ours() -> None:
        found[:] = [compare_conditions(x, between=None, n_permutations=n, rng=0)]

    job = f"compare {' x '.join(map(str, shape))} cells over mice, {n:,} permutations"
    done = measure(job, ours)
    flat = pd.DataFrame(values.reshape(len(table), -1))
    few = min(n, 20)
    observed = _difference(table, flat)
    if not np.allclose(observed, found[0]["estimate"].values.ravel()):
        raise RuntimeError(f"{job}: the loop gives another estimate")
    seconds, _ = timed(lambda: _loop_of_permutations(table, flat, few))
    return _with(done, f"pandas loop over permutations, {few} of them", seconds * n / few)


def _difference(table: pd.DataFrame, values: pd.DataFrame) -> np.ndarray:
    """Return the mean over mice of the difference within mouse and year, by cell."""
    keys = [table[n] for n in ("subject", "cohort_year", "condition")]
    means = values.groupby(keys).mean()
    difference = means.xs("lsd", level=2) - means.xs("saline", level=2)
    return difference.dropna(how="all").groupby(level=0).mean().mean().to_numpy()


def _loop_of_permutations(table: pd.DataFrame, values: pd.DataFrame, n: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    null = []
    for _ in range(n):
        of_strata = table.groupby(["subject", "cohort_year"])["condition"]
        shuffled = of_strata.transform(lambda c: rng.permutation(c.to_numpy()))
        null.append(_difference(table.assign(condition=shuffled), values))
    return np.array(null)


def _with(done: Result, name: str, seconds: float) -> Result:
    """Return a result with the time of another way, of which a part was run."""
    told = {name: f"{seconds / done.seconds:.3g} x"}
    return Result(done.job, done.seconds, done.limit, done.peak, told)
