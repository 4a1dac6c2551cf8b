"""How measures of single units change from one phase to the other, and whether by chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from lsdx.analysis.families import with_families
from lsdx.analysis.inputs import require_spikes
from lsdx.analysis.phases import compared_phases, is_listed
from lsdx.analysis.results import result_attrs
from lsdx.analysis.seeds import seed_of, stream_of, unit_keys
from lsdx.analysis.trains import Promised, map_trains
from lsdx.analysis.windows import labels_of_windows, observed_ticks
from lsdx.arguments import number_between, one_of, some_of, whole_number
from lsdx.clock import TICKS_PER_SECOND, to_bin_ticks, to_seconds
from lsdx.errors import ArgumentError, SelectionError, located
from lsdx.kernels.blocks import Plan, equal_blocks, n_distinct_ways, n_draws_of
from lsdx.kernels.metrics import METRICS, lists_metrics
from lsdx.kernels.modulation import FIELDS, compare_phases
from lsdx.schema.spec import text

METHODS = ("block", "isi_shuffle")
_REFUSED = {
    "circular_shift": (
        "a shift of the whole train carries the drug's step into its own null distribution, and "
        "finds a step of 2 or 4 times in a sixth of the units; it is for what is stationary, "
        "such as locking to events"
    )
}
_MOST_BLOCKS = 1000
_WARNING = (
    "Change beyond the fluctuation between blocks of one epoch. Drift slower than an epoch "
    "cannot be told from the drug within one session: compare with the saline sessions."
)


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

    Within one session drift cannot be told from the drug: compare ``share_modulated`` with saline.

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
        If ``ds`` holds no spikes; for an unknown phase, epoch or label.
    ArgumentError
        For an unknown metric (the error lists them) or method, and numbers out of range; for
        ``"circular_shift"``, with the reason.
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
    >>> s = lsdx.open_spikes()
    >>> m = s.lsd.modulation(epoch="rfm", rng=0)
    >>> m.p.dims, m.share_modulated.dims
    (('unit', 'metric'), ('arm', 'metric'))
    """
    metrics = some_of(metric, "modulation, metric", METRICS)
    ds = require_spikes(ds, "modulation", duplicates)
    ds, between, of_windows = compared_phases(ds, between, relative_to, epoch)
    _check_method(method)
    whole_number(n_permutations, "modulation, n_permutations", least=1)
    whole_number(surrogates, "modulation, surrogates", least=1)
    if settle is not None:
        whole_number(settle, "modulation, settle", least=1)
    number_between(alpha, "modulation, alpha", 0, 1)
    if not isinstance(family, str) and not is_listed(family):
        raise ArgumentError(located("modulation, family", "labels on unit", repr(family)))
    chosen = [epoch] if isinstance(epoch, str) else epoch
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
    blocks, length = equal_blocks(begin, end, block_ticks)
    if blocks.max(initial=0) > _MOST_BLOCKS:
        raise ArgumentError(
            located(
                "modulation, block",
                f"at most {_MOST_BLOCKS} blocks a phase",
                f"{blocks.max()} of {block!r}",
                "Ask for longer ones.",
            )
        )
    numbers = [int(n) for n in np.unique(blocks[blocks >= (2 if method == "block" else 1)])]
    draws = [n_draws_of(method, n, n_permutations) for n in numbers]
    n_null = max(draws, default=1) if null else 0
    pooled = method == "block" and settle is None
    n_far = max((n_distinct_ways(n, n_permutations) for n in numbers), default=1) if pooled else 0
    # of two windows the names say all
    streams = [[stream_of(b) if of_windows else stream_of(b, e) for b in between] for e in epochs]
    plan = Plan(
        metrics=metrics,
        streams=tuple(map(tuple, streams)),
        method=method,
        block=block_ticks,
        window=window_ticks,
        second=TICKS_PER_SECOND,
        n_permutations=n_permutations,
        settle=settle,
        surrogates=surrogates,
        match_rates=bool(match_rates),
        seed=seed,
        n_null=n_null,
        n_far=n_far,
    )
    shape = (len(epochs), len(metrics), len(FIELDS) + n_far + 2 * n_null)
    data = map_trains(
        ds,
        compare_phases,
        (begin, end, unit_keys(ds)),
        (plan,),
        Promised(shape),
        duplicates,
    )
    out = _labelled(ds, data, start, plan, (blocks, length), alpha)
    # half the memory: all units' are needed at once
    far = data[..., len(FIELDS) : len(FIELDS) + n_far].astype(np.float32) if n_far else None
    out = with_families(out, far, ds, family, alpha)
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


def _check_method(method: str) -> None:
    if method in _REFUSED:
        raise ArgumentError(
            located(
                f"modulation, method={method!r}",
                f"one of {', '.join(METHODS)} between phases",
                f"what is not valid here: {_REFUSED[method]}",
                "Use method='block'.",
            )
        )
    one_of(method, "modulation, method", METHODS)


def _labelled(
    ds: xr.Dataset,
    data: Any,
    start: xr.DataArray,
    plan: Plan,
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
    for i, name in enumerate(FIELDS[3:], 3):
        found[name] = (per, data[..., i], {"units": "1", "long_name": about[name]})
    two = ("unit", "epoch")
    found["n_blocks"] = (two, n, {"units": "1", "long_name": "Blocks of each phase"})
    duration = np.where(n > 0, length / TICKS_PER_SECOND, np.nan)
    found["block_duration"] = (two, duration, {"units": "s", "long_name": "Length of a block"})
    few = n < (2 if plan.method == "block" else 1)
    short = f"shorter than two blocks of {plan.block / TICKS_PER_SECOND:g} s"
    note = np.where(n == 0, "not observed in both phases", np.where(few, short, "")).astype(object)
    for number in np.unique(n[note == ""]):
        draws = n_draws_of(plan.method, int(number), plan.n_permutations)
        dealt = plan.method == "block"
        least = 1 / (n_distinct_ways(int(number), plan.n_permutations) if dealt else draws + 1)
        if least >= alpha:
            told = f"nothing can be modulated: p is {least:.2g} at least, alpha is {alpha:g}"
            note[(n == number) & (note == "")] = told
    found["note"] = (two, note, {"long_name": "Why all is NaN, or nothing can be modulated"})
    if plan.n_null:
        first = len(FIELDS) + plan.n_far
        for i, (name, words) in enumerate(
            (("null", "Statistic by chance"), ("null_index", "Modulation index by chance"))
        ):
            low = first + i * plan.n_null
            values = data[..., low : low + plan.n_null]
            found[name] = ((*per, "permutation"), values, {"units": "1", "long_name": words})
    return xr.Dataset(found, coords)
