"""Dimensionality of one group's counts: of all its units, and of draws of units and of spikes.

Counts are (n_units, n_cells, n_bins). A cell is what is compared: an epoch of a phase, a window.
`lsdx.analysis.dimensionality` says what the arguments mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lsdx.kernels.correlations import (
    chance_squared_correlation,
    correlations,
    mean_square_of,
    reciprocal_beyond_zero,
    time_error,
)
from lsdx.kernels.cross_validation import shared_variance
from lsdx.kernels.dimensionality import (
    n_components,
    ngsc,
    participation_ratio,
    pc1,
    power_law_slope,
)
from lsdx.kernels.matching import Common, kept_shares, n_observed_bins, require_whole
from lsdx.kernels.resampling import stream_keys, thin
from lsdx.kernels.spectra import explained_variance, spectrum_of_correlations, without_common
from lsdx.kernels.surrogates import parallel_analysis, surrogate_spectra

OF_SPECTRUM = ("pc1", "n_components", "participation_ratio", "ngsc", "power_law_slope")
# these cost many spectra each: of the first draw alone, unless `include` names them
COSTLY = ("parallel_analysis", "shared_variance")
_GAP = 20.0  # s, between the halves of the time
_N_SHIFTS = 2  # whose mean is taken out of shared_variance
_LEAST_FREEDOM = 20  # independent bins, without which slow fluctuations are all there is
_LIKE_NOISE = 0.1  # relative, between a measure and that of unrelated units
_RATIO = "participation_ratio_unbiased"
_LEVELS = "compare changes, not levels"
_CHOICE, _THIN, _SHIFT = 0, 1, 2  # purposes of random numbers


@dataclass(frozen=True)
class Options:
    """What is computed of each matrix, and how."""

    names: tuple[str, ...]
    scale: str | Callable[[np.ndarray], np.ndarray]  # of (n_bins, n_units), the same shape
    level: float
    ranks: tuple[int, int]
    matched: bool  # whether there are draws beside all units at their own rates
    match_rates: bool
    detrend: float | None  # s, or share of the epoch below 1; what is slower is taken out
    regress: bool  # whether something is taken out: a covariate, or the first component
    levels: bool  # whether more groups than one stand beside each other, unmatched
    draws: int
    min_units: int
    seed: int
    n_ranks: int
    bin_width: float
    include: frozenset[str]

    def n_slow(self, n_bins: int) -> int:
        """Count the cosines of longer periods than the cut-off."""
        if self.detrend is None:
            return 0
        periods = 1 / self.detrend
        if self.detrend >= 1:
            periods *= n_bins * self.bin_width
        return max(int(np.ceil(2 * periods - 1e-9)) - 1, 0)


def measure_group(
    counts: np.ndarray,
    units: np.ndarray,
    cells: np.ndarray,
    keys: np.ndarray,
    half: np.ndarray,
    ids: Sequence[int],
    common: Common,
    covariate: np.ndarray | None,
    options: Options,
) -> dict[str, Any]:
    """Measure the dimensionality of one group of units recorded together.

    Parameters
    ----------
    counts : ndarray (n_units, n_cells, n_bins)
        NaN where nothing was observed.
    units, cells : ndarray of bool (n_units,), (n_cells,)
        Which are used.
    keys : ndarray of uint64 (n_units,)
        Of the random numbers of each unit; see `lsdx.kernels.resampling.stream_keys`.
    half : ndarray of bool (n_units,)
        Which units are in the second half of ``shared_variance``.
    ids : sequence of int (n_cells,)
        Of the random numbers of each cell.
    common : Common
        What this group has in common with others.
    covariate : ndarray (n_cells, n_bins), optional
        What is taken out of each unit first, if ``options.regress``.
    options : Options

    Returns
    -------
    dict
        ``value``, ``draw_sd``, ``unmatched``, ``undetrended``, ``surrogate`` (n_names, n_cells);
        ``draws`` (n_names, n_cells, n_draws); ``spectrum``, ``spectrum_unmatched``,
        ``spectrum_surrogate`` (n_cells, n_ranks); ``n_bins`` and ``note`` (n_cells,), with the
        reason of every NaN; the numbers ``n_units`` and ``n_units_matched``.
    """
    n_cells, n = counts.shape[1], int(units.sum())
    out: dict[str, Any] = {
        "value": np.full((len(options.names), n_cells), np.nan),
        "n_bins": np.zeros(n_cells),
        "n_units": n,
        "n_units_matched": 0,
    }
    kinds = ("draw_sd", "unmatched", "undetrended", "surrogate")
    out |= {kind: np.full_like(out["value"], np.nan) for kind in kinds}
    out["draws"] = np.full((len(options.names), n_cells, options.draws), np.nan)
    for kind in ("", "_unmatched", "_surrogate"):
        out[f"spectrum{kind}"] = np.full((n_cells, options.n_ranks), np.nan)
    why = _why_not(units, cells, common.n_units, options)
    notes, lengths = _observed(counts, units, cells, why, options)
    if covariate is not None:
        for c in np.flatnonzero(lengths > 0).tolist():
            if not np.isfinite(covariate[c][: lengths[c]]).all():
                notes[c], lengths[c] = "the covariate of regress is NaN or infinite in some bin", 0
    out["note"] = notes
    good = np.flatnonzero(lengths > 0).tolist()
    if n < max(options.min_units, 1) or not good:
        return out
    n_bins = int(lengths[good].min())
    if common.n_bins is not None:
        n_bins = min(n_bins, common.n_bins)
    if n_bins < 2 + options.n_slow(n_bins):
        notes[good] = f"fewer than {2 + options.n_slow(n_bins)} bins"
        return out
    out["n_bins"][good] = n_bins
    rows = np.ascontiguousarray(counts[units][:, good, :n_bins])
    group = _Group(
        rows,
        keys[units],
        half[units],
        [ids[c] for c in good],
        None if covariate is None else np.asarray(covariate)[good, :n_bins],
        options,
    )
    first = [group.measure(k, rows[:, k], costly=not options.matched) for k in range(len(good))]
    for k, c in enumerate(good):
        found = first[k]
        out["unmatched" if options.matched else "value"][:, c] = found.values
        _keep_spectrum(
            out, "spectrum_unmatched" if options.matched else "spectrum", c, found.spectrum
        )
        if options.matched and options.detrend is not None:
            drifting = replace(group, options=replace(options, detrend=None))
            out["undetrended"][:, c] = drifting.measure(k, rows[:, k], costly=False).values
    reasons = [found.reasons for found in first]
    if options.matched and not why:
        out["n_units_matched"] = common.n_units or n
        reasons = _draw(out, group, good, common)
    for k, c in enumerate(good):
        told = [notes[c]] if notes[c] else []
        if lengths[c] > 1.1 * n_bins:
            told.append(f"cut from {lengths[c]} to {n_bins} bins, as the shortest has")
        if 0 < out["n_units_matched"] < n / 2:
            told.append(f"{out['n_units_matched']} of {n} units in each draw")
        told += reasons[k]
        notes[c] = "; ".join([*told, *([_LEVELS] if options.levels else [])])
    return out


def _why_not(units: np.ndarray, cells: np.ndarray, n_matched: int, options: Options) -> str:
    n = int(units.sum())
    if not n:
        return "no unit fires enough in all that is compared" if cells.any() else "not observed"
    if n < options.min_units:
        return f"{n} units, fewer than min_units={options.min_units}"
    if n < n_matched:
        return f"{n} units, fewer than match_units={n_matched}: unmatched alone"
    return ""


def _observed(
    counts: np.ndarray, units: np.ndarray, cells: np.ndarray, why: str, options: Options
) -> tuple[np.ndarray, np.ndarray]:
    """Return a note on each cell, and how many bins of it can be used: 0 for none."""
    notes, lengths = np.full(cells.size, why, dtype=object), np.zeros(cells.size, dtype=np.int64)
    for c in range(cells.size):
        if not cells[c]:
            seen = np.isfinite(counts[:, c]).any(axis=1).sum()
            notes[c] = f"observed for {seen} of {units.size} units" if seen else "not observed"
            continue
        length = n_observed_bins(counts[units, c])
        least = 2 + options.n_slow(max(length, 0))
        if length < 0:
            notes[c] = "NaN bins among those observed"
        elif length < least:
            notes[c] = f"fewer than {least} bins"
        else:
            lengths[c] = length
    return notes, lengths


@dataclass(frozen=True)
class _Measured:
    """What one matrix gives: values by measure, and what that of the correlation rests on."""

    values: list[float]
    of_units: float  # error of the mean squared correlation
    of_time: float
    chance: float
    reasons: list[str]
    spectrum: np.ndarray
    surrogate: Sequence[float] = ()
    surrogate_spectrum: np.ndarray | None = None


@dataclass(frozen=True)
class _Group:
    """Counts of a group (n_units, n_cells, n_bins) of used units, and what its draws need."""

    rows: np.ndarray
    keys: np.ndarray
    half: np.ndarray
    ids: Sequence[int]
    covariate: np.ndarray | None  # (n_cells, n_bins)
    options: Options

    def prepared(self, k: int, counts: np.ndarray) -> np.ndarray:
        """Return the matrix (n_bins, n_units) of cell k that is measured, before detrending."""
        x = counts.T
        if self.options.regress:
            x = without_common(x, None if self.covariate is None else self.covariate[k])
        scale = self.options.scale
        return x if isinstance(scale, str) else scale(x)

    def measure(
        self,
        k: int,
        counts: np.ndarray,
        chosen: Any = slice(None),
        draw: int = 0,
        *,
        costly: bool,
        surrogates: bool = False,
        known: tuple[np.ndarray, np.ndarray] | None = None,
        chance: float | None = None,
    ) -> _Measured:
        """Measure units of cell k, (n_units, n_bins); correlations, and chance, may be known."""
        options = self.options
        x = self.prepared(k, counts)
        n_slow = options.n_slow(x.shape[0])
        scale = "zscore" if options.scale == "zscore" else "center"
        value: dict[str, float] = {}
        reasons: list[str] = []
        of_units = of_time = np.nan
        if scale == "zscore":
            r, varies = known or correlations(x, n_slow=n_slow)
            freedom = x.shape[0] - n_slow
            if x.shape[1] < freedom:
                spectrum = spectrum_of_correlations(r, varies, freedom)
            else:
                spectrum = explained_variance(x, n_slow=n_slow)
            if chance is None:
                chance = float(chance_squared_correlation(x, n_slow=n_slow))
            msc = np.nan
            if freedom > _LEAST_FREEDOM:
                found, spread = mean_square_of(r, varies, bias=chance)
                msc, of_units = float(found), float(spread)
                if draw == 0:
                    of_time = float(time_error(x, r, varies, n_slow=n_slow))
            value["mean_squared_correlation"] = msc
            ratio, why = _ratio(msc, float(np.hypot(of_units, of_time)), chance)
            value[_RATIO] = ratio
            reasons += [why] if why else []
        else:
            spectrum = explained_variance(x, scale=scale, n_slow=n_slow)
        value |= _of_spectrum(spectrum, options)
        for name in OF_SPECTRUM:
            if np.isnan(value[name]):
                first = f" from {options.ranks[0]} on" if name == "power_law_slope" else ""
                reasons.append(f"{name}: too few ranks{first}")
        keys = stream_keys(self.keys[chosen], options.seed, _SHIFT, draw, self.ids[k])
        if "parallel_analysis" in options.names:
            value["parallel_analysis"] = np.nan
            if costly and (draw == 0 or "parallel_analysis" in options.include):
                n = parallel_analysis(x, scale=scale, n_slow=n_slow, keys=keys)
                value["parallel_analysis"] = float(n) if n >= 0 else np.nan
                reasons += ["parallel_analysis: no unit varies"] if n < 0 else []
        if "shared_variance" in options.names:
            value["shared_variance"] = np.nan
            if costly and (draw == 0 or "shared_variance" in options.include):
                gap = round(_GAP / options.bin_width)
                half = self.half[chosen]
                value["shared_variance"] = shared_variance(
                    x, half, gap=gap, n_slow=n_slow, n_shifts=_N_SHIFTS, keys=keys
                )
                if np.isnan(value["shared_variance"]):
                    reasons.append("shared_variance: halves of units or of time too small")
        surrogate: list[float] = []
        null = None
        if surrogates and draw == 0:
            null = surrogate_spectra(x, scale=scale, n_slow=n_slow, keys=keys)[0]
            by_chance = _of_spectrum(null, options)
            surrogate = [by_chance.get(n, np.nan) for n in options.names]
        values = [value[n] for n in options.names]
        of_chance = np.nan if chance is None else chance
        return _Measured(values, of_units, of_time, of_chance, reasons, spectrum, surrogate, null)


def _ratio(msc: float, error: float, chance: float) -> tuple[float, str]:
    """Return the unbiased participation ratio, and why there is none."""
    if np.isnan(msc):
        few = f"{_LEAST_FREEDOM} bins less mean and cosines, or three units that vary"
        return np.nan, f"mean_squared_correlation, and its ratio: fewer than {few}"
    if not chance * _LEAST_FREEDOM < 1:
        left = "" if np.isnan(chance) else f", {1 / chance:.0f} independent bins"
        return np.nan, f"{_RATIO}: slow fluctuations, too few units or bins{left}"
    ratio = float(reciprocal_beyond_zero(np.asarray(msc), np.asarray(error)))
    return ratio, f"{_RATIO}: no correlation beyond chance" if np.isnan(ratio) else ""


def _of_spectrum(spectrum: np.ndarray, options: Options) -> dict[str, float]:
    return {
        "pc1": float(pc1(spectrum)),
        "n_components": float(n_components(spectrum, level=options.level)),
        "participation_ratio": float(participation_ratio(spectrum)),
        "ngsc": float(ngsc(spectrum)),
        "power_law_slope": float(power_law_slope(spectrum, ranks=options.ranks)),
    }


def _measure_draws(
    group: _Group, n: int, n_draws: int, keep: np.ndarray | None
) -> list[list[_Measured]]:
    """Measure every cell in draws of n units, thinned to shares of spikes unless that is None."""
    options, rows, keys = group.options, group.rows, group.keys
    known: list[Any] = [None] * len(group.ids)
    if keep is None and options.scale == "zscore" and not options.regress:
        n_slow = options.n_slow(rows.shape[-1])
        known = [correlations(rows[:, k].T, n_slow=n_slow) for k in range(len(group.ids))]
    drawn: list[list[_Measured]] = []
    for d in range(n_draws):
        chosen = np.sort(np.argsort(stream_keys(keys, options.seed, _CHOICE, d))[:n])
        drawn.append([])
        for k, i in enumerate(group.ids):
            x, both = rows[chosen, k], known[k]
            if keep is not None:
                streams = stream_keys(keys[chosen], options.seed, _THIN, d, i)
                x = thin(x, keep[chosen, k], streams)
            if both is not None:
                both = both[0][np.ix_(chosen, chosen)], both[1][chosen]
            # of the same units, thinned otherwise, chance is the same
            chance = drawn[0][k].chance if d and n == keys.size else None
            found = group.measure(
                k, x, chosen, d, costly=True, surrogates=True, known=both, chance=chance
            )
            drawn[d].append(found)
    return drawn


def _draw(
    out: dict[str, Any], group: _Group, good: Sequence[int], common: Common
) -> list[list[str]]:
    """Fill in the means and spreads over draws of units and of spikes; return reasons of NaN."""
    options, n, names = group.options, out["n_units_matched"], group.options.names
    keep = kept_shares(group.rows, group.keys, common)
    thinned = options.match_rates and bool((keep < 1).any())
    if thinned:
        require_whole(group.rows, "dimensionality")
    alike = not thinned and n == group.keys.size
    n_draws = 1 if alike else options.draws
    drawn = _measure_draws(group, n, n_draws, keep if thinned else None)
    values = np.array([[m.values for m in of_draw] for of_draw in drawn])  # draw, cell, measure
    many = np.isfinite(values).sum(axis=0)
    mean = np.nansum(values, axis=0) / np.where(many, many, np.nan)
    # what is NaN in some draws is NaN, but for what is worked out in the first alone
    once = np.array([name in COSTLY and name not in options.include for name in names])
    mean = np.where(once | (many == n_draws), mean, np.nan)
    out["value"][:, good] = mean.T
    if n_draws > 1:
        out["draw_sd"][:, good] = values.std(axis=0, ddof=1).T
    else:  # no choice and no thinning: all draws are this one; else one draw has no spread
        out["draw_sd"][:, good] = np.where(np.isfinite(mean), 0.0 if alike else np.nan, np.nan).T
    out["draws"][:, good, :n_draws] = values.T
    if alike:
        out["draws"][:, good] = out["draws"][:, good, :1]
    reasons = []
    for k, c in enumerate(good):
        mine = [of_draw[k] for of_draw in drawn]
        told = list(dict.fromkeys(r for m in mine for r in m.reasons if _RATIO not in r))
        if _RATIO in names:
            # of the mean over draws: a draw whose interval holds 0 is no reason to leave it out
            error = np.hypot(np.mean([m.of_units for m in mine]), mine[0].of_time)
            msc = mean[k, names.index("mean_squared_correlation")]
            ratio, why = _ratio(float(msc), float(error), mine[0].chance)
            out["value"][names.index(_RATIO), c] = ratio
            told += [why] if why else []
        out["surrogate"][:, c] = mine[0].surrogate
        _keep_spectrum(out, "spectrum", c, np.mean([m.spectrum for m in mine], axis=0))
        _keep_spectrum(out, "spectrum_surrogate", c, mine[0].surrogate_spectrum)
        reasons.append([*told, *_like_noise(names, mean[k], mine[0].surrogate)])
    return reasons


def _like_noise(names: Sequence[str], values: np.ndarray, surrogate: Sequence[float]) -> list[str]:
    """Name the measures of the spectrum that unrelated units would have too."""
    pairs = zip(names, values, surrogate, strict=True)
    alike = [n for n, v, s in pairs if n in OF_SPECTRUM and abs(v - s) <= _LIKE_NOISE * abs(s)]
    return [f"like unrelated units: {', '.join(alike)}"] if alike else []


def _keep_spectrum(out: dict[str, Any], name: str, cell: int, spectrum: np.ndarray | None) -> None:
    if spectrum is not None:
        out[name][cell, : spectrum.size] = spectrum
