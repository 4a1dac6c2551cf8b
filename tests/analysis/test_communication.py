"""Regions that talk through two dimensions, that share nothing, and that never met."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from lsdx.analysis.communication import communication
from lsdx.errors import ArgumentError, SelectionError

N_BINS = 400


def recording(seed: int, *, shared: int = 2, regions: tuple[str, ...] = ("V", "H")) -> xr.Dataset:
    """Return counts of one session a seed: 12 units of V, 24 of H, ``shared`` latents of both."""
    rng = np.random.default_rng(seed)
    names = np.repeat(regions, [12, 24][: len(regions)])
    counts = rng.normal(size=(names.size, 2, N_BINS))
    for phase in range(2):
        latent = rng.normal(size=(shared, N_BINS))
        counts[:, phase] += rng.normal(size=(names.size, shared)) @ latent
    return xr.Dataset(
        {"counts": (("unit", "phase", "time"), counts)},
        {
            "unit": [f"{seed}-{i}" for i in range(names.size)],
            "session": ("unit", np.full(names.size, f"s{seed}", dtype=object)),
            "group": ("unit", names.astype(object)),
            "phase": ["pre", "post"],
        },
        {"bin_width": 1.0},
    )


def told(ds: xr.Dataset, **options: Any) -> xr.Dataset:
    return communication(ds, source="V", target="H", **{"n_shifts": 39, "rng": 0} | options)


def test_two_shared_dimensions_are_found_and_the_ceiling_is_the_same() -> None:
    ds = xr.concat([recording(s) for s in range(3)], dim="unit")
    found = told(ds)
    assert found.r2.dims == ("session", "phase")
    assert found.rank_curve.dims == ("session", "phase", "rank")
    assert (found.best_rank == 2).mean() >= 0.8
    assert (found.best_rank_ceiling == 2).mean() >= 0.8
    assert (found.p == 1 / 40).all()
    # both halves and the source carry the same latents, through as many units
    assert float(found.r2.mean()) == pytest.approx(float(found.r2_ceiling.mean()), abs=0.08)
    assert (found.n_units == 12).all()
    assert (found.note == "").all()
    assert (found.rank_curve.sel(rank=0) == 0).all()
    assert found.rank_curve.sel(rank=slice(13, None)).isnull().all()


def test_regions_that_share_nothing_have_rank_0_while_the_ceiling_stays() -> None:
    ds = xr.concat([recording(s, shared=0) for s in range(10)], dim="unit")
    own = ds.counts.copy(deep=True)
    rng = np.random.default_rng(0)
    for s in range(10):  # the target's own latent
        mine = np.flatnonzero((ds.session.values == f"s{s}") & (ds.group.values == "H"))
        own[mine] += np.multiply.outer(rng.normal(size=24), rng.normal(size=(2, N_BINS)))
    found = told(ds.assign(counts=own))
    assert (found.best_rank == 0).mean() >= 0.85
    assert (found.best_rank_ceiling == 1).mean() >= 0.85
    assert (found.p <= 0.05).mean() <= 0.15
    assert float(abs(found.r2).max()) < 0.05
    assert float(found.r2_ceiling.min()) > 0.05


def test_chunks_change_nothing() -> None:
    ds = xr.concat([recording(s) for s in range(2)], dim="unit")
    lazy = told(ds.chunk(unit=7, time=100), n_shifts=5)
    assert hasattr(lazy.r2.data, "dask")
    xr.testing.assert_allclose(lazy.compute(), told(ds, n_shifts=5))


def test_regions_never_recorded_together_are_nan_with_a_note() -> None:
    ds = xr.concat(
        [recording(0), recording(1, regions=("V",)), recording(2).isel(unit=slice(9, 20))], "unit"
    )
    found = told(ds, n_shifts=0)
    assert (found.note.sel(session="s1") == "not recorded together").all()
    assert (found.note.sel(session="s2") == "too few units").all()
    assert np.isnan(found.r2.sel(session=["s1", "s2"])).all()
    assert np.isfinite(found.r2.sel(session="s0")).all()
    assert found.n_units.values.tolist() == [12, 0, 0]
    # what is not compared takes no units from the others
    short = told(ds.isel(time=slice(20)), n_shifts=0)
    assert short.note.sel(session="s0").values.tolist() == ["too few bins for folds and gap"] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "X", "target": "H"}, "values of group: H, V, found 'X'"),
        ({"source": [], "target": "H"}, "values of group"),
        ({"source": "V", "target": ["V", "H"]}, "units that are not the source's, found V"),
        ({"source": "V", "target": "H", "label": "layer"}, "communication, label"),
        ({"source": "V", "target": "H", "max_rank": 0}, "at least 1"),
        ({"source": "V", "target": "H", "match_units": "max"}, "communication, match_units"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((ArgumentError, SelectionError), match=message):
        communication(recording(0), **arguments)
