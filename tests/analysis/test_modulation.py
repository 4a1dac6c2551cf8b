"""Modulation between phases: levels, power, what each null gets wrong, and bad input."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from scipy import stats

import lsdx
from lsdx.analysis.modulation import METHODS, modulation
from lsdx.analysis.single_units import unit_metrics
from lsdx.errors import ArgumentError, ConfigError, SelectionError
from lsdx.kernels import metrics as registry
from lsdx.kernels.permutation import assignments

RATE = 5.0  # Hz

METRICS = tuple(registry.METRICS)


def trains(
    times: Sequence[np.ndarray], *, spans: Sequence[tuple[float, float]] = ((0, 300), (300, 600))
) -> xr.Dataset:
    """Spikes of one session as `open_spikes` gives them; one epoch of two phases."""
    size = np.array([len(t) for t in times])
    n = len(times)
    spans = np.array(spans, dtype=float)
    whole = np.concatenate([*times, np.empty(0)])
    names = [f"u{i}" for i in range(n)]
    return xr.Dataset(
        {
            "spike_time": ("spike", whole),
            "duplicate": ("spike", np.zeros(whole.size, dtype=bool)),
            "row_size": ("unit", size),
            "row_start": ("unit", np.cumsum(size) - size),
            "start": (("unit", "phase", "epoch"), np.tile(spans[:, :1], (n, 1, 1))),
            "stop": (("unit", "phase", "epoch"), np.tile(spans[:, 1:], (n, 1, 1))),
            "last_spike": ("unit", np.full(n, spans.max())),
            "has_duplicate_mask": ("unit", np.zeros(n, dtype=bool)),
        },
        {
            "unit": names,
            "session": ("unit", ["s"] * n),
            "insertion": ("unit", ["i"] * n),
            "condition": ("unit", ["lsd"] * n),
            "phase": ["pre", "post"],
            "epoch": ["rest"],
        },
    )


def poisson(
    n: int, seed: int, *, step: float = 1.0, tau: float | None = None, slope: float = 0.0
) -> xr.Dataset:
    """Poisson trains of 5 Hz over 600 s: a step at 300 s, log-normal drift, a trend."""
    rng = np.random.default_rng(seed)
    dt = 0.5
    centres = (np.arange(1200) + 0.5) * dt
    rate = RATE * np.where(centres < 300, 1.0, step) * np.exp(slope * (centres - 300) / 600)
    rates = np.tile(rate, (n, 1))
    if tau is not None:
        keep = np.exp(-dt / tau)
        noise = rng.standard_normal((n, centres.size))
        drift = noise.copy()
        for i in range(1, centres.size):
            drift[:, i] = keep * drift[:, i - 1] + np.sqrt(1 - keep**2) * noise[:, i]
        rates = rates * np.exp(0.5 * drift)
    counts = rng.poisson(rates * dt)
    times = [np.sort(np.repeat(centres, c) + rng.uniform(-dt / 2, dt / 2, c.sum())) for c in counts]
    return trains(times)


def below(ds: xr.Dataset, **options: Any) -> float:
    return float((modulation(ds, rng=0, **options).p < 0.05).mean())


# ---- known answers --------------------------------------------------------------------------


def test_ten_to_thirty_hertz_is_one_half_and_back() -> None:
    slow, fast = np.arange(0.05, 300, 0.1), np.arange(0.01, 300, 1 / 30)
    m = modulation(trains([np.r_[slow, 300 + fast], np.r_[fast, 300 + slow], np.empty(0)]), rng=0)
    np.testing.assert_allclose(m["index"][:, 0, 0], [0.5, -0.5, np.nan])
    np.testing.assert_allclose(m["value"][0, 0, 0], [10, 30])
    # no spread within a phase: as far from chance as 252 ways can tell
    np.testing.assert_allclose(m["p"][:, 0, 0], [2 / 252, 2 / 252, np.nan])  # silent: no test
    np.testing.assert_allclose(m["p_least"][:2], 2 / 252)


def test_one_rate_over_unequal_times_is_no_modulation() -> None:
    regular = np.arange(0.05, 900, 0.1)
    m = modulation(trains([regular], spans=[(0, 300), (300, 900)]), rng=0)
    assert m["index"].item() == 0
    assert m["p"].item() == 1  # a train that does not differ between blocks
    assert m["n_blocks"].item() == 5  # of the shorter phase
    assert m["block_duration"].item() == 60


def test_the_statistic_is_welchs_of_the_blocks_and_p_the_share_of_ways() -> None:
    ds = poisson(30, 1, step=1.2)
    m = modulation(ds, rng=0, null=True)
    counts = np.array(
        [
            np.histogram(ds.spike_time[s : s + n], np.arange(0, 601, 60))[0]
            for s, n in zip(ds.row_start.values, ds.row_size.values, strict=True)
        ]
    )
    expected = stats.ttest_ind(counts[:, 5:], counts[:, :5], axis=1, equal_var=False)
    np.testing.assert_allclose(m["statistic"][:, 0, 0], expected.statistic)
    exact = stats.permutation_test(
        (counts[:, 5:], counts[:, :5]),
        lambda a, b, axis: np.abs(stats.ttest_ind(a, b, axis=axis, equal_var=False).statistic),
        axis=1,
        n_resamples=np.inf,
        alternative="greater",
        vectorized=True,
    )
    np.testing.assert_allclose(m["p"][:, 0, 0], exact.pvalue)
    assert m["null"].shape == (30, 1, 1, 251)
    np.testing.assert_allclose(m["null"].mean("permutation"), m["null_mean"])
    # the index by chance: of the counts that each way deals to the second phase
    second = counts @ assignments(5, 5)[0][1:].T
    total = counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(m["null_index"][:, 0, 0], (2 * second - total) / total, atol=1e-12)


def test_values_are_those_of_unit_metrics(demo_stores: Path) -> None:
    s = lsdx.open_spikes(demo_stores).isel(unit=slice(0, 60)).compute()
    names = METRICS[:-1]  # complexity is thinned to the rates of what is compared
    m = modulation(s, metric=names, window="1 s", match_rates=False, rng=0)
    metrics = unit_metrics(s, metrics=names, window="1 s")
    for name in names:
        expected = metrics[name].squeeze(drop=True).transpose("unit", "epoch", "phase")
        np.testing.assert_allclose(m["value"].sel(metric=name), expected, rtol=1e-6)


def expected_q(m: xr.Dataset, rows: np.ndarray) -> np.ndarray:
    """Units expected at a statistic, the mean over all ways, over those that are there."""
    own = np.abs(m["statistic"].values[rows, 0, 0])
    ways = np.abs(np.column_stack([own, m["null"].values[rows, 0, 0]]))
    at = [
        min((ways >= t * (1 - 1e-9)).mean(axis=1).sum() / (own >= t * (1 - 1e-9)).sum(), 1)
        for t in own
    ]
    return np.array([min(q for q, o in zip(at, own, strict=True) if o <= t) for t in own])


@pytest.mark.parametrize("n_permutations", [999, 100])
def test_q_is_of_all_units_of_its_family(n_permutations: int) -> None:
    ds = poisson(60, 2, step=1.15)
    kinds = np.repeat(["a", "b"], [40, 20])
    ds = ds.assign_coords(kind=("unit", kinds))
    options: dict[str, Any] = {"rng": 0, "null": True, "n_permutations": n_permutations}
    m = modulation(ds, **options)
    every = np.ones(60, dtype=bool)
    np.testing.assert_allclose(m["q"].values.ravel(), expected_q(m, every), rtol=1e-5)
    two = modulation(ds, family="kind", **options)["q"].values.ravel()
    for kind in "ab":
        mine = kinds == kind
        np.testing.assert_allclose(two[mine], expected_q(m, mine), rtol=1e-5)
    numbered = ds.assign_coords(number=("unit", np.arange(60)))
    one = modulation(numbered, family="number", **options)
    np.testing.assert_allclose(one["q"], one["p"])  # of one unit
    np.testing.assert_allclose(one["q_least"], one["p_least"])


@pytest.mark.parametrize("options", [{"method": "isi_shuffle"}, {"settle": 5}])
def test_q_is_benjamini_hochberg_where_not_all_ways_are_made(options: dict[str, Any]) -> None:
    m = modulation(poisson(60, 2, step=1.15), n_permutations=199, rng=0, **options)
    p = m["p"].values.ravel()
    np.testing.assert_allclose(m["q"].values.ravel(), stats.false_discovery_control(p))
    # those with p < .05, if all of them had the least p
    n = (p < 0.05).sum()
    np.testing.assert_allclose(m["q_least"], min(m["p_least"].values.max() * 60 / n, 1))


def test_q_finds_a_tenth_that_changes() -> None:
    """Of p no procedure can: the least p of 2 in 252, of 200 units, is .08 at best."""
    still, step = poisson(180, 50), poisson(20, 51, step=1.5)
    both = [
        d.spike_time.values[a : a + n]
        for d in (still, step)
        for a, n in zip(d.row_start.values, d.row_size.values, strict=True)
    ]
    m = modulation(trains(both), rng=0)
    of_p = stats.false_discovery_control(m["p"].values.ravel())
    assert of_p.min() > 0.05
    called = m["q"].values.ravel() < 0.05
    assert called[180:].mean() > 0.9
    assert called[:180].sum() <= 4
    np.testing.assert_allclose(m["q_least"], 2 / 252)


# ---- levels and power -----------------------------------------------------------------------


def test_levels_and_power_of_blocks() -> None:
    """Figures of the plan: hundreds of simulated units each."""
    assert abs(below(poisson(1000, 10)) - 0.05) < 0.025
    assert below(poisson(1000, 11, tau=20)) < 0.12
    assert below(poisson(300, 12, step=2.0)) >= 0.95
    assert below(poisson(300, 13, step=1.3)) >= 0.9
    assert below(poisson(300, 14, step=2.0, tau=20)) >= 0.6
    assert below(poisson(300, 15, slope=1.0)) > 0.9  # a trend is called modulation: documented


def test_random_assignments_hold_the_level_too() -> None:
    found = modulation(poisson(500, 16), rng=0, block="30 s", n_permutations=199)
    assert abs(float((found.p < 0.05).mean()) - 0.05) < 0.03
    assert found.p.min() >= 1 / 200
    np.testing.assert_allclose(found["p_least"], 1 / 200)


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_holds_its_level(metric: str) -> None:
    found = modulation(poisson(200, 17), metric=metric, rng=0, window="100 ms", surrogates=20)
    assert found["p"].notnull().all()
    assert float((found["p"] < 0.05).mean()) < 0.11
    assert (found["p"] >= 2 / 252).all()
    assert (found["p"] <= 1).all()


def test_shuffled_intervals_hold_without_drift_and_fail_with_it() -> None:
    options = {"method": "isi_shuffle", "n_permutations": 199}
    assert abs(below(poisson(300, 18), **options) - 0.05) < 0.04
    assert below(poisson(100, 19, tau=20), **options) > 0.5


def test_regular_against_irregular_is_found_at_one_rate() -> None:
    """Ten regular seconds each second against Poisson: CV2 and Fano change, the rate does not."""
    rng = np.random.default_rng(20)
    times = [
        np.r_[np.arange(0.05, 300, 0.1), 300 + np.sort(rng.uniform(0, 300, 3000))]
        for _ in range(20)
    ]
    m = modulation(trains(times), metric=["mean_rate", "cv2", "fano_factor"], window="1 s", rng=0)
    assert (m["p"].sel(metric=["cv2", "fano_factor"]) < 0.01).all()
    assert (m["index"].sel(metric="cv2") > 0.9).all()
    assert float((m["p"].sel(metric="mean_rate") < 0.05).mean()) <= 0.25


# ---- measures that follow the rate ------------------------------------------------------------

_IRREGULARITY = METRICS[1:]


def renewal(
    n: int, seed: int, rates: tuple[float, float], *, dead: float = 0.0, shape: float = 1.0
) -> xr.Dataset:
    """Gamma intervals and a dead time (s): 300 s of one rate, 300 s of the other."""
    rng = np.random.default_rng(seed)
    times = []
    for _ in range(n):
        both = []
        for phase, rate in enumerate(rates):
            scale = (1 / rate - dead) / shape
            t = np.cumsum(dead + rng.gamma(shape, scale, int(400 * rate) + 50))
            t -= 50.0  # what came before is forgotten
            both.append(300 * phase + t[(t >= 0) & (t < 300)])
        times.append(np.concatenate(both))
    return trains(times)


def found_in(ds: xr.Dataset, metric: Sequence[str], **options: Any) -> dict[str, float]:
    m = modulation(ds, metric=metric, rng=0, surrogates=20, **options)
    share = (m["p"] < 0.05).mean(["unit", "epoch"])
    return dict(zip(metric, share.values.tolist(), strict=True))


def test_a_change_of_rate_alone_changes_no_irregularity() -> None:
    """Dead time of 2 ms, 10 to 30 Hz: nearly all units are called modulated as they are."""
    ds = renewal(150, 40, (10, 30), dead=0.002)
    matched = found_in(ds, _IRREGULARITY)
    assert max(matched.values()) < 0.11  # three se above .05
    as_is = found_in(ds, ["cv", "cv2", "lv", "fano_factor"], match_rates=False)
    assert min(as_is["cv2"], as_is["lv"]) > 0.9
    assert min(as_is["cv"], as_is["fano_factor"]) > 0.3
    # rates themselves are never matched
    assert found_in(ds, ["mean_rate"])["mean_rate"] == 1


def test_regularity_that_changes_is_found_at_other_rates() -> None:
    fewer, regular = renewal(40, 41, (20, 5)), renewal(40, 42, (20, 5), shape=4.0)
    times = []
    for u in range(40):
        a, b = (
            d.spike_time.values[d.row_start.values[u] :][: d.row_size.values[u]]
            for d in (fewer, regular)
        )
        times.append(np.r_[a[a < 300], b[b >= 300]])
    assert min(found_in(trains(times), ["cv", "cv2", "lv", "lvr"]).values()) > 0.9


def test_both_phases_are_thinned_to_the_lower_rate() -> None:
    ds = renewal(40, 43, (4, 12))
    m = modulation(ds, metric=["mean_rate", "fano_factor"], window="60 s", rng=1, null=True)
    again = modulation(ds, metric="fano_factor", window="60 s", rng=1)
    np.testing.assert_array_equal(again["value"][..., 0, :], m["value"][..., 1, :])
    other = modulation(ds, metric="fano_factor", window="60 s", rng=2)
    slower, faster = other["value"].isel(metric=0, epoch=0, phase=[0, 1]).T.values
    np.testing.assert_array_equal(slower, m["value"][:, 0, 1, 0])
    assert (faster != m["value"][:, 0, 1, 1]).mean() > 0.9
    np.testing.assert_allclose(m["value"][:, 0, 0].mean("unit"), [4, 12], rtol=0.05)
    silent = modulation(trains([np.arange(0.05, 300, 0.1)]), metric="cv2", rng=0)
    assert silent["value"].isnull().all()  # there is no rate to thin to


def gained(n: int, seed: int, rates: tuple[float, float], *, bursts: bool = False) -> xr.Dataset:
    """Poisson rates times a gain of sd .32 that changes every .5 s; or bursts, 10 ms apart."""
    rng = np.random.default_rng(seed)
    times = []
    for _ in range(n):
        if bursts:
            first = [
                np.sort(rng.uniform(0, 300, rng.poisson(150 * r))) + 300 * i
                for i, r in enumerate(rates)
            ]
            events = np.concatenate(first)
            size = rng.geometric(0.5, events.size)
            within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
            t = np.sort(np.repeat(events, size) + 0.01 * within)
            times.append(t[t < 600])
        else:
            gain = rng.gamma(10, 0.1, 1200) * np.repeat(rates, 600)
            count = rng.poisson(0.5 * gain)
            t = np.repeat(0.5 * np.arange(1200), count) + rng.uniform(0, 0.5, count.sum())
            times.append(np.sort(t))
    return trains(times)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "rates", "kind", "level"),
    [
        (renewal, (10, 30), {"dead": 0.002}, 0.075),
        (renewal, (10, 30), {"dead": 0.005}, 0.075),
        (gained, (10, 30), {}, 0.075),
        (renewal, (0.2, 0.6), {}, 0.075),
        (renewal, (5, 5), {}, 0.075),
        # whose irregularity is the same at each rate, it is another when they are thinned: said
        (renewal, (10, 30), {"shape": 2.0}, None),
        (gained, (10, 30), {"bursts": True}, None),
    ],
)
def test_levels_under_a_change_of_rate(
    make: Any, rates: tuple[float, float], kind: dict[str, Any], level: float | None
) -> None:
    """The table of `modulation`: 1,000 units each."""
    ds = make(1000, 44, rates, **kind)
    found = found_in(ds, _IRREGULARITY)
    if level is not None:
        assert max(found.values()) < level
        return
    assert min(found[m] for m in ("cv", "cv2", "lv", "lvr")) > 0.3
    if not kind.get("bursts"):
        as_is = found_in(ds, _IRREGULARITY, match_rates=False)
        assert max(as_is[m] for m in ("cv", "cv2", "lv")) < 0.085


# ---- measures that need more than a block ---------------------------------------------------


def test_blocks_of_one_window_are_put_together_and_recomputed() -> None:
    ds = poisson(40, 21)
    m = modulation(ds, metric="fano_factor", block="60 s", window="60 s", match_rates=False, rng=0)
    counts = np.array(
        [
            np.histogram(ds.spike_time[s : s + n], np.arange(0, 601, 60))[0]
            for s, n in zip(ds.row_start.values, ds.row_size.values, strict=True)
        ]
    )

    def fano(c: np.ndarray) -> np.ndarray:
        return c.var(axis=1, ddof=1) / c.mean(axis=1)

    ways = assignments(5, 5)[0]
    t = np.array([fano(counts[:, w]) - fano(counts[:, ~w]) for w in ways])
    np.testing.assert_allclose(m["statistic"][:, 0, 0], t[0])
    reached = np.abs(t) >= np.abs(t[0]) * (1 - 1e-9)
    np.testing.assert_allclose(m["p"][:, 0, 0], reached.mean(axis=0))


def test_long_windows_of_complexity_are_recomputed() -> None:
    found = modulation(poisson(6, 22), metric="lempel_ziv", window="1 s", rng=0, surrogates=10)
    assert found["p"].notnull().all()
    assert found["value"].notnull().all()


def test_settled_units_stop_early_with_the_same_verdict() -> None:
    ds = poisson(60, 23, step=1.02)
    options = {"metric": "mean_rate", "method": "isi_shuffle", "n_permutations": 499}
    full, early = (modulation(ds, rng=0, settle=s, **options) for s in (None, 20))
    assert float(early["n_draws"].mean()) < 250
    np.testing.assert_allclose(early["p"], full["p"], atol=0.2)
    found = full["p"] < 0.02  # never settled: all draws were made
    np.testing.assert_allclose(early["p"].where(found), full["p"].where(found))


# ---- what does not change anything ----------------------------------------------------------


@pytest.fixture(scope="module")
def spikes(demo_stores: Path) -> xr.Dataset:
    return lsdx.open_spikes(demo_stores)


@pytest.mark.parametrize("method", METHODS)
def test_other_metrics_units_epochs_and_chunks_change_nothing(
    spikes: xr.Dataset, method: str
) -> None:
    options: dict[str, Any] = {"method": method, "n_permutations": 19, "rng": 5, "surrogates": 3}
    places = np.r_[:10, 25:35]
    some = spikes.isel(unit=places)
    whole = modulation(some, metric=METRICS, null=True, **options).compute()
    loaded = modulation(some.load(), metric=METRICS, null=True, **options)
    xr.testing.assert_identical(loaded, whole)
    names = ("value", "index", "statistic", "p", "p_least", "null")
    for epochs, metrics in (
        (["rfm"], METRICS[::-1]),
        (whole["epoch"].values[::-1], ["lempel_ziv"]),
    ):
        which: dict[str, Any] = {"epoch": list(epochs), "metric": list(metrics)}
        some = spikes.isel(unit=places[[15, 3, 8]])
        alone = modulation(some, null=True, **which, **options).compute()
        mine = whole.isel(unit=[15, 3, 8]).sel(which)
        for name in names:
            np.testing.assert_array_equal(alone[name], mine[name], err_msg=name)


def test_the_input_is_not_changed(spikes: xr.Dataset) -> None:
    some = spikes.isel(unit=slice(0, 10)).load()
    before = some.copy(deep=True)
    modulation(some, metric=METRICS, rng=0, surrogates=2)
    xr.testing.assert_identical(some, before)


def test_nothing_is_computed_until_asked(demo_stores: Path) -> None:
    computed = []

    def scheduler(dsk: Any, keys: Any, **kwargs: Any) -> Any:
        computed.append(keys)
        return dask.get(dsk, keys, **kwargs)

    with dask.config.set(scheduler=scheduler):
        lazy = lsdx.open_spikes(demo_stores).lsd.modulation(rng=0)
        assert not computed
        lazy.compute()
        assert len(computed) == 1


def test_shares_stand_beside_each_other(spikes: xr.Dataset) -> None:
    m = modulation(spikes, rng=0).compute()
    assert m["arm"].values.tolist() == ["lsd", "saline"]
    for arm in m["arm"].values:
        p = m["p"].where(m["condition"] == arm)
        expected = (p < 0.05).sum("unit") / p.notnull().sum("unit")
        np.testing.assert_allclose(m["share_modulated"].sel(arm=arm), expected)
        sessions = {
            s for s, ok in zip(m["session"].values, p[:, 0, 0].notnull().values, strict=True) if ok
        }
        assert m["n_sessions"].sel(arm=arm).values[0, 0] == len(sessions)
    # the demo modulates three tenths of the units of LSD sessions, and none of saline's
    share = m["share_modulated"].mean(["epoch", "metric"])
    assert share.sel(arm="lsd") > share.sel(arm="saline") + 0.1


def test_what_cannot_be_modulated_was_not_tested() -> None:
    """Two blocks a phase: p is a third at least, and a share of 0 would be a lie."""
    m = modulation(poisson(10, 30, step=3.0), rng=0, block="150 s")
    assert m["p_least"].values.max() == pytest.approx(2 / 6)
    assert m["p"].notnull().all()
    assert m["n_tested"].sum() == 0
    assert m["share_modulated"].isnull().all()
    assert m["q"].isnull().all()
    shares = m.assign_coords(subject=("unit", ["m"] * 10)).lsd.proportions(by="condition", rng=0)
    assert shares["n_units"].sum() == 0
    assert shares["share"].isnull().all()


def test_the_least_p_counts_ways_without_a_value() -> None:
    """Two silent blocks a phase: of 252 ways, 12 leave a phase with less than two blocks."""
    bursts = [
        np.arange(a, a + 60, 0.1 if a < 300 else 0.05) for a in (120, 180, 240, 420, 480, 540)
    ]
    bursts = [b + np.random.default_rng(i).uniform(0, 0.02, b.size) for i, b in enumerate(bursts)]
    m = modulation(trains([np.sort(np.concatenate(bursts))]), metric="cv2", rng=0)
    undefined = sum(
        len({2, 3, 4, 7, 8, 9} & {*second}) in (0, 1, 5, 6)
        for second in itertools.combinations(range(10), 5)
    )
    # two of four silent blocks go to either phase: six ways are the true one, six its mirror image
    assert m["p_least"].item() == pytest.approx((undefined + 12) / 252)
    assert m["p"].item() >= m["p_least"].item()


@pytest.mark.parametrize(
    ("n_blocks", "options"),
    [
        (4, {"metric": "fano_factor"}),
        (4, {"metric": "fano_factor", "settle": 3}),
        (4, {"metric": "fano_factor", "settle": 1}),
        (4, {"metric": "fano_factor", "n_permutations": 60}),
        (4, {"metric": "mean_rate"}),
        (5, {"metric": "fano_factor"}),
        (5, {"metric": "mean_rate", "method": "isi_shuffle", "n_permutations": 39}),
    ],
)
def test_the_least_p_is_the_least_seen(n_blocks: int, options: dict[str, Any]) -> None:
    """Blocks of one window of 20 s: counts that vary little, then much; units of all sizes."""
    rng = np.random.default_rng(31)
    size = np.exp(rng.uniform(3, 6, (400, 1)))
    spread = np.where(np.arange(2 * n_blocks) < n_blocks, 0.02, 0.6)
    counts = rng.poisson(size * np.exp(spread * rng.standard_normal((400, 2 * n_blocks))))
    if options["metric"] == "mean_rate":
        counts[:, n_blocks:] *= 3
    edges = np.arange(2 * n_blocks) * 20.0
    times = [np.sort(np.repeat(edges, c) + rng.uniform(0, 20, c.sum())) for c in counts]
    half = n_blocks * 20
    ds = trains(times, spans=((0, half), (half, 2 * half)))
    m = modulation(ds, block="20 s", window="20 s", rng=0, alpha=0.02, **options)
    least = m["p_least"].values[m["p"].notnull().values]
    assert len(np.unique(least)) == 1
    np.testing.assert_allclose(m["p"].min(), least[0])
    if n_blocks == 4:  # 2 of 70 ways: at this level nothing is ever called modulated
        assert m["n_tested"].sum() == 0


def test_unequal_epochs_have_the_same_number_of_blocks() -> None:
    m = modulation(poisson(3, 32), between=((0, 300), (300, 540)), rng=0, alpha=0.02)
    assert (m["n_blocks"] == 4).all()
    np.testing.assert_allclose(m["p_least"], 2 / 70)


# ---- bad input ------------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
def test_few_spikes_and_short_epochs_are_nan_without_warnings() -> None:
    few = [np.empty(0), np.array([10.0]), np.array([10.0, 400.0]), np.full(5, 20.0)]
    m = modulation(trains(few), metric=METRICS, rng=0, surrogates=2)
    assert m["index"][0].isnull().all()
    assert m["p"].sel(metric=["cv", "cv2", "lv", "lvr"]).isnull().all()
    rate = m["p"].sel(metric="mean_rate").values[:, 0]
    np.testing.assert_array_equal(rate[[0, 1]], [np.nan, 1])
    short = modulation(trains([np.arange(0, 90, 0.5)], spans=[(0, 40), (40, 90)]), metric=METRICS)
    assert short["p"].isnull().all()  # one block a phase
    assert short["p_least"].isnull().all()
    assert short["value"].sel(metric="mean_rate").notnull().all()


def test_a_phase_that_was_not_observed_is_nan() -> None:
    ds = trains([np.arange(0, 300, 0.1)], spans=[(0, 300), (np.nan, np.nan)])
    m = modulation(ds, metric=METRICS, rng=0)
    assert m["p"].isnull().all()
    assert m["n_blocks"].item() == 0
    assert m["n_tested"].sum() == 0
    assert m["share_modulated"].isnull().all()


def test_no_units_give_no_results(spikes: xr.Dataset) -> None:
    m = modulation(spikes.isel(unit=[]), rng=0)
    assert m["p"].shape == (0, 3, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metric": "fano"}, "mean_rate, cv, cv2, lv, lvr, fano_factor, allan_factor, lempel_ziv"),
        ({"metric": []}, "different ones of mean_rate"),
        ({"method": "circular_shift"}, "carries the drug's step into its own null"),
        ({"method": "bootstrap"}, "one of 'block', 'isi_shuffle'"),
        ({"between": ("pre", "pre")}, "two phases"),
        ({"between": ("pre", "after")}, "two of pre, post"),
        ({"epoch": "rest"}, "one of spontaneous, rfm, replay"),
        ({"n_permutations": 0}, "a whole number of at least 1"),
        ({"settle": 0}, "settle"),
        ({"alpha": 5}, "alpha"),
        ({"family": "colour"}, "labels on unit"),
        ({"family": None}, "labels on unit"),
        ({"metric": None}, "different ones of mean_rate"),
        ({"between": "pre"}, "two phases"),
        ({"alpha": "x"}, "alpha"),
        ({"epoch": []}, "one label, or several that differ"),
        ({"epoch": ["rfm", "rfm"]}, "one label, or several that differ"),
        ({"block": "1 ms"}, "at most 1000 blocks"),
    ],
)
def test_what_makes_no_sense_is_refused(
    spikes: xr.Dataset, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ArgumentError, match=words):
        modulation(spikes, **options)


def test_other_refusals(spikes: xr.Dataset, demo_stores: Path) -> None:
    with pytest.raises(ConfigError, match="block: expected a whole number of 10 us"):
        modulation(spikes, block="3 us")
    with pytest.raises(ConfigError, match="window: expected a duration"):
        modulation(spikes, window="long")
    with pytest.raises(SelectionError, match="spike times"):
        modulation(lsdx.open_units(demo_stores))
    with pytest.raises(SelectionError, match="between= and epoch="):
        modulation(spikes.sel(epoch="rfm"))


def test_phases_are_those_of_the_dataset() -> None:
    ds = trains([np.r_[np.arange(0.05, 300, 0.1), 300 + np.arange(0.01, 300, 1 / 30)]])
    named = ds.assign_coords(phase=["sleep", "wake"])
    np.testing.assert_array_equal(modulation(named, rng=0)["value"][0, 0, 0], [10, 30])
    assert modulation(named, rng=0)["phase"].values.tolist() == ["sleep", "wake"]
    three = named.isel(phase=[0, 1, 1]).assign_coords(phase=["sleep", "wake", "rem"])
    with pytest.raises(SelectionError, match=r"sleep, wake, rem\. Say which: between="):
        modulation(three)
    np.testing.assert_array_equal(
        modulation(three, between=("sleep", "rem"), rng=0)["value"][0, 0, 0], [10, 30]
    )
    with pytest.raises(SelectionError, match="no dimension phase"):
        modulation(ds.isel(phase=0))


def test_why_all_is_nan_is_said() -> None:
    train = np.arange(0.05, 600, 0.1)
    short = modulation(trains([train], spans=((0, 80), (300, 600))), rng=0)
    assert short["p"].isnull().all()
    assert short["note"].values.tolist() == [["shorter than two blocks of 60 s"]]
    unseen = modulation(trains([train], spans=((0, 300), (np.nan, np.nan))), rng=0)
    assert unseen["note"].values.tolist() == [["not observed in both phases"]]
    assert modulation(trains([train]), rng=0)["note"].values.tolist() == [[""]]
    shuffled = modulation(
        trains([train], spans=((0, 80), (300, 600))), method="isi_shuffle", n_permutations=39, rng=0
    )
    assert shuffled["note"].values.tolist() == [[""]]
    few = modulation(trains([train]), block="150 s", rng=0)
    assert few["p"].notnull().all()
    expected = "nothing can be modulated: p is 0.33 at least, alpha is 0.05"
    assert few["note"].values.tolist() == [[expected]]
    assert modulation(trains([train]), block="150 s", alpha=0.4, rng=0)["note"].item() == ""


def test_any_two_windows_are_compared() -> None:
    rng = np.random.default_rng(5)
    train = np.sort(rng.uniform(0, 600, 4000))
    ds = trains([train, train[:3000]])
    by_phase = modulation(ds, rng=0)
    pairs = modulation(ds, between=(("pre", "rest"), ("post", "rest")), rng=0)
    assert pairs["p"].dims == ("unit", "metric")
    assert pairs["phase"].values.tolist() == ["pre/rest", "post/rest"]
    for name in ("value", "statistic", "p", "n_blocks", "null_mean"):
        np.testing.assert_array_equal(pairs[name], by_phase[name].isel(epoch=0))
    # what is thinned is keyed by the same names
    options: dict[str, Any] = {"metric": ["cv2", "lempel_ziv"], "surrogates": 3, "rng": 0}
    thinned = modulation(ds, between=(("pre", "rest"), ("post", "rest")), **options)["value"]
    np.testing.assert_array_equal(thinned, modulation(ds, **options)["value"].isel(epoch=0))
    m = modulation(ds, between=((30, "2 min"), ("450 s", 600)), rng=0)
    assert m["phase"].values.tolist() == ["30 to 120 s", "450 to 600 s"]
    expected = [((train >= a) & (train < b)).sum() / (b - a) for a, b in ((30, 120), (450, 600))]
    np.testing.assert_allclose(m["value"][0, 0], expected)
    # as long as both: 90 s, in two blocks of 45 s
    assert (m["n_blocks"][0], m["block_duration"][0]) == (2, 45)
    given = ds.assign(administration=("unit", [200.0, np.nan]))
    m = modulation(given, between=((-170, -80), (250, 400)), relative_to="administration", rng=0)
    np.testing.assert_allclose(m["value"][0, 0], expected)
    assert m["p"][1].isnull().all()
    assert m["note"].values.tolist()[1] == "not observed in both phases"
    epoch = modulation(ds, between=((0, 100), (200, 300)), relative_to="post/rest", rng=0)
    expected = [((train >= a) & (train < a + 100)).sum() / 100 for a in (300, 500)]
    np.testing.assert_allclose(epoch["value"][0, 0], expected)


@pytest.mark.parametrize(
    ("between", "message"),
    [
        (((0, 200), (100, 300)), "do not overlap"),
        ((("pre", "rest"), (250, 400)), "do not overlap"),
        ((("pre", "rfm"), ("post", "rest")), "a phase of pre, post with an epoch of rest"),
        (((200, 100), (300, 400)), "start < stop"),
        (((0, 100, 200), (300, 400)), "start < stop"),
    ],
)
def test_wrong_windows_are_refused(between: Any, message: str) -> None:
    ds = trains([np.arange(0.05, 600, 0.1)])
    with pytest.raises(SelectionError, match=message):
        modulation(ds, between=between)
    with pytest.raises(ArgumentError, match="Say relative_to='administration'"):
        modulation(ds, between=(("-2 min", "-1 min"), (250, 400)))
    with pytest.raises(SelectionError, match="modulation, relative_to"):
        modulation(ds, relative_to="admin")
    with pytest.raises(SelectionError, match="Leave epoch out"):
        modulation(ds, between=((0, 100), (200, 300)), epoch="rest")
    with pytest.raises(ConfigError, match="between"):
        modulation(ds, between=(("a", "b"), (200, 300)))
