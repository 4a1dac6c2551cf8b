"""How much units fluctuate together: pairs within and across groups, each unit with all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.grouping import Field, map_groups, population, result_coords
from lsdx.analysis.inputs import binned, chosen_labels
from lsdx.analysis.repeats import trials_of_sessions
from lsdx.analysis.results import result_attrs
from lsdx.analysis.seeds import cell_keys, seed_of, unit_keys
from lsdx.arguments import number_between, one_of, whole_number
from lsdx.clock import to_bins, to_seconds
from lsdx.errors import ArgumentError, SelectionError, located

if TYPE_CHECKING:
    from lsdx.kernels.coupling import Place
    from lsdx.kernels.samples import Options

_WORDS = {
    "correlation": ("1", "Mean correlation of pairs of units, less chance"),
    "coupling": ("1", "Correlation with the other units' summed rate, less chance"),
    "chance": ("1", "The same after random shifts of each unit"),
    "chance_sd": ("1", "Spread of the same over shifts"),
    "n_pairs": ("1", "Pairs of units"),
    "rate": ("Hz", "Mean rate of the units, after thinning"),
    "note": ("", "Why a value is NaN"),
}


def correlations(
    ds: xr.Dataset,
    *,
    kind: str = "total",
    within: str | None = None,
    across: str | None = None,
    window: str | float = "1 s",
    events: xr.Dataset | pd.DataFrame | None = None,
    stimulus: str | Sequence[str] | None = None,
    epochs: xr.Dataset | None = None,
    match_rates: bool = True,
    detrend: str | float | None = "half",
    apart: float = 50,
    n_shifts: int = 20,
    draws: int = 5,
    min_units: int = 2,
    min_spikes: float = 30,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Average the correlations of the counts of pairs of units that were recorded together.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` (of spikes, not rates) over (unit, ..., time).
    kind : {"total", "noise", "signal"}
        ``"total"``: of windows that follow one another. With ``events``, ``"noise"``: of trials,
        the mean over repeats of each stimulus taken out; ``"signal"``: of the stimuli's means.
    within, across : str, optional
        A label on ``unit`` such as ``"group"``: pairs of units of one value, of two values, or
        both if both name it. By default all pairs of a session. Units whose label is blank are
        left out.
    window : str or float
        Length of counts that are correlated; a whole number of bins. For events, from the bin
        that the event lies in.
    events : Dataset or DataFrame, optional
        ``session``, ``start`` in s and stimulus labels: a selection of `lsdx.open_events`.
    stimulus : str or sequence of str, optional
        Labels of events that make a stimulus. By default those of ``kind``, ``side``,
        ``position`` and ``contrast`` that there are.
    epochs : Dataset, optional
        `lsdx.open_epochs`, which tells where events lie in the counts; needed for events unless
        ``ds`` has ``start`` (unit, phase, epoch).
    match_rates : bool
        Whether each draw thins each unit binomially to its lowest rate among what is compared
        (for events, in their windows). Counts that are not whole stay as they are, and ``note``
        says so.
    detrend : {"half"}, str, float or None
        For ``"total"``: cosines of longer periods than this are taken out of each unit; half of
        what was observed, or a time. None: drift stays.
    apart : float
        Pairs of units closer than this along one insertion, in um, are left out, for they may
        share spikes. Needs the labels ``insertion`` and ``depth``; without them, and with 0, all
        pairs count.
    n_shifts : int
        Shifts that chance is the mean of; 0: nothing is subtracted.
    draws : int
        Draws of spikes, whose mean is given.
    min_units : int
        Groups of fewer used units are NaN.
    min_spikes : float
        A unit with fewer spikes in any that is compared is silent, and left out of all.
    rng : Generator or int, optional
        Of draws and shifts; ``rng=int(result.attrs["seed"])`` gives them again.

    Returns
    -------
    Dataset
        Over (session, source, target, phase, epoch), symmetric, with ``within`` on the diagonal
        and ``across`` beside it; over (session, phase, epoch) by default. ``correlation`` is the
        mean over pairs less ``chance``, the mean over shifts, whose spread is ``chance_sd``;
        ``n_pairs``; ``rate`` in Hz, the mean over pairs. ``note`` says why a value is NaN.
        Lazy where the counts are.

    Raises
    ------
    ArgumentError
        For an argument out of range.
    SelectionError
        An ArgumentError, for labels that do not exist, events without what is needed.

    Notes
    -----
    Pearson's correlation, averaged over pairs and draws. It falls with the rate (Cohen & Kohn
    2011, Nat Neurosci 14:811): thinning to a share q turns r of two units with Fano factor F
    into ``r q F / (1 + q (F - 1))``. Of r = .2 at 30 Hz and F = 1.25 there is .04 left at 5 Hz.

    Noise: ``less the mean over repeats`` needs stimuli that were repeated; others are left out.
    Signal: the means over odd repeats of the one unit with those over even repeats of the other,
    so that what units share in single trials is not in it. It is not corrected for the noise of
    means, which makes it smaller.

    Chance: each unit is shifted circularly by a lag of its own; for noise the trials of each
    stimulus are, for signal the stimuli. The mean of a signed correlation over all shifts is 0
    whatever the courses of the units, and ``chance`` so within the error of ``n_shifts``.
    ``chance_sd`` is what independent units of these courses would scatter by. Drift that all
    units share is no chance to shifts: ``detrend`` takes it out. In 1e-3, of 150 sets of 20
    independent units (3 a window, 300 windows; log rate of sd .5 and this time constant in
    windows, or a random walk of sd .05 a window): mean, its standard error, the spread over
    sets, the mean ``chance_sd``:

    ===========  ======================  ======================
    course       drift stays             ``detrend="half"``
    ===========  ======================  ======================
    none         0.1   0.4    4.5   4.0   0.0   0.4   4.5   4.1
    5            0.7   0.4    5.4   5.5   0.6   0.5   5.5   5.3
    20           0.0   0.6    7.7   7.9   0.1   0.6   7.0   6.2
    60          -0.3   0.7    8.4   8.6  -0.5   0.4   5.1   5.1
    300          0.1   0.7    8.0   6.3  -0.7   0.3   3.9   4.2
    random walk  2.2   1.0   12.8   8.8   0.1   0.4   4.8   4.4
    ===========  ======================  ======================

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units()
    >>> c = u.lsd.correlations(within="group", across="group", draws=1, rng=0)
    >>> c.correlation.dims
    ('session', 'source', 'target', 'phase', 'epoch')
    >>> gabors = lsdx.open_events().lsd.select(kind="gabor")
    >>> how = {"events": gabors, "epochs": lsdx.open_epochs(), "draws": 1, "rng": 0}
    >>> noise = u.sel(epoch="replay").lsd.correlations(kind="noise", window="0.5 s", **how)
    >>> noise.correlation.dims
    ('session', 'phase')
    """
    from lsdx.kernels.coupling import pair_correlations

    where = "correlations"
    one_of(kind, f"{where}, kind", ("total", "noise", "signal"))
    if (events is None) != (kind == "total"):
        expected = "events for noise and signal, none for total"
        found = f"kind={kind!r} {'without' if events is None else 'with'} events"
        raise ArgumentError(located(f"{where}, events", expected, found))
    label = within or across
    if within and across and within != across:
        expected = "the same label for within and across"
        raise SelectionError(located(where, expected, f"{within!r}, {across!r}"))
    ds = binned(ds, where)
    options = _options(
        ds,
        where,
        kind,
        window,
        detrend,
        (match_rates, draws, n_shifts, whole_number(min_units, f"{where}, min_units", least=2)),
        rng,
        (within is not None or label is None, across is not None),
    )
    places = _places(ds, apart, where)
    pop = population(ds, "session", min_spikes, where)
    code, values = _blocks(ds, label, where)
    trials: Sequence[Any] = [None] * len(pop.groups.rows)
    if events is not None:
        trials = trials_of_sessions(ds, pop, events, epochs, stimulus, where)
    n = len(values)
    shape = (n, n, pop.n_cells)
    names = ("correlation", "chance", "chance_sd", "n_pairs", "rate")
    fields = dict.fromkeys(names, Field(shape)) | {"note": Field(shape, object, "no units")}
    keys, ids = unit_keys(ds), cell_keys(pop)
    arguments = [
        (keys[r], ids, code[r], n, _at(places, r), mine, options)
        for r, mine in zip(pop.groups.rows, trials, strict=True)
    ]
    arrays = map_groups(pop, pair_correlations, arguments, fields)
    between = ("source", "target") if label else ()
    lead = (*pop.groups.shape, *(n for _ in between))
    data = {
        name: (("session", *between, *pop.cells), a.reshape((*lead, *pop.cell_shape)), _about(name))
        for name, a in arrays.items()
    }
    coords = result_coords(pop) | {d: (d, values) for d in between}
    about = {"kind": kind, "within": within or "", "across": across or ""}
    return xr.Dataset(data, coords).assign_attrs(_attrs(ds, options) | about | {"apart": apart})


def population_coupling(
    ds: xr.Dataset,
    *,
    by: str | Sequence[str] = "session",
    window: str | float | None = None,
    match_rates: bool = True,
    detrend: str | float | None = "half",
    apart: float = 50,
    n_shifts: int = 20,
    draws: int = 5,
    min_units: int = 10,
    min_spikes: float = 30,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Correlate each unit with the summed rate of the other units of its group.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` (of spikes, not rates) over (unit, ..., time).
    by : str or sequence of str
        Labels on ``unit`` that make the groups, of units recorded together.
    window : str or float, optional
        Length of counts that are correlated, a whole number of bins; by default one bin.
    match_rates : bool
        Whether each draw thins each unit binomially to its lowest rate among what is compared.
        Counts that are not whole stay as they are, and ``note`` says so.
    detrend : {"half"}, str, float or None
        What is taken out of each unit first, as for `correlations`.
    apart : float
        Units closer than this to the unit along one insertion, in um, are not among its others.
    n_shifts, draws : int
        Shifts that chance is the mean of, and draws of spikes.
    min_units : int
        Groups of fewer used units are NaN.
    min_spikes : float
        A unit with fewer spikes in any that is compared is silent, and left out of all.
    rng : Generator or int, optional
        Of draws and shifts; ``rng=int(result.attrs["seed"])`` gives them again.

    Returns
    -------
    Dataset
        Over (unit, phase, epoch), with the labels of units: ``coupling``, less ``chance``, which
        is the mean over shifts, and ``chance_sd`` their spread; ``rate`` in Hz; ``note`` says
        why a value is NaN. Lazy where the counts are.

    Raises
    ------
    ArgumentError
        For an argument out of range.
    SelectionError
        An ArgumentError, for labels that do not exist, and groups across sessions.

    Notes
    -----
    Okun et al. 2015 (Nature 521:511): the sum of the others' counts less their means, without
    the unit's own. Here as a correlation, from -1 to 1. Chance: the unit is shifted circularly
    against the others; `correlations` says what that is.

    Examples
    --------
    >>> import lsdx
    >>> c = lsdx.open_units().lsd.population_coupling(draws=1, rng=0)
    >>> c.coupling.dims
    ('unit', 'phase', 'epoch')
    """
    from lsdx.kernels.coupling import population_couplings

    where = "population_coupling"
    ds = binned(ds, where)
    window = float(ds.attrs["bin_width"]) if window is None else window
    least = whole_number(min_units, f"{where}, min_units", least=2)
    matching = (match_rates, draws, n_shifts, least)
    options = _options(ds, where, "total", window, detrend, matching, rng)
    places = _places(ds, apart, where)
    pop = population(ds, by, min_spikes, where)
    shape = (pop.n_cells,)
    names = ("coupling", "chance", "chance_sd", "rate")
    fields = {n: Field(shape, along="unit") for n in names}
    fields["note"] = Field(shape, object, "no units", along="unit")
    keys, ids = unit_keys(ds), cell_keys(pop)
    arguments = [(keys[r], ids, _at(places, r), options) for r in pop.groups.rows]
    arrays = map_groups(pop, population_couplings, arguments, fields)
    n_units = pop.counts.sizes["unit"]
    data = {
        name: (("unit", *pop.cells), a.reshape((n_units, *pop.cell_shape)), _about(name))
        for name, a in arrays.items()
    }
    kept = {"unit", *pop.cells}
    coords = {c: v for c, v in ds.coords.items() if set(v.dims) <= kept}
    about = {"by": ", ".join(pop.groups.dims), "apart": apart}
    return xr.Dataset(data, coords).assign_attrs(_attrs(ds, options) | about)


def _options(
    ds: xr.Dataset,
    where: str,
    kind: str,
    window: str | float,
    detrend: str | float | None,
    matching: tuple[bool, int, int, int],
    rng: Any,
    asked: tuple[bool, bool] = (True, True),
) -> Options:
    from lsdx.kernels.samples import Options

    match_rates, draws, n_shifts, min_units = matching
    width = float(ds.attrs["bin_width"])
    cutoff = None if detrend is None or kind != "total" else 0.0
    if cutoff is not None and detrend != "half":
        cutoff = to_seconds(detrend or 0, f"{where}, detrend")
        number_between(cutoff, f"{where}, detrend", 0, np.inf)
    return Options(
        kind,
        to_bins(window, width, f"{where}, window", least=1),
        width,
        bool(match_rates),
        whole_number(draws, f"{where}, draws", least=1),
        whole_number(n_shifts, f"{where}, n_shifts", least=0),
        min_units,
        seed_of(rng),
        *asked,
        cutoff,
    )


def _places(ds: xr.Dataset, apart: float, where: str) -> Place:
    from lsdx.kernels.coupling import Place

    apart = number_between(apart, f"{where}, apart", 0, np.inf, ends="low")
    n = ds.sizes["unit"]
    if "insertion" not in ds.coords or "depth" not in ds.coords:
        return Place(np.full(n, -1), np.zeros(n), apart)
    name = ds["insertion"].values.astype(str)
    code = np.where(name == "", -1, pd.factorize(name)[0])
    return Place(code, ds["depth"].values.astype(np.float64), apart)


def _at(place: Place, rows: np.ndarray) -> Place:
    from lsdx.kernels.coupling import Place

    return Place(place.insertion[rows], place.depth[rows], place.apart)


def _blocks(ds: xr.Dataset, label: str | None, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the block of each unit, -1 where the label is blank, and the labels of the blocks."""
    if label is None:
        return np.zeros(ds.sizes["unit"], dtype=np.int64), np.array([""], dtype=object)
    (name,) = chosen_labels(ds, label, f"{where}, within or across")
    values = pd.Series(ds[name].values)
    known = values.notna() & (values.astype(str) != "")
    code, found = pd.factorize(values.where(known, None), sort=True)
    if not len(found):
        raise SelectionError(located(f"{where}, {label}", "a value of some unit", "blanks alone"))
    return code.astype(np.int64), np.asarray(found)


def _about(name: str) -> dict[str, str]:
    units, words = _WORDS[name]
    return {"long_name": words} | ({"units": units} if units else {})


def _attrs(ds: xr.Dataset, options: Options) -> dict[str, Any]:
    cutoff = "none" if options.cutoff is None else f"{options.cutoff:g} s"
    return result_attrs(ds) | {
        "counted_in": options.window * options.bin_width,
        "match_rates": int(options.match_rates),
        "detrend": "half" if options.cutoff == 0 else cutoff,
        "draws": options.draws if options.match_rates else 0,
        "n_shifts": options.n_shifts,
        "seed": str(options.seed),
    }
