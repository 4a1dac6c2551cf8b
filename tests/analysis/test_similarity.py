"""Labelled results: the same for any chunks and order, with notes, and wrong arguments refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from lsdx.analysis.decay import decay_constant
from lsdx.analysis.population_complexity import population_complexity
from lsdx.analysis.similarity import similarity, time_similarity
from lsdx.analysis.subspace_curve import subspace_curve
from lsdx.analysis.subspaces import subspaces
from lsdx.errors import ArgumentError
from lsdx.kernels.similarity import crossvalidated_distance

CASES: list[tuple[Callable[..., xr.Dataset], dict[str, Any]]] = [
    (similarity, {"n_folds": 4, "min_units": 10}),
    (time_similarity, {"include": "dimension", "min_units": 10}),
    (
        population_complexity,
        {"window": "0.5 s", "n_surrogates": 2, "min_units": 10, "draws": 2, "rng": 1},
    ),
    (subspace_curve, {"max_components": 6, "min_units": 10, "draws": 2, "rng": 1}),
]


@pytest.fixture(scope="module")
def ds() -> xr.Dataset:
    """Two sessions of 24 and 12 units, two phases, two epochs of 120 s and 110 s."""
    rng = np.random.default_rng(0)
    names = np.repeat(["s0", "s1"], [24, 12]).astype(object)
    rate = rng.lognormal(1, 0.5, (36, 2, 1, 1)) * np.exp(0.3 * rng.normal(size=(36, 1, 1, 240)))
    counts = rng.poisson(np.broadcast_to(rate * 0.5, (36, 2, 2, 240))).astype(np.float32)
    counts[:, :, 1, 220:] = np.nan
    return xr.Dataset(
        {"counts": (("unit", "phase", "epoch", "time"), counts)},
        {
            "unit": [f"u{i}" for i in range(36)],
            "session": ("unit", names),
            "condition": ("unit", np.where(names == "s0", "lsd", "saline").astype(object)),
            "phase": ["pre", "post"],
            "epoch": ["a", "b"],
            "time": np.arange(240) * 0.5 + 0.25,
        },
        {"bin_width": 0.5},
    )


@pytest.mark.parametrize(("measure", "options"), CASES)
def test_numbers_do_not_depend_on_chunks_order_or_neighbours(
    ds: xr.Dataset, measure: Callable[..., xr.Dataset], options: dict[str, Any]
) -> None:
    whole = measure(ds, **options)
    assert (whole.note == "").all()
    assert whole.n_units.values.tolist() == [24, 12]
    assert whole.condition.values.tolist() == ["lsd", "saline"]
    for chunks in ({"unit": 7}, {"unit": -1, "phase": 1, "epoch": 1}):
        lazy = measure(ds.chunk(chunks), **options)
        assert all(hasattr(v.data, "dask") for v in lazy.data_vars.values())
        xr.testing.assert_allclose(lazy.compute(), whole)
    one = measure(ds.isel(unit=ds.session == "s1"), **options)
    xr.testing.assert_allclose(one, whole.sel(session=["s1"]))
    turned = measure(ds.isel(unit=slice(None, None, -1)), **options)
    xr.testing.assert_allclose(turned.sel(session=whole.session), whole)
    for name, v in whole.data_vars.items():
        assert v.attrs["long_name"]
        assert v.attrs.get("units") == (None if name == "note" else "1")


@pytest.mark.parametrize(("measure", "options"), CASES)
def test_small_groups_and_missing_epochs_are_nan_with_a_note(
    ds: xr.Dataset, measure: Callable[..., xr.Dataset], options: dict[str, Any]
) -> None:
    few = measure(ds, **options | {"min_units": 20})
    assert set(few.note.sel(session="s1").values.ravel()) == {"12 units, fewer than min_units=20"}
    assert (few.note.sel(session="s0") == "").all()
    gone = ds.assign(counts=ds.counts.where((ds.epoch != "b") | (ds.phase != "post")))
    found = measure(gone, **options)
    assert any("not observed" in n for n in found.note.values.ravel())
    assert any(n == "" for n in found.note.values.ravel())
    for name, v in measure(gone.sel(epoch=["b"], phase=["pre", "post"]), **options).items():
        if v.ndim == 3 and "other" in v.dims:
            assert v.isnull().sum() >= v.size / 2, name


def test_similarity_of_cells_has_their_labels(ds: xr.Dataset) -> None:
    found = similarity(ds, n_folds=4, gap=0, min_units=10, window=None)
    assert found.distance.dims == ("session", "cell", "other")
    assert found.cell.values.tolist() == ["pre/a", "pre/b", "post/a", "post/b"]
    assert found.other_phase.values.tolist() == ["pre", "pre", "post", "post"]
    assert found.epoch.values.tolist() == ["a", "b", "a", "b"]
    counts = ds.counts.values[:24].astype(float)
    cells = [counts[:, p, e, : (240, 220)[e]] for p in range(2) for e in range(2)]
    sd = np.sqrt(np.mean([c.var(axis=1, ddof=1) for c in cells], axis=0))
    folds = np.stack([c.reshape(24, 4, -1).mean(axis=2).T / sd for c in cells])
    np.testing.assert_allclose(found.distance[0], crossvalidated_distance(folds))
    np.testing.assert_allclose(found.correlation[0], np.corrcoef(folds.mean(axis=1)))
    r = found.reliability.values
    np.testing.assert_allclose(found.ceiling, np.sqrt(r[:, :, None] * r[:, None]))


def test_one_window_of_noise_is_the_unit_of_distance(ds: xr.Dataset) -> None:
    rng = np.random.default_rng(1)
    counts = rng.normal(0, 1, (24, 2, 2, 240))
    counts[:, 1] += 2.0
    gauss = ds.isel(unit=slice(24)).assign(counts=(ds.counts.dims, counts))
    for window, expected in ((None, 4.0), ("2 s", 16.0)):  # 4 bins: mean by 4, sd by 2
        found = similarity(gauss, window=window, min_spikes=-np.inf).distance[0]
        assert float(found.sel(cell="pre/a", other="post/a")) == pytest.approx(expected, rel=0.1)
        assert abs(float(found.sel(cell="pre/a", other="pre/b"))) < 0.1


def test_times_of_one_session(ds: xr.Dataset) -> None:
    one = ds.isel(unit=slice(24))
    found = time_similarity(one, window="1 s")
    assert found.similarity.dims == ("session", "window", "other")
    assert found.sizes["window"] == 4 * 120
    assert found.time.values[[0, 119, 120]].tolist() == [0.5, 119.5, 0.5]
    assert found.window_phase.values[[0, 239, 240]].tolist() == ["pre", "pre", "post"]
    assert found.window_epoch.values[[0, 119, 120]].tolist() == ["a", "a", "b"]
    seen = found.similarity[0].notnull().any("other").values
    assert (~seen).reshape(4, 120).sum(axis=1).tolist() == [0, 10, 0, 10]
    np.testing.assert_allclose(np.diag(found.similarity[0])[seen], 1, rtol=1e-6)
    lazy = time_similarity(one.chunk(unit=5), window="1 s")
    assert hasattr(lazy.similarity.data, "dask")
    xr.testing.assert_allclose(lazy.compute(), found)
    only = time_similarity(one, window="1 s", include="dimension")
    assert "similarity" not in only
    np.testing.assert_allclose(only.dimension, found.dimension)


def test_a_curve_is_what_subspaces_gives_for_each_number(ds: xr.Dataset) -> None:
    options: dict[str, Any] = {"min_units": 10, "draws": 3, "rng": 5}
    curve = subspace_curve(ds, max_components=15, **options)
    for n in (1, 4, 9):
        one = subspaces(ds, n_components=n, **options)
        at = curve.sel(component=n)
        for name in ("similarity", "similarity_between", "similarity_chance"):
            np.testing.assert_allclose(at[name], one[name], err_msg=name)
        weights = xr.DataArray([3, 2, 1], dims="lag")  # pairs of quarters of each lag
        within = one.similarity_within.weighted(weights).mean("lag")
        np.testing.assert_allclose(at.similarity_within.transpose(*within.dims), within)
    small = curve.sel(session="s1").similarity
    assert small.sel(component=slice(1, 11)).notnull().all()  # of 12 units
    assert small.sel(component=slice(12, None)).isnull().all()


def test_decay_of_spectra_keeps_labels_and_is_lazy() -> None:
    tau = xr.DataArray([2.0, 5.0], dims="session", coords={"session": ["a", "b"]})
    rank = xr.DataArray(np.arange(1, 41), dims="rank")
    spectra = np.exp(-(rank - 1) / tau)
    xr.testing.assert_allclose(decay_constant(spectra), tau)
    lazy = decay_constant(spectra.chunk(session=1, rank=10))
    assert hasattr(lazy.data, "dask")
    xr.testing.assert_allclose(lazy.compute(), tau)
    with pytest.raises(ArgumentError, match="a DataArray over 'rank'"):
        decay_constant(tau)
    with pytest.raises(ArgumentError, match="a DataArray over 'rank'"):
        decay_constant(spectra.to_dataset(name="spectrum"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("measure", "options", "words"),
    [
        (similarity, {"n_folds": 3}, "n_folds: expected a whole number of at least 4"),
        (similarity, {"gap": -1}, "a duration from 0"),
        (similarity, {"window": "0.7 s"}, "whole numbers of bins of 0.5 s"),
        (similarity, {"by": "nothing"}, "distinct labels on unit"),
        (time_similarity, {}, "one session, whose matrix is large, found 2"),
        (time_similarity, {"measure": "dot"}, "one of 'cosine', 'correlation'"),
        (time_similarity, {"include": "all"}, "different ones of similarity, dimension"),
        (time_similarity, {"n_components": 0}, "whole number of at least 1"),
        (population_complexity, {"signal": "majority"}, "one of 'mean', 'pc1'"),
        (population_complexity, {"n_surrogates": 0}, "whole number of at least 1"),
        (population_complexity, {}, "whole numbers of bins of 0.5 s"),
        (subspace_curve, {"between": "time"}, "a dimension of two labels"),
        (subspace_curve, {"max_components": 0}, "whole number of at least 1"),
    ],
)
def test_wrong_arguments_are_refused(
    ds: xr.Dataset, measure: Callable[..., xr.Dataset], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ArgumentError, match=words):
        measure(ds, **options)


def test_one_cell_has_nothing_to_be_compared_with(ds: xr.Dataset) -> None:
    with pytest.raises(ArgumentError, match="two cells or more"):
        similarity(ds.sel(phase="pre", epoch="a"))


def test_rates_cannot_be_thinned(ds: xr.Dataset) -> None:
    halved = ds.assign(counts=ds.counts * 0.5)
    for measure, options in CASES[2:]:
        with pytest.raises(ArgumentError, match="which can be thinned"):
            measure(halved, **options)
        assert (measure(halved, **options | {"match_rates": False}).note == "").all()


def test_counts_of_a_selection_have_their_other_labels(ds: xr.Dataset) -> None:
    found = similarity(ds.sel(epoch="a"), n_folds=4, min_units=10)
    assert found.cell.values.tolist() == ["pre", "post"]
    assert found.epoch.item() == "a"
    one = population_complexity(
        ds.sel(epoch="a", phase="pre"), window="0.5 s", min_units=10, n_surrogates=1, rng=0
    )
    assert one.complexity.dims == ("session",)


def test_times_of_one_epoch_without_dimension(ds: xr.Dataset) -> None:
    one = ds.isel(unit=ds.session.values == ds.session.values[0])
    cells = {d: [0] for d in ds.counts.dims if d not in ("unit", "time")}
    told = time_similarity(one.isel(cells), min_units=2)
    alone = one.isel(dict.fromkeys(cells, 0), drop=True)
    found = time_similarity(alone, min_units=2)
    np.testing.assert_array_equal(found.similarity, told.similarity)
