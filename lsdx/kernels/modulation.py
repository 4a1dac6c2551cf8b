"""How much a measure changes between two conditions, and whether by chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lsdx.kernels.blocks import Measure, Plan, equal_blocks
from lsdx.kernels.metrics import METRICS
from lsdx.kernels.permutation import (
    assignments,
    block_test,
    least_p,
    repeated_ways,
    sequential_test,
    standardized,
)
from lsdx.kernels.resampling import THINNINGS, shuffle_intervals, stream_keys
from lsdx.kernels.trains import Trains

# what a function of trains gives for each unit, epoch and metric, before the null
FIELDS = (
    "first",
    "second",
    "index",
    "statistic",
    "p",
    "null_mean",
    "null_sd",
    "n_draws",
    "p_least",
)
_AT_ONCE = 4_000_000  # spikes of surrogates, and bins of them, that are held at once


def modulation_index(a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """Return the modulation index of two rates, or of other measures that are not negative.

    Parameters
    ----------
    a, b : array_like of float
        Before and after.

    Returns
    -------
    ndarray of float64
        ``(b - a) / (b + a)``, from -1 to 1; NaN where both are 0 or one is NaN.

    Examples
    --------
    >>> modulation_index([10.0, 30.0, 0.0], [30.0, 10.0, 0.0]).tolist()
    [0.5, -0.5, nan]
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    total = a + b
    return np.asarray((b - a) / np.where(total == 0, np.nan, total))


def compare_phases(
    trains: Trains, begin: np.ndarray, end: np.ndarray, keys: np.ndarray, plan: Plan
) -> np.ndarray:
    """Test measures of units between two phases, epoch by epoch.

    `lsdx.analysis.modulation.modulation` says how, and what the test holds for.

    Parameters
    ----------
    trains : Trains
    begin, end : ndarray of int64 (n_units, 2, n_epochs)
        Ticks of both phases.
    keys : ndarray of uint64 (n_units,)
        Of random numbers.
    plan : Plan

    Returns
    -------
    ndarray of float64 (n_units, n_epochs, n_metrics, n)
        First `FIELDS`, then the distances of ``plan.n_far`` ways, the null distribution of the
        statistic and that of the index, each of ``plan.n_null`` draws.
    """
    n_units, _, n_epochs = begin.shape
    n_fields, first_null = len(FIELDS), len(FIELDS) + plan.n_far
    out = np.full((n_units, n_epochs, len(plan.metrics), first_null + 2 * plan.n_null), np.nan)
    for e in range(n_epochs):
        number, length = equal_blocks(begin[..., e : e + 1], end[..., e : e + 1], plan.block)
        kinds = np.concatenate([number, length, (end - begin)[..., e]], axis=1)
        for kind in np.unique(kinds, axis=0):
            if kind[0] == 0:
                continue
            rows = np.flatnonzero((kinds == kind).all(axis=1))
            mine, times = trains.of_units(rows), (begin[rows, :, e], end[rows, :, e])
            measures = [Measure(n, mine, keys[rows], plan.streams[e], plan) for n in plan.metrics]
            for m, (measure, values) in enumerate(_with_values(measures, *times)):
                fields, null, null_index, far = _tested(measure, times, kind[:2])
                if measure.name == "mean_rate":  # of a silent unit there is nothing to test
                    silent = (values == 0).all(axis=1)
                    fields = [np.where(silent, np.nan, f) for f in fields]
                index = modulation_index(*values.T)
                out[rows, e, m, :n_fields] = np.stack([*values.T, index, *fields], axis=1)
                if plan.n_far:
                    out[rows, e, m, n_fields : n_fields + far.shape[1]] = far
                if plan.n_null:
                    for first, draws in enumerate((null, null_index)):
                        at = first_null + first * plan.n_null
                        out[rows, e, m, at : at + draws.shape[1]] = draws
    return out


def _with_values(
    measures: list[Measure], begin: np.ndarray, end: np.ndarray
) -> list[tuple[Measure, np.ndarray]]:
    """Return what is tested of each measure, and its values in both intervals.

    Where spikes are thinned, that is the first thinning, and the mean over all of them.
    """
    # what is made of bits is thinned window by window
    thinned = [m for m in measures if METRICS[m.name].needs in ("intervals", "windows")]
    if not thinned or not thinned[0].plan.match_rates:
        return [(m, m.of_intervals(begin, end)) for m in measures]
    total, finite = np.zeros((2, len(thinned), *begin.shape))
    tested = {m.name: m for m in measures}
    for i in range(THINNINGS):
        trains = thinned[0].at_equal_rates(begin, end, i)
        for k, measure in enumerate(thinned):
            one = replace(measure, trains=trains)
            if i == 0:
                tested[measure.name] = one
            value = one.of_intervals(begin, end)
            known = np.isfinite(value)
            total[k] += np.where(known, value, 0)
            finite[k] += known
    means = total / np.where(finite, finite, np.nan)
    values = {m.name: mean for m, mean in zip(thinned, means, strict=True)}
    return [
        (tested[m.name], values[m.name] if m.name in values else m.of_intervals(begin, end))
        for m in measures
    ]


def _tested(
    measure: Measure,
    times: tuple[np.ndarray, np.ndarray],
    kind: np.ndarray,
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Return statistic, p, mean and sd of the null, draws, least p; the nulls; the distances.

    The null of the statistic comes first, then that of the index.
    """
    plan, number = measure.plan, int(kind[0])
    n_units = len(times[0])
    none = np.full(n_units, np.nan)
    if plan.method == "isi_shuffle":
        draw, batch = _interval_shuffles(measure, *times)
        values = replace(measure, n_thinnings=1).of_intervals(*times)
        never = np.zeros((n_units, plan.n_permutations), dtype=bool)
        return *_by_draws(values, draw, never, plan.settle, batch), none[:, None]
    if number < 2:
        return [none] * 6, none[:, None], none[:, None], none[:, None]
    by_block, parts = measure.in_blocks(*times, number, int(kind[1]))
    rng = np.random.default_rng([plan.seed, number])
    ways, exact = assignments(number, number, n_permutations=plan.n_permutations, rng=rng)
    if parts is not None:
        # who stops early must not meet the ways in the order of their enumeration
        ways = np.concatenate([ways[:1], ways[1:][rng.permutation(len(ways) - 1)]])

        def recomputed(units: np.ndarray, first: int, stop: int) -> np.ndarray:
            mine = parts[units]
            return np.stack(
                [
                    np.stack([measure.of_parts(mine[:, side]) for side in (~w, w)], axis=-1)
                    for w in ways[1 + first : 1 + stop]
                ],
                axis=1,
            )

        pair = [measure.of_parts(parts[:, side]) for side in (~ways[0], ways[0])]
        same = repeated_ways(ways, np.ones((n_units, 2 * number), dtype=bool))
        fields, null, null_index = _by_draws(
            np.stack(pair, axis=-1), recomputed, same, plan.settle, 16
        )
        df = None
    else:
        found = block_test(by_block, ways)
        fields = [found[n] for n in ("statistic", "p", "null_mean", "null_sd")]
        n_draws = np.where(np.isnan(found["p"]), np.nan, len(ways) - 1)
        null = found["null"]
        null_index = _index_of_ways(by_block, ways[1:]) if plan.n_null else null
        certain = repeated_ways(ways, ~np.isnan(by_block)) | np.isnan(null)
        fields += [n_draws, np.where(np.isnan(found["p"]), np.nan, least_p(certain))]
        df = np.isfinite(by_block).sum(axis=1) - 2
    # of a way and its mirror image, where both are there, one says all
    far = null[:, ~ways[1:, 0]] if exact else null
    far = standardized(fields[0], far, df=df) if plan.n_far else none[:, None]
    return fields, null, null_index, far


def _index_of_ways(by_block: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """Return the modulation index of the means of blocks, for each way to deal them."""

    def mean(side: np.ndarray) -> np.ndarray:
        # rows are summed one by one: a product of matrices rounds by how many there are
        mine = np.ascontiguousarray(by_block[:, side])
        n = np.isfinite(mine).sum(axis=1)
        return np.asarray(np.nansum(mine, axis=1) / np.where(n, n, np.nan))

    return np.stack([modulation_index(mean(~w), mean(w)) for w in ways], axis=1)


def _by_draws(
    pair: np.ndarray,
    draw: Callable[[np.ndarray, int, int], np.ndarray],
    same: np.ndarray,
    settle: int | None,
    batch: int,
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Test a difference against draws of both values, (n_units, n_draws, 2).

    ``same`` (n_units, n_draws) are draws that give the same statistic whatever the data.
    """
    n_draws = same.shape[1]
    null_index = np.full(same.shape, np.nan)

    def difference(units: np.ndarray, first: int, stop: int) -> np.ndarray:
        found = draw(units, first, stop)
        null_index[units, first:stop] = modulation_index(found[..., 0], found[..., 1])
        return np.asarray(found[..., 1] - found[..., 0])

    observed = pair[:, 1] - pair[:, 0]
    test = sequential_test(observed, difference, n_draws, settle=settle, batch=batch)
    fields = [test[n] for n in ("p", "null_mean", "null_sd", "n_draws")]
    null_index[np.isnan(test["null"])] = np.nan
    made = np.arange(n_draws) < test["n_draws"][:, None]
    certain = same | (np.isnan(test["null"]) & made)
    least = np.where(np.isnan(test["p"]), np.nan, least_p(certain, settle=settle))
    return [observed, *fields, least], test["null"], null_index


def _interval_shuffles(
    measure: Measure, begin: np.ndarray, end: np.ndarray
) -> tuple[Callable[[np.ndarray, int, int], np.ndarray], int]:
    """Return a draw of the measure in both intervals after shuffling their spikes' intervals."""
    ticks, row_start, row_size = measure.trains
    unit = np.repeat(np.arange(len(begin)), row_size)
    within = np.arange(unit.size) - np.repeat(np.cumsum(row_size) - row_size, row_size)
    times = ticks[row_start[unit] + within].astype(np.int64)
    length = end - begin
    side = [(begin[unit, i] <= times) & (times < end[unit, i]) for i in (0, 1)]
    joined = np.where(side[0], times - begin[unit, 0], length[unit, 0] + times - begin[unit, 1])
    inside = side[0] | side[1]
    # the second interval may come before the first
    order = np.lexsort((joined[inside], unit[inside]))
    joined, size = joined[inside][order], np.bincount(unit[inside], minlength=len(begin))
    first_of = np.cumsum(size) - size
    keys = stream_keys(measure.keys, measure.plan.seed, *measure.streams)
    edges = np.stack([np.zeros(len(begin), dtype=np.int64), length[:, 0]], axis=1)

    def draw(units: np.ndarray, first: int, stop: int) -> np.ndarray:
        n, n_draws = len(units), stop - first
        rows = np.repeat(first_of[units], size[units])
        mine = np.cumsum(size[units]) - size[units]
        local = np.arange(rows.size) - np.repeat(mine, size[units])
        made = shuffle_intervals(
            Trains(joined[rows + local], mine, size[units]), keys[units], first, stop
        )
        each = np.arange(n_draws)[:, None] * rows.size + mine
        shuffled = Measure(
            measure.name,
            Trains(
                made.reshape(-1).astype(np.uint32),
                each.reshape(-1),
                np.tile(size[units], n_draws),
            ),
            np.tile(measure.keys[units], n_draws),
            measure.streams,
            measure.plan,
            n_thinnings=1,
        )
        begins = np.tile(edges[units], (n_draws, 1))
        values = shuffled.of_intervals(begins, begins + np.tile(length[units], (n_draws, 1)))
        return np.asarray(values.reshape(n_draws, n, 2).transpose(1, 0, 2))

    held = joined.size + int((length.sum(axis=1) // measure.plan.window).sum())
    return draw, int(np.clip(_AT_ONCE // max(held, 1), 1, 64))
