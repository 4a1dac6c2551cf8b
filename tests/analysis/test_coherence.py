"""Coherence of two areas that share a source in one phase."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import signal

from lsdx.analysis.coherence import coherence
from lsdx.errors import ArgumentError

N, BIN, T = 10, 0.1, 1500
HOW: dict[str, Any] = {"source": "a", "target": "b", "label": "area", "rng": 0, "n_shifts": 19}


@pytest.fixture(scope="module")
def ds() -> xr.Dataset:
    """Two sessions, two phases; a and b share their course in the phase post alone."""
    rng = np.random.default_rng(0)
    counts = np.empty((4 * N, 2, T), dtype=np.float32)
    for s in range(2):
        x = signal.lfilter([0.45], [1, -0.9], rng.normal(size=(3, T)))
        for p, course in enumerate((x[[0, 1]], x[[2, 2]])):
            rate = (8, 5)[p] * BIN * np.exp(0.6 * course)
            counts[2 * N * s : 2 * N * (s + 1), p] = rng.poisson(rate.repeat(N, axis=0))
    name = np.repeat(np.array(["s0", "s1"], dtype=object), 2 * N)
    return xr.Dataset(
        {"counts": (("unit", "phase", "time"), counts)},
        {
            "unit": [f"{s}-{i}" for i, s in enumerate(name)],
            "session": ("unit", name),
            "condition": ("unit", np.repeat(np.array(["lsd", "saline"], dtype=object), 2 * N)),
            "area": ("unit", np.tile(np.repeat(np.array(["a", "b"], dtype=object), N), 2)),
            "phase": ["pre", "post"],
        },
        {"bin_width": BIN},
    )


def test_it_is_that_of_the_mean_z_scored_counts(ds: xr.Dataset) -> None:
    out = coherence(ds, match_rates=False, segment="5 s", **HOW)
    assert out.coherence.dims == ("session", "phase", "frequency")
    x = ds.counts.values[2 * N :, 1]
    z = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    f, expected = signal.coherence(z[:N].mean(axis=0), z[N:].mean(axis=0), fs=10, nperseg=50)
    one = out.sel(session="s1", phase="post")
    np.testing.assert_allclose(one.coherence_raw, expected[1:], rtol=1e-5)
    np.testing.assert_allclose(out.frequency, f[1:])
    n = one.n_independent
    np.testing.assert_allclose(one.coherence, (one.coherence_raw - 1 / n) / (1 - 1 / n))
    assert (one.n_segments.item(), one.n_units_source.item()) == (59, N)
    assert out.condition.values.tolist() == ["lsd", "saline"]


def test_a_shared_source_is_found(ds: xr.Dataset) -> None:
    out = coherence(ds, draws=2, segment="5 s", **HOW)
    low = out.sel(frequency=slice(0.1, 0.7))
    assert (low.coherence.sel(phase="post").mean("frequency") > 0.4).all()
    assert (abs(low.coherence.sel(phase="pre").mean("frequency")) < 0.1).all()
    assert (low.p_corrected.sel(phase="post").min("frequency") == 1 / 20).all()
    n = out.n_independent.isel(phase=0)
    np.testing.assert_allclose(out.chance.mean("frequency"), (1 / n).mean(), rtol=0.15)
    assert ((out.coherence_raw >= 0) & (out.coherence_raw <= 1)).all()


def test_draws_belong_to_labels_and_chunks_change_nothing(ds: xr.Dataset) -> None:
    how = {**HOW, "draws": 2}
    whole = coherence(ds, **how)
    lazy = coherence(ds.chunk({"unit": 7, "phase": 1, "time": 100}), **how)
    assert all(hasattr(v.data, "dask") for v in lazy.data_vars.values())
    xr.testing.assert_identical(lazy.compute(), whole)
    turned = coherence(ds.isel(unit=slice(None, None, -1), phase=[1, 0]), **how)
    xr.testing.assert_allclose(turned.reindex_like(whole), whole)
    alone = coherence(ds.sel(unit=ds.session == "s1"), **how)
    xr.testing.assert_allclose(alone, whole.sel(session=["s1"]))


def test_swapping_changes_no_coherence(ds: xr.Dataset) -> None:
    one, other = coherence(ds, **HOW), coherence(ds, **{**HOW, "source": "b", "target": "a"})
    xr.testing.assert_allclose(one.coherence, other.coherence)


def test_too_little_is_not_a_number(ds: xr.Dataset) -> None:
    some = ds.sel(unit=(ds.session == "s0") | (ds.area == "a"))
    out = coherence(some, **HOW)
    assert (
        out.note.sel(session="s1").values.tolist()
        == ["0 units of the target, fewer than min_units=5"] * 2
    )
    assert np.isnan(out.coherence.sel(session="s1")).all()
    assert np.isfinite(out.coherence.sel(session="s0")).all()
    short = coherence(ds.isel(time=slice(0, 240)), **HOW, min_spikes=5)
    assert set(short.note.values.ravel()) == {"3 segments, fewer than 4"}
    no_p = coherence(ds.isel(time=slice(0, 500)), **HOW)
    assert set(no_p.note.values.ravel()) == {"too short to shift: no p"}
    assert no_p.coherence.notnull().all()
    assert no_p.p.isnull().all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": "a"}, "units that are not the source's, found a"),
        ({"target": "c"}, "values of area: a, b, found 'c'"),
        ({"label": "region"}, "coherence, label"),
        ({"segment": 0.25}, "a whole number of bins"),
        ({"segment": "0.2 s"}, "at least 4"),
        ({"n_shifts": -1}, "coherence, n_shifts"),
        ({"draws": 0}, "coherence, draws"),
        ({"min_units": 0}, "coherence, min_units"),
    ],
)
def test_wrong_arguments_are_refused(ds: xr.Dataset, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        coherence(ds, **{**HOW, **options})


def test_counts_that_are_not_whole_are_not_thinned_and_this_is_said(ds: xr.Dataset) -> None:
    halved = ds.assign(counts=ds.counts * 0.5)
    found = coherence(halved, **HOW)
    assert (found.note == "rates not matched: counts are not whole").all()
    own = coherence(halved, **HOW, match_rates=False)
    assert (own.note == "").all()
    xr.testing.assert_allclose(found.coherence, own.coherence)


def test_signals_may_be_any_numbers() -> None:
    """A shared source, SNR 1 on each side, as Gaussian series: (1/2)^2."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=20_000)
    counts = shared + rng.normal(size=(2, 20_000))
    ds = xr.Dataset(
        {"counts": (("unit", "time"), counts)},
        {"unit": ["a", "b"], "session": ("unit", ["s", "s"]), "group": ("unit", ["V", "H"])},
        {"bin_width": 0.1},
    )
    found = coherence(ds, source="V", target="H", min_units=1, n_shifts=0)
    assert float(found.coherence.mean()) == pytest.approx(0.25, abs=0.02)
