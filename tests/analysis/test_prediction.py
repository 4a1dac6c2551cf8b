"""What is predicted of behaviour is what was simulated; what cannot be said is NaN with a note."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.signal import lfilter
from sklearn.linear_model import Ridge

from lsdx.analysis.prediction import predict
from lsdx.errors import ArgumentError, SelectionError
from lsdx.kernels.folds import blocked_folds
from lsdx.kernels.regression import ridge

N_BINS, N_UNITS = 300, 12


def cohort(
    seed: int = 0, *, lag: int = 0, turned: bool = False, moved: float = 0.0
) -> tuple[xr.Dataset, xr.Dataset]:
    """Counts and behaviour of two sessions: ``speed`` follows three units, ``pupil`` nothing.

    ``lag``: bins by which the speed is later. ``turned``: three other units in the second phase,
    where ``moved`` is added to the speed.
    """
    rng = np.random.default_rng(seed)
    counts = rng.normal(size=(2 * N_UNITS, 2, 2, N_BINS))
    behavior = rng.normal(size=(2, 2, 2, 2, N_BINS))
    for s in range(2):
        own = counts[s * N_UNITS :][:N_UNITS]
        for phase in range(2):
            first = 3 if turned and phase else 0
            signal = np.roll(own[first : first + 3, phase].sum(axis=0), lag, axis=-1)
            behavior[s, 0, phase] += signal / np.sqrt(3) + moved * phase
    dims = {"phase": ["pre", "post"], "epoch": ["rfm", "replay"]}
    time = (np.arange(N_BINS) + 0.5) * 1.0
    session = np.repeat(["a", "b"], N_UNITS).astype(object)
    ds = xr.Dataset(
        {"counts": (("unit", "phase", "epoch", "time"), counts)},
        {
            "unit": [f"u{i}" for i in range(2 * N_UNITS)],
            "session": ("unit", session),
            "condition": ("unit", np.repeat(["lsd", "saline"], N_UNITS).astype(object)),
            "time": time,
            **dims,
        },
        {"bin_width": 1.0},
    )
    told = xr.Dataset(
        {"behavior": (("session", "feature", "phase", "epoch", "time"), behavior)},
        {"session": ["a", "b"], "feature": ["speed", "pupil"], "time": time, **dims},
        {"bin_width": 1.0},
    )
    return ds, told


def test_r2_p_and_weights_are_of_the_units_that_were_followed() -> None:
    ds, behavior = cohort()
    found = predict(ds, behavior, rng=0)
    assert found.r2.dims == ("session", "feature", "phase", "epoch")
    assert found.condition.values.tolist() == ["lsd", "saline"]
    speed, pupil = (found.sel(feature=f) for f in ("speed", "pupil"))
    # half of the variance, less what twelve weights cost
    assert speed.r2.mean() == pytest.approx(1 - 0.5 * (1 + 12 / 217), abs=0.05)
    assert (speed.p == 1 / 200).all()
    assert (speed.r2_z > 5).all()
    assert (pupil.r2 < 0.05).all()
    assert pupil.p.min() > 1 / 200
    strongest = abs(speed.weights).mean(["phase", "epoch"]).values.reshape(2, N_UNITS)
    assert strongest[:, :3].min() > 3 * strongest[:, 3:].max()
    assert found.weights.dims == ("unit", "feature", "phase", "epoch")
    # each weight is near 1 / sqrt(3) of 1 / sqrt(2)
    assert strongest[:, :3].mean() == pytest.approx(1 / np.sqrt(6), abs=0.04)
    assert (found.n_units == N_UNITS).all()
    assert (found.n_bins == N_BINS).all()
    assert (found.note == "").all()


def test_the_kernel_is_called_with_what_was_labelled() -> None:
    ds, behavior = cohort(1)
    found = predict(ds, behavior, match_units=None, n_shifts=0)
    mine = {"session": "b", "feature": "speed", "phase": "post", "epoch": "replay"}
    x = ds.counts.isel(unit=slice(N_UNITS, None)).sel(phase="post", epoch="replay").values.T
    y = behavior.behavior.sel(mine).values[:, None]
    expected = ridge(x, y, blocked_folds(np.ones(N_BINS, dtype=bool), 5, gap=5)).r2[0]
    assert found.r2.sel(mine).item() == pytest.approx(expected, abs=1e-12)
    assert np.isnan(found.p).all()


def test_the_lag_is_found() -> None:
    ds, behavior = cohort(2, lag=2)
    found = predict(ds, behavior, feature="speed", lags=[-2, -1, 0, 1, 2, 3], n_shifts=0)
    assert found.r2.dims == ("session", "feature", "lag", "phase", "epoch")
    assert (found.r2.idxmax("lag") == 2).all()
    assert found.lag.attrs["units"] == "s"
    assert (found.n_bins == N_BINS - 5).all()  # the same for every lag


def test_reduced_rank_finds_the_one_dimension() -> None:
    ds, behavior = cohort(3)
    found = predict(ds, behavior, method="reduced_rank", n_shifts=19, rng=0)
    assert found.rank_curve.dims == ("session", "rank", "phase", "epoch")
    assert (found.best_rank == 1).all()
    assert found.rank_curve.sel(rank=0).values.any() == False  # noqa: E712
    assert (found.rank_curve.sel(rank=1) > 0.15).all()
    # without anything to predict there is no dimension
    none = predict(ds, behavior, feature=["pupil"], method="reduced_rank", n_shifts=19, rng=0)
    assert (none.best_rank == 0).mean() >= 0.7


def test_an_estimator_is_fitted_to_each_fold() -> None:
    ds, behavior = cohort(4)
    own = predict(ds, behavior, method=Ridge(alpha=0.1 * 235), n_shifts=0)
    same = predict(ds, behavior, penalty=0.1, n_shifts=0)
    assert own.r2.values == pytest.approx(same.r2.values, abs=0.01)
    assert "Ridge" in own.attrs["method"]


def test_units_are_encoded_by_behavior() -> None:
    ds, behavior = cohort(5)
    found = predict(ds, behavior, direction="encode", n_shifts=19, rng=0)
    assert found.r2.dims == ("unit", "phase", "epoch")
    followed = np.tile(np.arange(N_UNITS) < 3, 2)
    # each is a third of half of the variance
    assert found.r2.values[followed].mean() == pytest.approx(1 / 6, abs=0.04)
    assert found.r2.values[~followed].max() < 0.06
    assert (found.p.values[followed] == 1 / 20).mean() > 0.95
    assert (abs(found.weights.sel(feature="pupil")).mean() < 0.1).item()


def test_across_phases_a_turned_readout_fails_and_a_moved_mean_does_not() -> None:
    ds, behavior = cohort(6)
    same = predict(ds, behavior, feature="speed", between=("pre", "post"), rng=0)
    assert same.r2.dims == ("session", "feature", "epoch", "train", "test")
    assert (same.r2 > 0.35).all()
    assert (same.p == 1 / 200).all()
    within = predict(ds, behavior, feature="speed", n_shifts=0)
    for phase in ("pre", "post"):
        one = same.r2.sel(train=phase, test=phase)
        assert one.values == pytest.approx(within.r2.sel(phase=phase).values)
    assert float(same.angle.mean()) == pytest.approx(float(same.angle_within.mean()), abs=4)

    ds, behavior = cohort(6, turned=True)
    turned = predict(ds, behavior, feature="speed", between=("pre", "post"), rng=0)
    assert (turned.r2.sel(train="pre", test="post") < 0).all()
    assert (turned.r2.sel(train="post", test="post") > 0.35).all()
    assert float(turned.angle.mean()) > float(turned.angle_within.mean()) + 40

    ds, behavior = cohort(6, moved=3.0)
    moved = predict(ds, behavior, feature="speed", between=("pre", "post"), rng=0)
    # what is explained is 1 of 11: SST about the mean of training has the shift in it
    assert (moved.r2.sel(train="pre", test="post") < 0.15).all()
    kept = moved.r2_centered.sel(train="pre", test="post")
    assert kept.values == pytest.approx(same.r2_centered.sel(train="pre", test="post").values)


def test_within_a_phase_p_of_two_phases_knows_that_the_model_saw_the_behavior() -> None:
    """Independent slow series: where only what is tested is shifted, 28 % of p are up to .05."""
    n_sessions, n_units = 100, 20
    white = np.random.default_rng(8).normal(size=(n_sessions, n_units + 1, 2, 1, 500))
    slow = lfilter([1.0], [1.0, -np.exp(-1 / 20)], white)[..., 200:]
    session = np.array([f"s{i:03d}" for i in range(n_sessions)], dtype=object)
    dims = {"phase": ["pre", "post"], "epoch": ["rfm"], "time": np.arange(300) + 0.5}
    ds = xr.Dataset(
        {"counts": (("unit", *dims), slow[:, 1:].reshape(-1, 2, 1, 300))},
        {
            "unit": [f"u{i}" for i in range(n_sessions * n_units)],
            "session": ("unit", np.repeat(session, n_units)),
            **dims,
        },
        {"bin_width": 1.0},
    )
    behavior = xr.Dataset(
        {"behavior": (("session", "feature", *dims), slow[:, :1])},
        {"session": session, "feature": ["speed"], **dims},
        {"bin_width": 1.0},
    )
    pair = ("pre", "post")
    found = predict(ds, behavior, between=pair, penalty=0.1, n_shifts=39, rng=0).compute()
    within = [found.p.sel(train=phase, test=phase) for phase in pair]
    assert np.mean(np.array(within) <= 0.05) < 0.15


def test_the_readout_has_its_share_of_the_variance() -> None:
    ds, behavior = cohort(7)
    found = predict(ds, behavior, n_shifts=0)
    # of independent units each direction has 1 / n
    assert found.readout_variance.values == pytest.approx(1 / N_UNITS, abs=0.02)


@pytest.mark.parametrize("chunks", [{"unit": 5}, {"time": 50, "phase": 1}])
def test_chunks_change_nothing_and_nothing_is_computed_before(chunks: dict[str, int]) -> None:
    ds, behavior = cohort(8)
    options: dict[str, Any] = {"n_shifts": 9, "match_units": 8, "rng": 3}
    expected = predict(ds, behavior, **options)
    lazy = predict(ds.chunk(chunks), behavior.chunk(session=1), **options)
    assert all(hasattr(lazy[n].data, "dask") for n in ("r2", "p", "weights", "note", "n_units"))
    xr.testing.assert_allclose(lazy.compute(), expected)
    backwards = predict(ds.isel(unit=slice(None, None, -1)), behavior, **options)
    assert backwards.r2.sel(session=["a", "b"]).values == pytest.approx(expected.r2.values)
    assert backwards.p.sel(session=["a", "b"]).values == pytest.approx(expected.p.values)


# ---- what cannot be said --------------------------------------------------------------------


def test_what_was_not_observed_is_nan_with_a_note() -> None:
    ds, behavior = cohort(9)
    values = behavior.behavior.copy(deep=True)
    values.loc[{"session": "a", "feature": "pupil"}] = np.nan
    values.loc[{"session": "b", "feature": "speed", "phase": "pre"}] = 4.0
    values.loc[{"session": "b", "feature": "pupil", "time": slice(40, None)}] = np.nan
    counts = ds.counts.copy(deep=True)
    counts[:N_UNITS, 1, 1] = np.nan
    counts[N_UNITS:, 0, 0, 280:] = np.nan
    found = predict(ds.assign(counts=counts), behavior.assign(behavior=values), n_shifts=9, rng=0)
    note = found.note
    assert (note.sel(session="a", feature="pupil", phase="pre") == "behavior not observed").all()
    assert note.sel(session="a", feature="speed", phase="post", epoch="replay") == "not observed"
    assert (note.sel(session="b", feature="speed", phase="pre") == "behavior is constant").all()
    assert (note.sel(session="b", feature="pupil") == "too few bins for folds and gap").all()
    assert np.isnan(found.r2.where(note != "").values[(note != "").values]).all()
    assert np.isfinite(found.r2.where(note == "", 0)).all()
    assert found.n_bins.sel(session="b", feature="speed", phase="pre", epoch="rfm") == 280


def test_too_short_to_be_shifted_has_r2_and_no_p() -> None:
    ds, behavior = cohort(10)
    found = predict(ds.isel(time=slice(55)), behavior, gap="1 s", n_shifts=9)
    assert np.isfinite(found.r2).all()
    assert np.isnan(found.p).all()
    assert (found.note == "no p: too short to be shifted").all()


def test_a_session_without_behavior_or_units_enough() -> None:
    ds, behavior = cohort(11)
    found = predict(ds, behavior.sel(session=["b"]), n_shifts=0)
    assert (found.note.sel(session="a") == "no behavior of this session").all()
    assert np.isfinite(found.r2.sel(session="b")).all()
    few = predict(ds.isel(unit=slice(N_UNITS - 1, None)), behavior, n_shifts=0)
    assert (few.note.sel(session="a") == "too few units").all()
    assert few.n_units.sel(session="a") == 0
    assert np.isfinite(few.r2.sel(session="b")).all()


def test_groups_have_as_many_units_drawn_once() -> None:
    ds, behavior = cohort(12)
    fewer = ds.isel(unit=slice(4, None))
    found = predict(fewer, behavior, n_shifts=0, rng=0)
    assert (found.n_units == N_UNITS - 4).all()
    drawn = np.isfinite(found.weights.isel(feature=0, phase=0, epoch=0).values)
    assert drawn[: N_UNITS - 4].all()
    assert drawn.sum() == 2 * (N_UNITS - 4)
    assert (predict(fewer, behavior, n_shifts=0, match_units=None).n_units == [8, 12]).all()


def test_notes_of_encoding_are_of_units() -> None:
    ds, behavior = cohort(13)
    counts = ds.counts.copy(deep=True)
    counts[2] = 1.0
    found = predict(ds.assign(counts=counts), behavior, direction="encode", n_shifts=0)
    assert found.note.dims == ("unit", "phase", "epoch")
    assert (found.note.isel(unit=2) == "unit is constant").all()
    assert (found.r2.notnull() == (found.note == "")).all()
    fewer = predict(ds.isel(unit=slice(4, None)), behavior, direction="encode", n_shifts=0)
    assert fewer.r2.notnull().all()  # units are not matched


def test_what_else_is_asked_for_changes_no_p() -> None:
    ds, behavior = cohort(14)
    values = behavior.behavior.copy(deep=True)
    values.loc[{"feature": "pupil", "time": slice(100, 104)}] = np.nan
    options: dict[str, Any] = {"n_shifts": 19, "rng": 0}
    both = predict(ds, values, **options)
    for name in ("speed", "pupil"):
        alone = predict(ds, values, feature=name, **options)
        assert alone.p.values == pytest.approx(both.p.sel(feature=[name]).values)


def test_a_rank_that_few_shifts_cannot_test_is_kept_and_said() -> None:
    ds, behavior = cohort(3)
    found = predict(ds, behavior, method="reduced_rank", n_shifts=5, rng=0)
    assert (found.best_rank == 1).all()
    assert (found.note == "rank not tested: fewer than 19 shifts").all()
    small = predict(ds, behavior * 1e-9, method="reduced_rank", n_shifts=0)
    assert small.r2.values == pytest.approx(found.r2.values)


def test_constant_units_have_no_weight() -> None:
    ds, behavior = cohort(13)
    counts = ds.counts.copy(deep=True)
    counts[2] = 1.0
    found = predict(ds.assign(counts=counts), behavior, n_shifts=0)
    assert found.weights.isel(unit=2).values == pytest.approx(0, abs=1e-12)
    assert np.isfinite(found.r2).all()


def test_a_selected_phase_and_epoch_will_do() -> None:
    ds, behavior = cohort(14)
    whole = predict(ds, behavior, n_shifts=0)
    one = predict(ds.sel(phase="pre", epoch="rfm"), behavior, n_shifts=0)
    assert one.r2.dims == ("session", "feature")
    assert one.r2.values == pytest.approx(whole.r2.sel(phase="pre", epoch="rfm").values)
    both = predict(
        ds.sel(phase="pre", epoch="rfm"), behavior.sel(phase="pre", epoch="rfm"), n_shifts=0
    )
    assert both.r2.values == pytest.approx(one.r2.values)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"method": "lasso"}, "expected 'ridge', 'reduced_rank' or an estimator"),
        ({"direction": "both"}, "one of 'decode', 'encode'"),
        ({"rank": 2}, "expected method='reduced_rank'"),
        ({"direction": "encode", "method": "reduced_rank"}, "expected method='ridge'"),
        ({"direction": "encode", "between": ("pre", "post")}, "expected direction='decode'"),
        ({"between": ("pre", "later")}, "two of the phases pre, post"),
        ({"between": "pre"}, "two of the phases pre, post"),
        ({"lags": "0.5 s"}, "a whole number of bins of 1 s"),
        ({"lags": [1, 1]}, "different ones"),
        ({"lags": [0, 1], "between": ("pre", "post")}, "one with between"),
        ({"n_folds": 2}, "at least 3"),
        ({"gap": -1}, "predict, gap"),
        ({"penalty": -1.0}, "predict, penalty"),
        ({"penalty": []}, "one number or several"),
        ({"match_units": "all"}, "predict, match_units"),
        ({"n_shifts": -1}, "at least 0"),
        ({"feature": "whisker"}, "feature: expected different ones of speed, pupil"),
        ({"by": "region"}, "region"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], told: str) -> None:
    ds, behavior = cohort(0)
    with pytest.raises(ArgumentError, match=told):
        predict(ds, behavior, **arguments)


def test_a_label_with_the_name_of_a_result_is_refused() -> None:
    ds, behavior = cohort(0)
    named = ds.assign_coords(feature=("unit", ds.session.values))
    with pytest.raises(SelectionError, match="names that results do not use, found 'feature'"):
        predict(named, behavior, by=["session", "feature"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda b: b.assign_coords(session=["x", "y"]), "behavior of these sessions, such as 'a'"),
        (lambda b: b.assign_coords(time=b.time / 10), "bins of 1 s, the counts' own"),
        (lambda b: b.isel(phase=[0]), "phase of the behavior, of pre, found 'post'"),
        (lambda b: b.isel(phase=0), "behavior over phase"),
        (lambda b: b.isel(session=0, drop=True), "behavior over session"),
        (lambda b: b.isel(feature=[]), "at least one feature"),
        (lambda b: b.rename(behavior="speed"), "expected behavior"),
        (lambda b: b.drop_vars("time").isel(time=slice(99)), "300 bins, found 99 bins"),
        (lambda b: b.drop_vars("phase"), "labels of phase on the behavior"),
        (lambda b: b.behavior.values, "expected behavior, found ndarray"),
    ],
)
def test_behavior_that_does_not_belong_is_refused(change: Any, told: str) -> None:
    ds, behavior = cohort(0)
    with pytest.raises(SelectionError, match=told):
        predict(ds, change(behavior), n_shifts=0)


def test_a_selected_feature_keeps_its_name() -> None:
    ds, behavior = cohort()
    one = behavior.sel(feature="speed")
    for feature in (None, "speed"):
        found = predict(ds, one, feature=feature, n_shifts=0, rng=0)
        assert found.feature.values.tolist() == ["speed"]
    with pytest.raises(SelectionError, match="different ones of speed, found 'pupil'"):
        predict(ds, one, feature="pupil")


def test_behavior_of_the_other_phase_is_refused() -> None:
    ds, behavior = cohort()
    with pytest.raises(SelectionError, match="behavior of phase 'pre', found 'post'"):
        predict(ds.sel(phase="pre"), behavior.sel(phase="post"))


def test_sessions_are_found_by_their_text_and_once() -> None:
    ds, behavior = cohort()
    told = predict(ds, behavior, n_shifts=0, rng=0).r2
    numbers = ds.assign_coords(session=("unit", np.where(ds.session.values == "a", 0, 1)))
    found = predict(numbers, behavior.assign_coords(session=[0, 1]), n_shifts=0, rng=0).r2
    np.testing.assert_array_equal(found, told)
    with pytest.raises(SelectionError, match="each session of the behavior once"):
        predict(ds, xr.concat([behavior, behavior], "session"))
    with pytest.raises(SelectionError, match="each phase of the behavior once"):
        predict(ds, xr.concat([behavior, behavior], "phase"))


@pytest.mark.parametrize(("factor", "offset"), [(1e-9, 0.0), (1e20, 0.0), (1.0, 1e9)])
def test_neither_units_nor_origin_of_behavior_change_what_is_found(
    factor: float, offset: float
) -> None:
    ds, behavior = cohort()
    told = predict(ds, behavior, n_shifts=19, rng=0)
    found = predict(ds, behavior * factor + offset, n_shifts=19, rng=0)
    for name in ("r2", "p", "r2_null"):
        np.testing.assert_allclose(found[name], told[name], atol=1e-4)


def test_across_phases_too_short_to_be_shifted_is_told() -> None:
    ds, behavior = cohort()
    few = slice(0, 55)
    found = predict(
        ds.isel(time=few), behavior.isel(time=few), gap=0, between=("pre", "post"), rng=0
    )
    assert found.p.isnull().all()
    assert found.r2.notnull().all()
    assert (found.note == "no p: too short to be shifted").all()


def test_p_is_never_less_than_different_shifts_can_tell() -> None:
    ds, behavior = cohort()
    few = slice(0, 70)  # 11 shifts of 30 s or more
    found = predict(ds.isel(time=few), behavior.isel(time=few), n_shifts=199, rng=0)
    assert float(found.p.min()) >= 1 / 12


class _Twice(Ridge):
    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.stack([super().predict(x)] * 2, axis=1)


class _Nothing(Ridge):
    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.full(len(x), np.nan)


def test_estimators_that_do_not_fit_are_refused_or_told() -> None:
    ds, behavior = cohort()
    with pytest.raises(ArgumentError, match="an estimator of scikit-learn"):
        predict(ds, behavior, method=Ridge)
    with pytest.raises(ArgumentError, match="one prediction of each of"):
        predict(ds, behavior, method=_Twice(), n_shifts=0)
    found = predict(ds, behavior, method=_Nothing(), n_shifts=1)
    assert found.r2.isnull().all()
    assert (found.note == "the estimator predicts no number").all()


def test_an_empty_selection_is_refused() -> None:
    ds, behavior = cohort()
    with pytest.raises(SelectionError, match="at least one phase, found none"):
        predict(ds.isel(phase=[]), behavior)
