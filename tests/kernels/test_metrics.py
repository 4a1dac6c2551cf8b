"""The registry of measures: what its rows promise."""

from __future__ import annotations

import numpy as np
import pytest

from lsdx.analysis.modulation import modulation
from lsdx.analysis.single_units import unit_metrics
from lsdx.kernels import variability
from lsdx.kernels.metrics import METRICS, measures_of_spikes
from lsdx.kernels.trains import Trains

TRAINS = Trains(
    np.array([2, 3, 9, 40, 41, 0, 1, 5], dtype=np.uint32), np.array([0, 5]), np.array([5, 3])
)
START, STOP = np.array([[0, 30], [0, 7]]), np.array([[30, 50], [7, 7]])


@pytest.mark.parametrize("name", [n for n, m in METRICS.items() if m.of_spikes])
def test_measures_of_spikes_have_a_value_for_each_interval(name: str) -> None:
    alone = measures_of_spikes([name], TRAINS, START, STOP, 10)[name]
    assert alone.shape == START.shape
    assert np.isfinite(alone[0, 0])
    assert np.isnan(alone[1, 1])  # not observed
    together = measures_of_spikes(["lvr", name, "cv"], TRAINS, START, STOP, 10)[name]
    np.testing.assert_array_equal(alone, together)


def test_measures_of_spikes_are_those_of_each_train() -> None:
    found = measures_of_spikes(["mean_rate", "cv", "cv2", "lv", "lvr"], TRAINS, START, STOP, 1000)
    assert found["mean_rate"][0].tolist() == [100.0, 100.0]
    for name in ("cv", "cv2", "lv"):
        assert found[name][0, 0] == getattr(variability, name)(np.array([2, 3, 9]))
    assert found["lvr"][0, 0] == variability.lvr(np.array([2, 3, 9]), refractoriness=5)


@pytest.mark.parametrize("name", [n for n, m in METRICS.items() if m.needs == "windows"])
def test_measures_of_windows_skip_what_was_not_observed(name: str) -> None:
    counts = np.array([[1, 3, 2, np.nan], [np.nan, np.nan, np.nan, np.nan]])
    found = METRICS[name].kernel(counts)
    assert found.shape == (2,)
    assert np.isfinite(found[0])
    assert np.isnan(found[1])


def test_docstrings_list_every_measure() -> None:
    for function in (modulation, unit_metrics):
        assert all(f"``{name}``" in (function.__doc__ or "") for name in METRICS)
        assert "{metrics}" not in (function.__doc__ or "")
