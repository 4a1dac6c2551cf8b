"""What dimensionality promises of drift, levels, noise and common gain, by simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.signal import lfilter

from lsdx.analysis.dimensionality import dimensionality
from lsdx.errors import SelectionError
from lsdx.kernels import correlations, spectra, surrogates

STEP, N_BINS = 0.1, 3000
UNBIASED = "participation_ratio_unbiased"


def fluctuations(rng: np.random.Generator, tau: float, n: int, n_bins: int = N_BINS) -> Any:
    """Ornstein-Uhlenbeck processes of variance 1, (n, n_bins)."""
    keep = np.exp(-STEP / tau)
    steps = rng.normal(size=(n, n_bins)) * np.sqrt(1 - keep**2)
    first = keep * rng.normal(size=(n, 1))
    return lfilter([1], [1, -keep], steps, axis=1, zi=first)[0]


def correlated(
    rng: np.random.Generator, n: int, rate: float, *, n_bins: int = N_BINS, gain: Any = 0.0
) -> Any:
    """Spike counts (n, n_bins) of units that six latents drive, and a common gain."""
    loadings = rng.normal(size=(n, 6))
    loadings *= 0.5 / np.linalg.norm(loadings, axis=1, keepdims=True)
    base = rate * STEP * rng.lognormal(0, 0.5, n)
    return rng.poisson(base[:, None] * np.exp(loadings @ rng.normal(size=(6, n_bins)) + gain))


def dataset(groups: dict[str, Any]) -> xr.Dataset:
    """Counts (n_units, n_phases, n_bins) of sessions by name; NaN past the end of short ones."""
    longest = max(g.shape[-1] for g in groups.values())
    rows = [
        np.pad(
            g.astype(float), ((0, 0), (0, 0), (0, longest - g.shape[-1])), constant_values=np.nan
        )
        for g in groups.values()
    ]
    counts = np.concatenate(rows)
    session = np.repeat(list(groups), [len(g) for g in groups.values()]).astype(object)
    n = session.size
    return xr.Dataset(
        {
            "counts": (("unit", "phase", "time"), counts),
            "n_spikes": (("unit", "phase"), np.nansum(counts, axis=-1)),
            "duration": (("unit", "phase"), np.isfinite(counts).sum(axis=-1) * STEP),
        },
        {
            "unit": np.array([f"{s}-{i}" for i, s in enumerate(session)], dtype=object),
            "session": ("unit", session),
            "insertion": ("unit", session),
            "region": ("unit", np.full(n, "VISp", dtype=object)),
            "depth": ("unit", np.arange(n) * 20.0),
            "phase": ["pre", "post"][: counts.shape[1]],
        },
        {"bin_width": STEP},
    )


def drifting(kind: str, rng: np.random.Generator, n: int) -> Any:
    """Spike counts of independent units whose rates wander."""
    course = np.linspace(-1, 1, N_BINS)
    rates = {
        "tau 60 s": lambda: 0.5 * np.exp(0.5 * fluctuations(rng, 60, n)),
        "tau 300 s": lambda: 0.5 * np.exp(0.5 * fluctuations(rng, 300, n)),
        "20 Hz, tau 60 s": lambda: 2 * np.exp(0.5 * fluctuations(rng, 60, n)),
        "trend": lambda: 2 * (1 + 0.6 * rng.choice([-1, 1], n)[:, None] * course),
        "x 0.7 to 1.4": lambda: 0.5 * np.exp(rng.uniform(-0.35, 0.35, n)[:, None] * course),
        "constant": lambda: np.full((n, N_BINS), 0.5),
    }
    return rng.poisson(rates[kind]())


KINDS = ("tau 60 s", "tau 300 s", "20 Hz, tau 60 s", "trend", "x 0.7 to 1.4", "constant")


def found(n_sets: int, seed: int) -> dict[str, tuple[float, float]]:
    """Shares of sets of drifting units with a number of dimensions, and with a component."""
    shares = {}
    for kind in KINDS:
        rng = np.random.default_rng([seed, KINDS.index(kind)])
        sets = {f"s{i}": drifting(kind, rng, 60)[:, None] for i in range(n_sets)}
        out = dimensionality(dataset(sets), draws=1, rng=seed)
        shares[kind] = (
            float(out[UNBIASED].notnull().mean()),
            float((out.parallel_analysis > 0).mean()),
        )
        assert abs(float(out.shared_variance.mean())) < 0.01
    return shares


def test_independent_units_that_drift_have_no_dimension() -> None:
    shares = found(6, 1)
    assert sum(number for number, _ in shares.values()) * 6 <= 1
    assert sum(component for _, component in shares.values()) * 6 <= 5  # of 36, at 3 %: 1


@pytest.mark.slow
def test_drift_makes_no_dimension_in_more_than_a_twentieth() -> None:
    shares = found(200, 2)
    for kind, (number, component) in shares.items():
        assert number <= 0.05, kind
        assert component <= 0.05 + 0.03, kind  # two standard errors of 200


def test_without_detrending_drift_is_a_dimension() -> None:
    rng = np.random.default_rng(0)
    trend = drifting("trend", rng, 60)[:, None]
    out = dimensionality(dataset({"a": trend}), draws=1, rng=0).isel(phase=0, session=0)
    raw = dimensionality(dataset({"a": trend}), draws=1, detrend=None, rng=0)
    raw = raw.isel(phase=0, session=0)
    assert raw.parallel_analysis >= 1
    assert raw.mean_squared_correlation > 50 * abs(out.mean_squared_correlation)
    # what all units have with their drift stands beside
    assert out.mean_squared_correlation_undetrended == raw.mean_squared_correlation_unmatched
    assert out.attrs["detrend"] == "half"
    assert "undetrended" not in " ".join(map(str, raw))


def test_detrending_is_the_projection_on_cosines_slower_than_half_the_epoch() -> None:
    rng = np.random.default_rng(4)
    x = correlated(rng, 30, 4, n_bins=1000)
    out = dimensionality(
        dataset({"a": x[:, None]}), match_rates=False, include="spectrum", rng=0
    ).isel(session=0, phase=0)
    place = (np.arange(1000) + 0.5) / 1000
    slow = np.stack([np.cos(np.pi * k * place) for k in range(4)], axis=1)  # the mean too
    residual = x.T - slow @ np.linalg.lstsq(slow, x.T, rcond=None)[0]
    spectrum = np.linalg.eigvalsh(np.corrcoef(residual.T))[::-1] / 30
    np.testing.assert_allclose(out.spectrum[:30], spectrum, atol=1e-9)
    quick = {"match_rates": False, "rng": 0}
    same = dimensionality(dataset({"a": x[:, None]}), detrend="50 s", **quick)
    np.testing.assert_allclose(same.ngsc[0, 0], out.ngsc, rtol=1e-12)
    for wrong in (0.2, "5 parsec", -3):
        with pytest.raises(Exception, match="detrend"):
            dimensionality(dataset({"a": x[:, None]}), detrend=wrong)


def test_what_white_and_fast_latents_have_is_left() -> None:
    for tau in (0.0, 0.3):
        rng = np.random.default_rng(5)
        z = rng.normal(size=(10, N_BINS)) if not tau else fluctuations(rng, tau, 10)
        weights = rng.normal(size=(200, 10))
        weights /= np.linalg.norm(weights, axis=1, keepdims=True)
        x = (weights @ z + 1.5 * rng.normal(size=(200, N_BINS))).T
        without = correlations.participation_ratio_unbiased(x)
        assert correlations.participation_ratio_unbiased(x, n_slow=3) == pytest.approx(
            without, rel=0.02
        )
        assert without == pytest.approx(105.6, rel=0.1)
        assert surrogates.parallel_analysis(x, n_slow=3, rng=0) == 10


def test_levels_of_groups_are_alike_once_units_rates_and_times_are() -> None:
    rng = np.random.default_rng(6)
    groups = {
        "3 Hz": correlated(rng, 80, 3)[:, None],
        "6 Hz": correlated(rng, 80, 6)[:, None],
        "150 s": correlated(rng, 80, 3, n_bins=1500)[:, None],
        "few": correlated(rng, 40, 3)[:, None],
    }
    ds = dataset(groups)
    names = ["ngsc", "participation_ratio", "mean_squared_correlation"]
    by_default = dimensionality(ds, rng=0)
    assert by_default.attrs["compare"] == "changes"
    assert all("compare changes, not levels" in n for n in by_default.note.values.ravel())
    spread = by_default[names].std("session") / by_default[names].mean("session")
    assert spread.participation_ratio > 0.15
    assert spread.mean_squared_correlation > 0.5
    for ds_or_lazy in (ds, ds.chunk(unit=30)):
        alike = dimensionality(ds_or_lazy, match_units="min", match_rates="all", rng=0).compute()
        assert alike.attrs["compare"] == "levels"
        assert not any("levels" in n for n in alike.note.values.ravel())
        assert set(alike.n_bins.values.ravel()) == {1500}
        assert set(alike.n_units_matched.values) == {40}
        spread = alike[names].std("session") / alike[names].mean("session")
        assert spread.ngsc < 0.002
        assert spread.participation_ratio < 0.03
        assert spread.mean_squared_correlation < 0.2


def test_one_group_thins_to_the_quantiles_of_the_lowest() -> None:
    """Rates 1..40 and 2..80 a unit: the second is thinned to the first, unit by unit."""
    rng = np.random.default_rng(7)
    low = np.linspace(0.1, 2, 40)
    groups = {
        k: rng.poisson((f * low)[:, None, None], (40, 1, 4000)) for k, f in (("a", 1), ("b", 2))
    }
    sizes = {}
    for match_rates in (True, "all"):
        # what is centred alone keeps the variances, which are the thinned rates
        out = dimensionality(
            dataset(groups), scale="center", match_rates=match_rates, include="spectrum", rng=0
        )
        sizes[match_rates] = out.participation_ratio.values.ravel()
    mean, square = low.sum(), (low**2).sum()
    expected = mean**2 / (square + mean**2 / 4000)
    np.testing.assert_allclose(sizes["all"], expected, rtol=0.02)


def test_every_nan_has_its_reason_by_measure() -> None:
    rng = np.random.default_rng(8)
    small = {"six": rng.poisson(0.4, (6, 2, N_BINS)), "many": correlated(rng, 60, 5)[:, None]}
    small["many"] = np.repeat(small["many"], 2, axis=1)
    out = dimensionality(dataset(small), min_units=5, draws=2, rng=0)
    for session in ("six", "many"):
        one = out.sel(session=session, phase="pre")
        note = one.note.item()
        for name in ("power_law_slope", UNBIASED, "shared_variance", "ngsc"):
            assert (f"{name}:" in note) == bool(one[name].isnull()), (session, name, note)
    assert "no correlation beyond chance" in out.note.sel(session="six", phase="pre").item()
    slow = {"a": rng.poisson(30 * np.exp(fluctuations(rng, 300, 40) * 0.8))[:, None]}
    note = dimensionality(dataset(slow), detrend=None, draws=2, rng=0).note.item()
    assert "slow fluctuations" in note


def test_measures_that_spiking_noise_makes_are_marked() -> None:
    """Five latents at 3 Hz: most components are those of unrelated units, the shared are not."""
    rng = np.random.default_rng(9)
    out = dimensionality(dataset({"a": correlated(rng, 60, 3)[:, None]}), rng=0)
    out = out.isel(session=0, phase=0)
    order = [str(n) for n in out]
    assert order[:4] == [
        UNBIASED,
        "mean_squared_correlation",
        "parallel_analysis",
        "shared_variance",
    ]
    for name in ("ngsc", "n_components", "participation_ratio"):
        assert out[name] == pytest.approx(float(out[f"{name}_surrogate"]), rel=0.1)
        assert name in out.note.item().split("like unrelated units: ")[1]
    assert 5 <= out.parallel_analysis <= 6
    assert 0.03 < out.shared_variance < 0.2
    strong = np.random.default_rng(9).normal(size=(1, N_BINS)) * 0.8
    gained = dataset({"a": correlated(rng, 60, 20, gain=strong)[:, None]})
    assert "like unrelated" not in dimensionality(gained, rng=0).note.item()


def test_weak_components_beside_a_strong_one_are_found() -> None:
    rng = np.random.default_rng(10)
    counts = []
    for _ in range(4):
        weak = rng.normal(size=(N_BINS, 5)) @ (0.3 * rng.normal(size=(5, 40)))
        x = 2 * rng.normal(size=(N_BINS, 1)) + weak + rng.normal(size=(N_BINS, 40))
        counts.append(surrogates.parallel_analysis(x, rng=0))
    assert counts.count(6) >= 3
    assert min(counts) >= 5


def test_components_of_more_units_than_bins_are_counted() -> None:
    """What is left has fewer bins' directions too: else all 95 would beat their surrogates."""
    rng = np.random.default_rng(10)
    for n_bins, n_latents, weight in ((100, 30, 2.0), (150, 12, 1.0), (150, 5, 0.5)):
        latents = rng.normal(size=(n_bins, n_latents))
        x = latents @ (weight * rng.normal(size=(n_latents, 400)))
        x += rng.normal(size=x.shape)
        assert surrogates.parallel_analysis(x, n_slow=3, rng=0) in (n_latents, n_latents + 1)


@pytest.mark.parametrize("twice", [2, 4, 12])
def test_units_that_repeat_others_are_counted_once(twice: int) -> None:
    """Three unrelated units, each so many times: nothing is left beside them."""
    x = np.repeat(np.random.default_rng(0).poisson(2.0, (500, 3)), twice, axis=1)
    assert surrogates.parallel_analysis(x, n_slow=3, rng=0) == 3
    same = np.repeat(x[:, :1], 4, axis=1)
    assert surrogates.parallel_analysis(same, n_slow=3, rng=0) == 1
    assert surrogates.parallel_analysis(np.repeat(x[:5], 20, axis=1), rng=0) in (3, 4)


def test_what_all_units_share_can_be_taken_out() -> None:
    rng = np.random.default_rng(11)
    gain = 0.3 * fluctuations(rng, 5, 1)
    counts = correlated(rng, 100, 5, gain=gain)[:, None]
    ds = dataset({"a": counts})
    before = dimensionality(ds, draws=2, rng=0).isel(session=0, phase=0)
    globally = dimensionality(ds, draws=2, regress="global", rng=0).isel(session=0, phase=0)
    known = xr.DataArray(gain, dims=("phase", "time"), coords={"phase": ["pre"]})
    known = known.expand_dims(session=["a"])
    by_covariate = dimensionality(ds, draws=2, regress=known, rng=0).isel(session=0, phase=0)
    assert before.parallel_analysis == 7
    for out in (globally, by_covariate):
        assert out.mean_squared_correlation < 0.85 * before.mean_squared_correlation
        assert out.shared_variance < 0.9 * before.shared_variance
    assert (globally.attrs["regress"], by_covariate.attrs["regress"]) == ("global", "a covariate")
    lazy = dimensionality(ds.chunk(unit=50), draws=2, regress=known.chunk(), rng=0).compute()
    np.testing.assert_allclose(lazy.ngsc.item(), by_covariate.ngsc, rtol=1e-10)
    holed = known.copy()
    holed[..., 5] = np.inf
    out = dimensionality(ds, draws=2, regress=holed, rng=0).isel(session=0, phase=0)
    assert out.note == "the covariate of regress is NaN or infinite in some bin"
    assert out[["ngsc", "parallel_analysis"]].isnull().to_array().all()
    with pytest.raises(SelectionError, match=r"regress.*labels and times"):
        dimensionality(ds, regress=known.isel(time=slice(10)))
    with pytest.raises(SelectionError, match=r"regress.*covariate over time"):
        dimensionality(ds, regress=known.rename(phase="feature"))


def test_taking_out_a_known_covariate_is_least_squares_of_the_other_half() -> None:
    rng = np.random.default_rng(12)
    course = rng.normal(size=200)
    x = course[:, None] * [2.0, -1.0] + 3
    np.testing.assert_allclose(spectra.without_common(x, course).std(axis=0), 0, atol=1e-12)
    noise = rng.normal(size=(200, 2))
    found = spectra.without_common(noise, course)
    slope = np.polyfit(course[100:], noise[100:, 0], 1)
    expected = noise[:100, 0] - np.polyval(slope, course[:100])
    np.testing.assert_allclose(found[:100, 0], expected, atol=1e-12)


def held(n_draws: int, n_latent: int, n_units: int, tau: float, seed: int) -> float:
    """Share of intervals of the mean squared correlation that hold the truth."""
    rng = np.random.default_rng([seed, n_latent, n_units])
    many = rng.normal(size=(n_latent, 20_000)) / np.sqrt(n_latent)
    many /= np.sqrt((many**2).sum(axis=0) + 1)
    truth = np.square(many @ many.T / 20_000).sum()
    inside = 0
    for _ in range(n_draws):
        weights = rng.normal(size=(n_latent, n_units)) / np.sqrt(n_latent)
        z = fluctuations(rng, tau, n_latent) if tau else rng.normal(size=(n_latent, N_BINS))
        x = (weights.T @ z).T + rng.normal(size=(N_BINS, n_units))
        value, error = correlations.mean_squared_correlation(x, n_slow=3)
        inside += abs(value - truth) < 1.96 * error
    return inside / n_draws


def test_the_interval_of_the_mean_squared_correlation_holds_the_truth() -> None:
    assert held(60, 1, 40, 0.0, 13) >= 0.85
    assert held(60, 5, 40, 1.0, 14) >= 0.85


@pytest.mark.slow
@pytest.mark.parametrize("tau", [0.0, 1.0])
@pytest.mark.parametrize("n_latent", [1, 5, 20])
@pytest.mark.parametrize("n_units", [40, 150])
def test_the_interval_holds_the_truth_in_nine_of_ten(
    n_latent: int, n_units: int, tau: float
) -> None:
    assert held(300, n_latent, n_units, tau, 15) >= 0.90 - 0.035  # two standard errors


# of the docstring: what goes up where latents double, or down
POWER = {"ngsc": 1, "pc1": -1, UNBIASED: 1, "parallel_analysis": 1, "shared_variance": -1}


def changes(n_units: int, n_sessions: int, seed: int, *, doubled: bool) -> xr.Dataset:
    """Changes of sessions whose latents double from 6 to 12, or do not."""
    rng = np.random.default_rng([seed, n_units, doubled])
    groups = {}
    for s in range(n_sessions):
        loadings = rng.normal(size=(n_units, 2, 6))
        loadings *= 0.5 / np.linalg.norm(loadings, axis=2, keepdims=True)
        base = STEP * rng.lognormal(np.log(4), 1, n_units).clip(0.3, 60)
        effect = np.array([0.0, 1.0 * doubled])[:, None, None]
        z = np.concatenate(
            [
                fluctuations(rng, 2, 12).reshape(2, 6, -1) * np.sqrt(1 - effect / 2),
                fluctuations(rng, 2, 12).reshape(2, 6, -1) * np.sqrt(effect / 2),
            ],
            axis=1,
        )
        log_rate = np.einsum("ul,plt->upt", loadings.reshape(n_units, 12), z)
        groups[f"s{s}"] = rng.poisson(base[:, None, None] * np.exp(log_rate))
    options: dict[str, Any] = {"min_units": 5, "min_spikes": 10, "draws": 2, "rng": 0}
    out = dimensionality(dataset(groups), **options)[list(POWER)]
    return out.sel(phase="post", drop=True) - out.sel(phase="pre", drop=True)


def test_groups_of_their_own_size_show_the_demos_effect() -> None:
    up = [(changes(20, 12, 16, doubled=d).ngsc > 0).mean() for d in (True, False)]
    assert up[0] >= 0.9
    assert 0.1 <= up[1] <= 0.9


# % of sessions in which a measure goes the right way, and in which it stands out of 95 % of
# unchanged ones, by number of units; as the docstring of dimensionality has them
TABLE = {
    6: [(89, 25), (85, 35), (0, 0), (3, 0), (0, 0)],
    10: [(92, 35), (91, 34), (0, 0), (8, 0), (82, 25)],
    20: [(99, 69), (90, 42), (55, 47), (7, 0), (85, 41)],
    40: [(100, 91), (99, 80), (100, 97), (27, 3), (99, 61)],
    80: [(100, 99), (100, 83), (100, 100), (100, 100), (95, 67)],
}


@pytest.mark.slow
@pytest.mark.parametrize("n_units", list(TABLE))
def test_power_for_doubled_dimensions_by_number_of_units(n_units: int) -> None:
    with_effect, without = (changes(n_units, 150, 17, doubled=d) for d in (True, False))
    assert abs((without.ngsc > 0).mean() - 0.5) < 0.13  # three standard errors of 150
    for (name, sign), (right, out) in zip(POWER.items(), TABLE[n_units], strict=True):
        change, chance = sign * with_effect[name].values, sign * without[name].values
        assert 100 * np.mean(change > 0) == pytest.approx(right, abs=2), name
        beyond = np.nanquantile(chance, 0.95) if np.isfinite(chance).any() else np.inf
        assert 100 * np.mean(change > beyond) == pytest.approx(out, abs=2), name


@pytest.mark.slow
def test_the_figures_of_a_common_gain() -> None:
    rng = np.random.default_rng(18)
    found = []
    for sd in (0.0, 0.3):
        gains = {f"s{i}": sd * fluctuations(rng, 5, 1) for i in range(10)}
        ds = dataset({s: correlated(rng, 200, 5, gain=g)[:, None] for s, g in gains.items()})
        covariate = xr.DataArray(
            np.concatenate(list(gains.values())),
            dims=("session", "time"),
            coords={"session": list(gains)},
        )
        for regress in (None, "global", covariate):
            out = dimensionality(ds, draws=1, regress=regress, rng=0)
            found.append(1000 * float(out.mean_squared_correlation.mean()))
    assert found == pytest.approx([2.8, 2.2, 2.8, 5.1, 3.6, 3.7], abs=0.1)
