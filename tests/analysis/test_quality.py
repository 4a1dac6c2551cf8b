"""Quality of units with labels: the kernels' values, lazily, and tables of labels with kappa."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.metrics import cohen_kappa_score

import lsdx
from lsdx.analysis.quality import METRICS, cohens_kappa, compare_labels, quality_metrics
from lsdx.errors import ArgumentError, SelectionError
from lsdx.figures.quality import plot_labels


def test_measures_are_those_of_each_unit_alone(demo_stores: Path) -> None:
    spikes = lsdx.open_spikes(demo_stores)
    found = quality_metrics(spikes, metrics=list(METRICS))
    assert all(v.chunks is not None for v in found.data_vars.values())
    table = found.compute()
    loaded = quality_metrics(spikes.compute(), metrics=list(METRICS))
    xr.testing.assert_identical(loaded.compute(), table)
    for row in range(0, spikes.sizes["unit"], 7):
        own = spikes.isel(unit=row)
        times = spikes.spike_time[int(own.row_start) : int(own.row_start + own.row_size)].values
        end = float(own.last_spike)
        if not times.size:
            assert np.isnan([table[n][row] for n in METRICS]).all()
            continue
        ticks = np.rint(times * 1e5).astype(int)
        n_close = (np.diff(ticks) < 150).sum()
        hill = n_close * end / (2 * times.size**2 * 0.0015)
        assert table.isi_violations[row] == pytest.approx(hill, rel=1e-4)
        presence = np.unique(times[times < end // 60 * 60] // 60).size / (end // 60)
        assert table.presence_ratio[row] == pytest.approx(presence)
        assert table.duplicate_share[row] == (np.diff(ticks) < 25).sum() / times.size
    assert table.contamination.long_name == METRICS["contamination"]
    assert table.attrs["refractory"] == pytest.approx(0.0015)


def test_nothing_is_computed_until_asked(demo_stores: Path) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    with dask.config.set(scheduler=never):
        assert set(quality_metrics(lsdx.open_spikes(demo_stores))) == set(METRICS) - {
            "shared_spikes"
        }


def test_wrong_arguments_are_named(demo_stores: Path) -> None:
    spikes = lsdx.open_spikes(demo_stores)
    with pytest.raises(ArgumentError, match="quality_metrics, metrics"):
        quality_metrics(spikes, metrics="snr")
    for wrong, told in (("1.6 ms", "bins of 0.00025 s"), ("11 ms", "10 ms at the most")):
        with pytest.raises(ArgumentError, match=f"refractory: expected .*{told}"):
            quality_metrics(spikes, refractory=wrong)
    with pytest.raises(ArgumentError, match="censored below refractory"):
        quality_metrics(spikes, censored="2 ms")
    with pytest.raises(SelectionError, match="quality_metrics"):
        quality_metrics(lsdx.open_units(demo_stores))


def labelled(**changes: Any) -> xr.Dataset:
    columns: dict[str, Any] = {
        "bombcell": ["GOOD", "GOOD", "MUA", "NOISE", "", "GOOD", "NON-SOMA"],
        "ks2_label": ["good", "mua", "mua", "mua", "good", "good", ""],
        "session": list("aaaabbb"),
    }
    coords = {n: ("unit", np.array(v, dtype=object)) for n, v in (columns | changes).items()}
    label = [1, 1, 2 / 3, 0, 1 / 3, 0.6666667, np.nan]
    return xr.Dataset({"label": ("unit", label)}, {"unit": list("tuvwxyz"), **coords})


def test_tables_and_kappa_of_labels() -> None:
    found = compare_labels(labelled())
    n = found.n.sel(pair="bombcell, ibl")
    assert n.sel(first="GOOD", second="PASS") == 2
    assert n.sel(first="MUA", second="WARNING") == 1
    assert n.sel(first="NOISE", second="FAIL") == 1
    assert n.sel(first="GOOD", second="WARNING") == 1
    assert int(n.sum()) == 5
    assert found.n_left_out.values.tolist() == [2, 2, 1]
    good = np.array([1, 1, 0, 0, 1]), np.array([1, 1, 0, 0, 0])
    assert found.kappa.sel(pair="bombcell, ibl") == pytest.approx(cohen_kappa_score(*good))
    assert found.agreement.sel(pair="bombcell, ibl") == pytest.approx(0.8)
    by = compare_labels(labelled(), by="session")
    assert by.n.sum("session").equals(found.n)
    assert np.isnan(by.kappa.sel(pair="bombcell, ks2_label", session="b"))  # one value only


def test_labels_that_nobody_knows_are_kept() -> None:
    odd = labelled(bombcell=["SOMA?", "GOOD", "MUA", "NOISE", "", "GOOD", "NON-SOMA"])
    found = compare_labels(odd)
    assert found.n.sel(pair="bombcell, ks2_label", first="SOMA?", second="good") == 1
    assert len(plot_labels(found).axes) == 6


def test_kappa_of_known_tables() -> None:
    assert cohens_kappa(np.array([[10, 0], [0, 5]]))[1] == 1
    assert cohens_kappa(np.array([[45, 15], [25, 15]]))[1] == pytest.approx(0.1304, abs=1e-4)
    assert np.isnan(cohens_kappa(np.array([[3, 0], [0, 0]]))[1])
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, (2, 200))
    table = pd.crosstab(a, b).to_numpy()
    assert cohens_kappa(table)[1] == pytest.approx(cohen_kappa_score(a, b))


def test_what_lacks_labels_or_has_several_cells_is_refused() -> None:
    with pytest.raises(SelectionError, match="found no bombcell"):
        compare_labels(labelled().drop_vars("bombcell"))
    with pytest.raises(SelectionError, match="no units"):
        compare_labels(labelled().isel(unit=[]))
    with pytest.raises(SelectionError, match="dims pair, first, second"):
        plot_labels(compare_labels(labelled(), by="session"))
