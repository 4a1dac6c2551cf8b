"""How measures of single units change from one phase to the other, and whether by chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Any

import numpy as np
import xarray as xr

from lsdx.analysis.inputs import require_spikes
from lsdx.analysis.results import result_attrs
from lsdx.analysis.seeds import seed_of, stream_of, unit_keys
from lsdx.analysis.trains import Promised, map_trains
from lsdx.analysis.windows import labels_of_windows, observed_ticks, zero_of
from lsdx.clock import TICKS_PER_SECOND, n_bins, to_bin_ticks, to_seconds
from lsdx.errors import SelectionError, located
from lsdx.kernels.metrics import METRICS, lists_metrics, measures_of_spikes
from lsdx.kernels.resampling import THINNINGS, thinning_keys
from lsdx.kernels.trains import Trains
from lsdx.schema.spec import text

METHODS = ("block", "isi_shuffle")
_REFUSED = {
    "circular_shift": (
        "a shift of the whole train carries the drug's step into its own null distribution, and "
        "finds a step of 2 or 4 times in a sixth of the units; it is for what is stationary, "
        "such as locking to events"
    )
}
# what a function of trains gives for each unit, epoch and metric, before the null
_FIELDS = (
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
_MOST_BLOCKS = 1000
_AT_ONCE = 4_000_000  # spikes of surrogates, and bins of them, that are held at once
_WARNING = (
    "Change beyond the fluctuation between blocks of one epoch. Drift slower than an epoch "
    "cannot be told from the drug within one session: compare with the saline sessions."
)


@dataclass(frozen=True)
class _Plan:
    """What is asked, the same for all units."""

    metrics: tuple[str, ...]
    streams: tuple[tuple[int, ...], ...]  # of each epoch and phase: what thinning is keyed by
    method: str
    block: int  # ticks
    window: int  # ticks
    n_permutations: int
    settle: int | None
    surrogates: int
    match_rates: bool
    seed: int
    n_null: int  # draws of the null that are given
    n_far: int  # ways whose distances q is worked out from; none where it is of p alone


@lists_metrics
def modulation(
    ds: xr.Dataset,
    *,
    metric: str | Sequence[str] = "mean_rate",
    between: tuple[Any, Any] | None = None,
    relative_to: str = "recording",
    epoch: str | Sequence[str] | None = None,
    method: str = "block",
    block: str | float = "60 s",
    window: str | float = "100 ms",
    n_permutations: int = 999,
    settle: int | None = None,
    family: str | Sequence[str] = (),
    alpha: float = 0.05,
    surrogates: int = 100,
    match_rates: bool = True,
    null: bool = False,
    duplicates: str = "keep",
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Test whether measures of each unit differ between two phases, or any two windows.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    metric : str or sequence of str
        Of {metrics}
        (of ``lempel_ziv`` its ratio to shuffled bits).
    between : tuple of two, optional
        Phases, the first and the second; by default those of ``ds``, which must be two. Or any
        two windows that do not overlap, each as ``(phase, epoch)`` or as ``(start, stop)`` from
        ``relative_to``: ``(("-15 min", "-5 min"), (1800, 2400))``, a plain number is seconds.
    relative_to : str
        Where 0 of such a start and stop is: ``"recording"``, ``"administration"``, or the start
        of an epoch such as ``"post/spontaneous"``.
    epoch : str or sequence of str, optional
        Which epochs; each by itself, all by default.
    method : {"block", "isi_shuffle"}
        How the null distribution is made. ``"isi_shuffle"``, shuffled inter-spike intervals, is
        for reproducing earlier work alone (of trains as they are: ``match_rates=False``): where
        rates drift within the recording it calls most units modulated. ``"circular_shift"`` is
        refused.
    block : str or float
        About how long blocks are: the time that both phases have is cut into equal ones. A
        plain number is seconds. At most 1,000 blocks a phase.
    window : str or float
        Of ``fano_factor``, ``allan_factor`` and ``lempel_ziv``. What is left of a block after
        its last whole window is not used.
    n_permutations : int
        Of blocks, where there are more ways than these; shuffles of intervals.
    settle : int, optional
        Draw no more of the null for a unit once so many reach its statistic (Besag & Clifford
        1991). It saves time with ``"isi_shuffle"`` and where a measure needs more than a block.
    family : str or sequence of str
        Labels within which q is worked out; by default all units of an epoch and metric are one
        family.
    alpha : float
        Level of ``share_modulated``.
    surrogates : int
        Shuffles of bits, for ``lempel_ziv``.
    match_rates : bool
        Whether each unit's spikes are thinned at random to the lower of its rates in the two
        phases: all measures but ``mean_rate`` follow the rate of most trains.
    null : bool
        Whether the null distributions are given.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.
    rng : Generator or int, optional
        The attribute ``seed`` gives the same numbers again, whatever the chunks, the other
        units, epochs or metrics.

    Returns
    -------
    Dataset
        Over (unit, epoch, metric), float64, lazy where the spikes are; over (unit, metric)
        between windows, which ``phase`` names:

        - ``value`` (..., phase) of the whole epochs; ``index``, their `modulation_index`;
        - ``statistic``: Welch's t of the second phase's blocks minus the first's; where blocks
          are too short for the measure (one window for Fano and Allan factors, 200 for
          ``lempel_ziv``), and with ``"isi_shuffle"``, the difference of values. Where spikes are
          thinned, ``value`` and ``index`` are of the mean of 20 thinnings; the test, and what is
          by chance, of one (another seed, another p);
        - ``p``, two-sided; ``null_mean`` and ``null_sd`` of the statistic; ``n_draws`` of it;
        - ``q``, the false discovery rate: how many units of the family are expected to be as far
          from no change when blocks are dealt anew, over how many are; Benjamini-Hochberg of p
          with ``"isi_shuffle"`` or ``settle``. ``q_least``, what it would be if all units with
          ``p < alpha`` were further out than any unit in any other way (with
          Benjamini-Hochberg: if all of them had ``p_least``): from ``alpha`` on, none can pass;
        - ``p_least``, the least p that can come out of these ways to deal blocks: the mirror image
          of the true one, ways that differ from it in blocks without a value alone, and ways
          that give no value (with ``settle``: of those made) count as reached;
        - ``n_blocks`` (unit, epoch) a phase, ``block_duration`` (s);
        - ``share_modulated`` (arm, epoch, metric) of the units tested, at ``p < alpha``,
          ``n_tested`` and ``n_sessions``: an arm is a condition;
        - with ``null=True`` ``null`` and ``null_index`` (..., permutation), of the statistic
          and of the index of the means of blocks (with shuffles, of values).

        - ``note`` (unit, epoch), why all is NaN: a phase was not observed, or is shorter than
          two blocks; or that blocks are too few for any p below ``alpha``.

        NaN also where a phase holds fewer than two blocks with a value, or fewer spikes than the
        measure needs. Units whose ``p_least`` is not below ``alpha`` do not count as tested, and
        have no q: too few blocks cannot call anything modulated.

    Raises
    ------
    SelectionError
        If ``ds`` holds no spikes; for an unknown metric (the error lists them), method, phase,
        epoch or label; for ``"circular_shift"``, with the reason.
    ConfigError
        For a block or window that is no whole number of 10 us, or times that are none.

    Notes
    -----
    Blocks are dealt to the phases in all ways if these are no more than ``n_permutations`` and
    the true one (two times five blocks: 252, so that p is .008 at least), else in so many
    random ways, the same for all units. The test is of change beyond the fluctuation from block
    to block within an epoch: drift over seconds raises false positives to some 7 to 10 %, drift
    slower than the epoch to anything up to 100 %. It cannot be told from the drug within one
    session. What can be compared is the share of modulated units in saline sessions: hence
    ``share_modulated``.

    Of p that is .008 at least, Benjamini-Hochberg finds nothing among 1,000 units unless a sixth
    of them change. ``q`` is not of p but of distances: t as a normal deviate, or the difference
    in units of its root mean square over all ways (`lsdx.kernels.permutation.
    false_discovery_rates`). Its share of false discoveries, and the share of changes (times 1.5,
    or by it) that are found, at q < .05 (%; 400 times 1,000 units of 3 Hz, sd a factor of 2.7;
    two times five blocks of 60 s; 0, 5, 10 and 15 % of the units change; Benjamini-Hochberg
    finds less than 1 % of them in all cases):

    ================================  ===================  =============
    units                             false discoveries    found
    ================================  ===================  =============
    Poisson                           4.5  4.1  4.2  4.0   89  92  94
    bursts of 5                       5.5  4.1  3.6  3.7   15  22  27
    median of .05 Hz                  3.5  3.9  2.5  2.7   0   0   0
    gain of .3 that sessions share    2.0  2.5  2.4  2.0   1   1   1
    the same, up and down             3.5  3.7  3.7  3.5   24  29  34
    one session, gain of .3           2.8  3.1  2.1  1.9   3   4   6
    gain of .3 of each unit           4.0  4.6  3.1  4.8   0   0   0
    gain of .5 of half the units      3.5  4.3  3.9  4.0   43  45  46
    15 % of blocks without a value    5.2  3.6  3.7  3.2   76  82  85
    ================================  ===================  =============

    It stands on what p stands on: that blocks can change places. With drift that lasts over
    blocks (log-normal, sd .5) it does not hold: some unit of 1,000 that do not change is called
    in 14 % of families at tau 20 s, in 71 % at 60 s. There only the contrast with
    saline tells.

    A change of rate alone moves irregularity: a dead time, a gain that swings and too few spikes
    count for more or less at other rates. All of these are gone where both phases are thinned
    to the same rate. What is not: trains whose irregularity is the same at any rate (intervals
    of a gamma distribution that are stretched, bursts of the same size) become more like Poisson
    the more they are thinned, and are called modulated then; with ``match_rates=False`` ``cv``,
    ``cv2`` and ``lv`` are right for the first and the Fano factor for the second, and each wrong
    for the others. `lvr` without thinning is no way out: it holds for a dead time of about 5 ms
    at low rates. Compare both before speaking of regularity. Units with p < .05 (%),
    without a change but that of the rate (1,000 simulated units each; two times 300 s, windows
    of 100 ms), thinned / as they are:

    ===============================  =======  =======  =======  =======  =======  =======  =====
    trains                           cv       cv2      lv       lvr      fano     allan    lz
    ===============================  =======  =======  =======  =======  =======  =======  =====
    5 Hz throughout                  6 / 6    5 / 5    5 / 5    5 / 6    5 / 5    5 / 5    5 / 5
    dead time 2 ms, 10 to 30 Hz      5 / 39   4 / 98   4 / 100  4 / 78   5 / 51   5 / 36   5 / 5
    dead time 5 ms, 10 to 30 Hz      5 / 99   5 / 100  5 / 100  6 / 100  6 / 100  4 / 98   5 / 7
    gain of sd .3, 10 to 30 Hz       7 / 10   5 / 5    5 / 6    5 / 100  4 / 94   4 / 11   4 / 6
    Poisson, .2 to .6 Hz             5 / 10   4 / 4    4 / 4    4 / 5    1 / 8    1 / 4    5 / 6
    gamma of shape 2, 10 to 30 Hz    100 / 6  100 / 4  100 / 5  100/100  100/92   100/96   5 / 7
    bursts of 2, 10 ms, 10 to 30 Hz  100/55   60 /100  56 /100  48 /51   100/4    100/4    5 / 4
    ===============================  =======  =======  =======  =======  =======  =======  =====

    Examples
    --------
    >>> import lsdx
    >>> s = lsdx.open_spikes(demo_stores)
    >>> m = s.lsd.modulation(epoch="rfm", rng=0)
    >>> m.p.dims, m.share_modulated.dims
    (('unit', 'metric'), ('arm', 'metric'))
    """
    metrics = _checked_metrics(metric)
    ds = require_spikes(ds, "modulation", duplicates)
    of_windows = _are_windows(between)
    if between is None:
        between = _two_phases(ds)
    elif of_windows:
        ds = _with_windows(ds, between, relative_to, epoch)
        between = _two_phases(ds)
    _check_choice(method, between, ds, n_permutations, settle, alpha, surrogates)
    chosen = [epoch] if isinstance(epoch, str) else epoch
    if chosen is not None and (not len(chosen) or len(set(chosen)) < len(chosen)):
        raise SelectionError(
            located("modulation, epoch", "distinct epochs", repr(epoch), "Correct it.")
        )
    start, begin, end = observed_ticks(ds, "modulation", list(between), chosen)
    if start.dims != ("unit", "phase", "epoch"):
        raise SelectionError(
            located(
                "modulation",
                "dims unit, phase and epoch of start",
                ", ".join(map(str, start.dims)),
                "Do not select phase or epoch before: say between= and epoch=.",
            )
        )
    epochs = tuple(map(str, start["epoch"].values))
    seed = seed_of(rng)
    block_ticks, window_ticks = to_bin_ticks(block, "block"), to_bin_ticks(window, "window")
    blocks, length = _blocks(begin, end, block_ticks)
    if blocks.max(initial=0) > _MOST_BLOCKS:
        raise SelectionError(
            located(
                "modulation, block",
                f"at most {_MOST_BLOCKS} blocks a phase",
                f"{blocks.max()} of {block!r}",
                "Ask for longer ones.",
            )
        )
    numbers = [int(n) for n in np.unique(blocks[blocks >= (2 if method == "block" else 1)])]
    draws = [_draws(method, n, n_permutations) for n in numbers]
    n_null = max(draws, default=1) if null else 0
    pooled = method == "block" and settle is None
    n_far = max((_n_distinct(n, n_permutations) for n in numbers), default=1) if pooled else 0
    plan = _Plan(
        metrics,
        # of two windows the names say all
        tuple(
            tuple(stream_of(b) if of_windows else stream_of(b, e) for b in between) for e in epochs
        ),
        method,
        block_ticks,
        window_ticks,
        n_permutations,
        settle,
        surrogates,
        bool(match_rates),
        seed,
        n_null,
        n_far,
    )
    shape = (len(epochs), len(metrics), len(_FIELDS) + n_far + 2 * n_null)
    data = map_trains(
        ds,
        _of_trains,
        (begin, end, unit_keys(ds)),
        (plan,),
        Promised(shape),
        duplicates,
    )
    out = _labelled(ds, data, start, plan, (blocks, length), alpha)
    # half the memory: all units' are needed at once
    far = data[..., len(_FIELDS) : len(_FIELDS) + n_far].astype(np.float32) if n_far else None
    if not isinstance(family, str) and not _is_listed(family):
        raise SelectionError(
            located("modulation, family", "labels on unit", repr(family), "Correct it.")
        )
    families = [family] if isinstance(family, str) else list(family)
    out = _with_families(out, far, ds, families, alpha)
    about = {
        "method": method,
        "block": to_seconds(block, "block"),
        "window": to_seconds(window, "window"),
        "n_permutations": n_permutations,
        "seed": str(seed),
        "alpha": alpha,
        "match_rates": int(match_rates),
        "warning": _WARNING
        if method == "block"
        else "Not valid where rates drift: for the reproduction of earlier work alone.",
    }
    if settle is not None:
        about["settle"] = int(settle)
    out = out.assign_attrs(result_attrs(ds) | about | {"duplicates": duplicates})
    if of_windows:
        return out.isel(epoch=0, drop=True)
    return out.isel(epoch=0) if isinstance(epoch, str) else out


def _checked_metrics(metric: str | Sequence[str]) -> tuple[str, ...]:
    chosen = (metric,) if isinstance(metric, str) else tuple(metric if _is_listed(metric) else ())
    if not chosen or set(chosen) - set(METRICS) or len(set(chosen)) < len(chosen):
        raise SelectionError(
            located(
                "modulation, metric",
                "distinct ones of " + ", ".join(METRICS),
                repr(metric),
                "Correct it.",
            )
        )
    return chosen


def _check_choice(
    method: str,
    between: Any,
    ds: xr.Dataset,
    n_permutations: Any,
    settle: Any,
    alpha: Any,
    surrogates: Any,
) -> None:
    if method in _REFUSED:
        raise SelectionError(
            located(
                f"modulation, method={method!r}",
                f"one of {', '.join(METHODS)} between phases",
                f"what is not valid here: {_REFUSED[method]}",
                "Use method='block'.",
            )
        )
    known = list(map(str, ds["phase"].values)) if "phase" in ds.dims else []
    numbers = (
        ("n_permutations", n_permutations, 1),
        ("surrogates", surrogates, 1),
        ("settle", 1 if settle is None else settle, 1),
    )
    wrong = [
        (name, f"a whole number from {low}", value)
        for name, value, low in numbers
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low
    ]
    if method not in METHODS:
        wrong.append(("method", f"one of {', '.join(METHODS)}", method))
    if not _is_listed(between) or len(set(between)) != 2 or len(tuple(between)) != 2:
        wrong.append(("between", "two phases", between))
    elif known and set(between) - set(known):
        wrong.append(("between", f"two of {', '.join(known)}", between))
    if not isinstance(alpha, int | float) or not 0 < alpha < 1:
        wrong.append(("alpha", "a number between 0 and 1", alpha))
    if wrong:
        name, expected, found = wrong[0]
        raise SelectionError(located(f"modulation, {name}", expected, repr(found), "Correct it."))


def _two_phases(ds: xr.Dataset) -> tuple[str, str]:
    """Return the phases of a dataset that has two."""
    phases = list(map(str, ds["phase"].values)) if "phase" in ds.dims else []
    if len(phases) != 2:
        raise SelectionError(
            located(
                "modulation",
                "two phases that are compared",
                f"{', '.join(phases)}" if phases else "no dimension phase",
                "Say which: between=(first, second)."
                if phases
                else "Do not select a phase before: say between= and epoch=.",
            )
        )
    return phases[0], phases[1]


def _are_windows(between: Any) -> bool:
    return _is_listed(between) and len(between) == 2 and all(_is_listed(w) for w in tuple(between))


def _with_windows(ds: xr.Dataset, between: Any, relative_to: str, epoch: Any) -> xr.Dataset:
    """Put two windows in the place of phases, and one epoch in that of all."""
    if epoch is not None or not {"phase", "epoch"} <= set(ds["start"].dims):
        raise SelectionError(
            located(
                "modulation, between",
                "windows, of all phases and epochs",
                "some epochs of them",
                "Leave epoch out, and do not select phase or epoch before.",
            )
        )
    phases, epochs = (list(map(str, ds[d].values)) for d in ("phase", "epoch"))
    names, edges = [], []
    for window in between:
        pair = tuple(window)
        if len(pair) == 2 and pair[0] in phases and pair[1] in epochs:
            names.append("/".join(pair))
            one = ds.sel(phase=pair[0], epoch=pair[1])
            edges.append((one["start"].values, one["stop"].values))
            continue
        if len(pair) != 2 or pair[0] in phases or pair[1] in epochs:
            raise _wrong_window(phases, epochs, window)
        low, high = (to_seconds(t, "modulation, between") for t in pair)
        if not low < high:
            raise _wrong_window(phases, epochs, window)
        names.append(f"{low:g} to {high:g} s")
        zero = zero_of(ds, relative_to, "modulation")
        known = np.where(zero + low >= 0, zero, np.nan)
        edges.append((known + low, known + high))
    (a, b), (c, d) = edges
    if names[0] == names[1] or (np.maximum(a, c) < np.minimum(b, d)).any():
        raise SelectionError(
            located(
                "modulation, between",
                "two windows that do not overlap",
                " and ".join(names),
                "Move or shorten one.",
            )
        )
    dims = ("unit", "phase", "epoch")
    start, stop = (np.stack(e, axis=1)[..., None] for e in zip(*edges, strict=True))
    bare = ds.drop_dims(["phase", "epoch"])
    coords = {"phase": ("phase", text(names)), "epoch": ("epoch", text(["window"]))}
    return bare.assign(start=(dims, start), stop=(dims, stop)).assign_coords(coords)


def _wrong_window(phases: Sequence[str], epochs: Sequence[str], window: Any) -> SelectionError:
    return SelectionError(
        located(
            "modulation, between",
            f"(start, stop) with start < stop, or a phase of {', '.join(phases)} with an epoch of "
            + ", ".join(epochs),
            repr(window),
            "Write two of these: between=(first, second).",
        )
    )


def _is_listed(value: Any) -> bool:
    return isinstance(value, Sequence | set | np.ndarray) and not isinstance(value, str)


def _blocks(begin: np.ndarray, end: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how many blocks each phase of (n_units, 2, n_epochs) has, and their ticks."""
    common = (end - begin).min(axis=1)
    number = np.where(common > 0, np.maximum(np.rint(common / block), 1), 0).astype(np.int64)
    return number, common // np.maximum(number, 1)


def _draws(method: str, n_blocks: int, n_permutations: int) -> int:
    """Return how many draws of the null there are."""
    n_ways = comb(2 * n_blocks, n_blocks)
    return min(n_ways - 1, n_permutations) if method == "block" else n_permutations


def _n_distinct(n_blocks: int, n_permutations: int) -> int:
    """Return how many ways there are but for mirror images, where all of them are made."""
    n_ways = comb(2 * n_blocks, n_blocks)
    return n_ways // 2 if n_ways <= n_permutations + 1 else n_permutations + 1


# ---- of the trains of one session -----------------------------------------------------------


def _of_trains(
    trains: Trains,
    begin: np.ndarray,
    end: np.ndarray,
    keys: np.ndarray,
    plan: _Plan,
) -> np.ndarray:
    """Return all fields and the null of each unit, epoch and metric."""
    from lsdx.kernels.modulation import modulation_index

    n_units, _, n_epochs = begin.shape
    n_fields, first_null = len(_FIELDS), len(_FIELDS) + plan.n_far
    out = np.full((n_units, n_epochs, len(plan.metrics), first_null + 2 * plan.n_null), np.nan)
    for e in range(n_epochs):
        number, length = _blocks(begin[..., e : e + 1], end[..., e : e + 1], plan.block)
        kinds = np.concatenate([number, length, (end - begin)[..., e]], axis=1)
        for kind in np.unique(kinds, axis=0):
            if kind[0] == 0:
                continue
            rows = np.flatnonzero((kinds == kind).all(axis=1))
            mine = trains.of_units(rows)
            times = begin[rows, :, e], end[rows, :, e]
            named = [_Measure(n, mine, keys[rows], plan.streams[e], plan) for n in plan.metrics]
            means = {one.name: one.of_intervals(*times) for one in named}
            tested = {one.name: one for one in named}
            # what is made of bits is thinned window by window
            of_spikes = [
                one for one in named if METRICS[one.name].needs in ("intervals", "windows")
            ]
            if plan.match_rates and of_spikes:
                sums = {one.name: np.zeros((2, len(rows), 2)) for one in of_spikes}
                for i in range(THINNINGS):
                    trains_i = _at_equal_rates(mine, times, keys[rows], plan.streams[e], plan, i)
                    for one in of_spikes:
                        thinned = replace(one, trains=trains_i)
                        if i == 0:
                            tested[one.name] = thinned
                        value = thinned.of_intervals(*times)
                        known = np.isfinite(value)
                        sums[one.name] += np.where(known, value, 0), known
                for name, (total, finite) in sums.items():
                    means[name] = total / np.where(finite, finite, np.nan)
            for m, name in enumerate(plan.metrics):
                values = means[name]
                fields, null, null_index, far = _tested(tested[name], times, kind[:2])
                if name == "mean_rate":  # of a silent unit there is nothing to test
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


def _at_equal_rates(
    trains: Trains,
    times: tuple[np.ndarray, np.ndarray],
    keys: np.ndarray,
    streams: tuple[int, ...],
    plan: _Plan,
    thinning: int,
) -> Trains:
    """Return trains whose spikes of either interval are thinned to the lower of the rates."""
    from lsdx.kernels.binning import count_in_intervals
    from lsdx.kernels.resampling import kept_spikes, stream_keys

    rate = count_in_intervals(*trains, *times) / (times[1] - times[0])
    keep = rate.min(axis=1, keepdims=True) / np.where(rate > 0, rate, 1.0)
    of_phases = stream_keys(thinning_keys(keys, plan.seed, streams), thinning)
    return trains.kept(kept_spikes(*trains, times, keep, of_phases))


@dataclass(frozen=True)
class _Measure:
    """One measure of some units' trains in intervals of one length, or in blocks."""

    name: str
    trains: Trains
    keys: np.ndarray
    streams: tuple[int, ...]
    plan: _Plan
    n_thinnings: int = THINNINGS  # of what is thinned window by window

    def of_intervals(self, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Return the measure in each interval, (n_units, n_intervals)."""
        metric = METRICS[self.name]
        if metric.of_spikes:
            found = measures_of_spikes([self.name], self.trains, begin, end, TICKS_PER_SECOND)
            return found[self.name]
        if metric.needs == "bits":
            from lsdx.kernels.complexity import thinned_lempel_ziv

            bits = thinned_lempel_ziv(
                self._windows(begin, end),
                thinning_keys(self.keys, self.plan.seed, self.streams),
                n_thinnings=self.n_thinnings,
                n_shuffles=self.plan.surrogates,
                seed=self.plan.seed,
                mean=self._mean,
            )
            return np.asarray(bits[1])
        return self._of_counts(self._windows(begin, end))

    def in_blocks(
        self, begin: np.ndarray, end: np.ndarray, number: int, length: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the measure in each block of the first, then of the second interval.

        Where a block is too short for it, the windows or bits that it is made of come second,
        (n_units, n_blocks, n_windows).
        """
        first = begin[..., None] + np.arange(number) * length
        starts = first.reshape(len(begin), 2 * number)
        undefined = np.full(starts.shape, np.nan)
        if METRICS[self.name].needs == "bits":
            bits, n_bits = self._bits(begin, end)
            n = int(min(n_bits.min(), (number * length + 1) // self.plan.window)) // number
            parts = bits[..., : n * number].reshape(*starts.shape, n)
            if n < 200:
                return undefined, parts
            return self._ratio(parts, np.full(starts.shape, n)), None
        if METRICS[self.name].needs == "windows":
            parts = self._windows(starts, starts + length)
            return (self._of_counts(parts), None) if parts.shape[-1] > 1 else (undefined, parts)
        return self.of_intervals(starts, starts + length), None

    def of_parts(self, parts: np.ndarray) -> np.ndarray:
        """Return the measure of blocks put together, from (n_units, n_blocks, n_windows)."""
        if METRICS[self.name].needs == "bits":
            bits = parts.reshape(len(parts), 1, -1)
            return self._ratio(bits, np.full(bits.shape[:2], bits.shape[-1]))[:, 0]
        # blocks that did not follow one another have no successive windows
        apart = np.pad(parts, ((0, 0), (0, 0), (0, 1)), constant_values=np.nan)
        return self._of_counts(apart.reshape(len(parts), -1))

    def _windows(self, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        from lsdx.kernels.binning import count_spikes

        bins = n_bins(end - begin, self.plan.window)
        length = int(bins.max(initial=0))
        shape = bins, self.plan.window, length
        counts = count_spikes(*self.trains, begin, *shape, dtype=np.float32)
        counts[np.arange(length) >= bins[..., None]] = np.nan
        return counts

    def _of_counts(self, counts: np.ndarray) -> np.ndarray:
        return np.asarray(METRICS[self.name].kernel(counts))

    def _bits(self, begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from lsdx.kernels.complexity import equal_rate_bits
        from lsdx.kernels.resampling import stream_keys

        keys = thinning_keys(self.keys, self.plan.seed, self.streams)
        return equal_rate_bits(self._windows(begin, end), stream_keys(keys, 0), mean=self._mean)

    @property
    def _mean(self) -> float | None:
        """Spikes a window that bits are thinned to: the lowest, or as many as there are."""
        return None if self.plan.match_rates else np.inf

    def _ratio(self, bits: np.ndarray, n_bits: np.ndarray) -> np.ndarray:
        found = METRICS[self.name].kernel(
            bits.reshape(n_bits.size, bits.shape[-1]),
            n_bits.reshape(-1),
            n_shuffles=self.plan.surrogates,
            seed=self.plan.seed,
        )
        return np.asarray(found[1].reshape(bits.shape[:-1]))


def _tested(
    measure: _Measure,
    times: tuple[np.ndarray, np.ndarray],
    kind: np.ndarray,
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Return statistic, p, mean and sd of the null, draws, least p; the nulls; the distances.

    The null of the statistic comes first, then that of the index.
    """
    from lsdx.kernels.permutation import (
        assignments,
        block_test,
        least_p,
        repeated_ways,
        standardized,
    )

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
    from lsdx.kernels.modulation import modulation_index

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
    from lsdx.kernels.modulation import modulation_index
    from lsdx.kernels.permutation import least_p, sequential_test

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
    measure: _Measure, begin: np.ndarray, end: np.ndarray
) -> tuple[Callable[[np.ndarray, int, int], np.ndarray], int]:
    """Return a draw of the measure in both intervals after shuffling their spikes' intervals."""
    from lsdx.kernels.resampling import shuffle_intervals, stream_keys

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
        made = shuffle_intervals(joined[rows + local], mine, size[units], keys[units], first, stop)
        each = np.arange(n_draws)[:, None] * rows.size + mine
        shuffled = _Measure(
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


# ---- labels and families --------------------------------------------------------------------


def _labelled(
    ds: xr.Dataset,
    data: Any,
    start: xr.DataArray,
    plan: _Plan,
    blocks: tuple[np.ndarray, np.ndarray],
    alpha: float,
) -> xr.Dataset:
    per = ("unit", "epoch", "metric")
    coords = labels_of_windows(ds, start) | {"metric": ("metric", text(plan.metrics))}
    n, length = blocks
    about = {
        "statistic": "Welch's t of blocks, or difference of values",
        "p": "Two-sided p of the statistic",
        "null_mean": "Mean of the statistic's null distribution",
        "null_sd": "Standard deviation of the statistic's null distribution",
        "n_draws": "Draws of the null distribution",
        "p_least": "Least p that the test can give",
    }
    found: dict[str, Any] = {
        "value": ((*per, "phase"), data[..., :2], {"long_name": "Value of the measure"}),
        "index": (per, data[..., 2], {"units": "1", "long_name": "Modulation index"}),
    }
    for i, name in enumerate(_FIELDS[3:], 3):
        found[name] = (per, data[..., i], {"units": "1", "long_name": about[name]})
    two = ("unit", "epoch")
    found["n_blocks"] = (two, n, {"units": "1", "long_name": "Blocks of each phase"})
    duration = np.where(n > 0, length / TICKS_PER_SECOND, np.nan)
    found["block_duration"] = (two, duration, {"units": "s", "long_name": "Length of a block"})
    few = n < (2 if plan.method == "block" else 1)
    short = f"shorter than two blocks of {plan.block / TICKS_PER_SECOND:g} s"
    note = np.where(n == 0, "not observed in both phases", np.where(few, short, "")).astype(object)
    for number in np.unique(n[note == ""]):
        draws = _draws(plan.method, int(number), plan.n_permutations)
        dealt = plan.method == "block"
        least = 1 / (_n_distinct(int(number), plan.n_permutations) if dealt else draws + 1)
        if least >= alpha:
            told = f"nothing can be modulated: p is {least:.2g} at least, alpha is {alpha:g}"
            note[(n == number) & (note == "")] = told
    found["note"] = (two, note, {"long_name": "Why all is NaN, or nothing can be modulated"})
    if plan.n_null:
        first = len(_FIELDS) + plan.n_far
        for i, (name, words) in enumerate(
            (("null", "Statistic by chance"), ("null_index", "Modulation index by chance"))
        ):
            low = first + i * plan.n_null
            values = data[..., low : low + plan.n_null]
            found[name] = ((*per, "permutation"), values, {"units": "1", "long_name": words})
    return xr.Dataset(found, coords)


def _with_families(
    out: xr.Dataset, far: Any, ds: xr.Dataset, family: list[str], alpha: float
) -> xr.Dataset:
    """Add what needs all units: q and the least of it, the share of modulated units."""
    labels = {str(n) for n, v in ds.coords.items() if v.dims == ("unit",)}
    if set(family) - labels:
        raise SelectionError(
            located(
                "modulation, family",
                "labels on unit, of " + ", ".join(sorted(labels)),
                repr(family),
                "Correct it.",
            )
        )
    codes = _codes(ds, family)
    have = [n for n in ("condition", "session") if n in labels]
    arms = ds["condition"].values.astype(str) if "condition" in have else np.full(len(codes), "all")
    sessions = ds["session"].values.astype(str) if "session" in have else np.full(len(codes), "")
    names = [a for a in str(ds.attrs.get("conditions", "")).split(", ") if a in arms]
    names += sorted(set(arms.tolist()) - set(names))
    p = out["p"].data
    shape = (len(names), *p.shape[1:])
    arguments = (
        out["p_least"].data,
        far,
        codes,
        arms,
        np.array(names, dtype=object),
        sessions,
        alpha,
    )
    if hasattr(p, "dask"):
        import dask.array as da
        from dask.delayed import delayed

        promise = delayed(_over_units, pure=True)(p, *arguments)
        shapes = (p.shape, p.shape, shape, shape, shape)
        q, q_least, *shares = (
            da.from_delayed(promise[i], s, np.float64) for i, s in enumerate(shapes)
        )
        q, q_least = q.rechunk(p.chunks), q_least.rechunk(p.chunks)
    else:
        q, q_least, *shares = _over_units(p, *arguments)
    how = "Benjamini-Hochberg" if far is None else "All units' distances in all ways"
    words = f"{how}, within epoch, metric{''.join(', ' + f for f in family)}"
    told = "False discovery rate at which the unit is called"
    out["q"] = (out["p"].dims, q, {"units": "1", "long_name": told, "family": words})
    told = "q if all units with p < alpha were as far from chance as can be"
    out["q_least"] = (out["p"].dims, q_least, {"units": "1", "long_name": told})
    about = (
        ("share_modulated", f"Share of tested units with p < {alpha:g}"),
        ("n_tested", "Units tested"),
        ("n_sessions", "Sessions of them"),
    )
    for (name, told), values in zip(about, shares, strict=True):
        out[name] = (("arm", "epoch", "metric"), values, {"units": "1", "long_name": told})
    arm = ("arm", np.array(names, dtype=object), {"long_name": "Condition of the sessions"})
    return out.assign_coords(arm=arm)


def _codes(ds: xr.Dataset, labels: Sequence[str]) -> np.ndarray:
    import pandas as pd

    if not labels:
        return np.zeros(ds.sizes["unit"], dtype=np.int64)
    table = pd.DataFrame({n: ds[n].values for n in labels})
    return table.groupby(list(labels), dropna=False).ngroup().to_numpy()


def _over_units(
    p: np.ndarray,
    least: np.ndarray,
    far: np.ndarray | None,
    codes: np.ndarray,
    arms: np.ndarray,
    names: np.ndarray,
    sessions: np.ndarray,
    alpha: float,
) -> tuple[np.ndarray, ...]:
    tested = least < alpha  # NaN is no test
    q, q_least = np.full((2, *p.shape), np.nan)
    for code in np.unique(codes):
        rows = codes == code
        for cell in np.ndindex(p.shape[1:]):
            mine = np.flatnonzero(rows & tested[(slice(None), *cell)])
            at = (mine, *cell)
            ours = None if far is None else far[at]
            q[at], q_least[at] = _q_of_family(p[at], least[at], ours, alpha)
    share, n, n_sessions = np.full((3, len(names), *p.shape[1:]), np.nan)
    for a, name in enumerate(names):
        rows = arms == name
        n[a] = tested[rows].sum(axis=0)
        share[a] = ((p < alpha) & tested)[rows].sum(axis=0) / np.where(n[a] > 0, n[a], np.nan)
        for cell in np.ndindex(p.shape[1:]):
            n_sessions[(a, *cell)] = len(set(sessions[rows][tested[(rows, *cell)]].tolist()))
    return q, q_least, share, n, n_sessions


def _q_of_family(
    p: np.ndarray, least: np.ndarray, far: np.ndarray | None, alpha: float
) -> tuple[np.ndarray, float]:
    """Return q of each unit, and what it is at best: of all with p < alpha, or else of one."""
    from lsdx.kernels.permutation import benjamini_hochberg, false_discovery_rates

    if not p.size:
        return p, np.nan
    found = p < alpha if (p < alpha).any() else np.arange(p.size) == least.argmin()
    if far is not None:  # no unit reaches them in any way but the true one and its like
        return false_discovery_rates(far), float(least[found].mean())
    best = benjamini_hochberg(np.where(found, least, 1.0))
    return benjamini_hochberg(p), float(best[found].min())
