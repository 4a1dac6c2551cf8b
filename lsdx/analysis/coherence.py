"""Coherence of the rates of two populations that were recorded together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from lsdx.analysis.communication import told_side, two_sides
from lsdx.analysis.grouping import Field, map_groups, population, result_coords
from lsdx.analysis.inputs import binned
from lsdx.analysis.results import result_attrs
from lsdx.analysis.seeds import cell_keys, seed_of, stream_of, unit_keys
from lsdx.arguments import whole_number
from lsdx.clock import to_bins
from lsdx.kernels.prediction import LEAST_SHIFT

_WORDS = {
    "coherence": "Magnitude-squared coherence, less its bias",
    "coherence_raw": "Magnitude-squared coherence",
    "chance": "The same after circular shifts, with its bias",
    "p": "p of the coherence, by circular shifts",
    "p_corrected": "p of the coherence, corrected for all frequencies",
    "n_segments": "Segments, which overlap by half",
    "n_independent": "Independent segments that they are worth",
    "n_units_source": "Units of the source",
    "n_units_target": "Units of the target",
    "note": "Why a value is NaN",
}


def coherence(
    ds: xr.Dataset,
    *,
    source: str | Sequence[str],
    target: str | Sequence[str],
    label: str = "group",
    segment: str | float = "10 s",
    match_rates: bool = True,
    n_shifts: int = 199,
    draws: int = 5,
    min_units: int = 5,
    min_spikes: float = 30,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Measure the coherence of the population rates of two groups of units, by frequency.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` (of spikes, not rates) over (unit, ..., time).
    source, target : str or sequence of str
        Values of ``label``; several make one population. Which is which changes
        nothing but the random shifts.
    label : str
        A label on ``unit``.
    segment : str or float
        Length of a segment, a whole number of bins: the frequencies are its whole multiples of
        1 / segment, up to half the bins a second.
    match_rates : bool
        Whether each draw thins each unit binomially to its lowest rate among what is compared.
        Counts that are not whole stay as they are, and ``note`` says so.
    n_shifts : int
        Circular shifts, of at least 30 s, of the target against the source; 0: no p.
    draws : int
        Draws of spikes, whose mean is given.
    min_units : int
        Where either has fewer used units, values are NaN.
    min_spikes : float
        A unit with fewer spikes in any that is compared is silent, and left out of all.
    rng : Generator or int, optional
        Of draws and shifts; ``rng=int(result.attrs["seed"])`` gives them again.

    Returns
    -------
    Dataset
        Over (session, phase, epoch, frequency), in Hz: ``coherence_raw``, from 0 to 1;
        ``coherence``, without the bias of few segments, below 0 by chance; ``p``, and
        ``p_corrected`` for all frequencies; ``chance``, the mean of ``coherence_raw`` over
        shifts. Over (session, phase, epoch): ``n_segments``, ``n_independent``. Over (session):
        ``n_units_source``, ``n_units_target``. ``note`` says why a value is NaN.
        Lazy where the counts are.

    Raises
    ------
    ArgumentError
        For an argument out of range.
    SelectionError
        An ArgumentError, for a label or value that does not exist, or one value twice: the
        coherence of a population with itself is 1.

    Notes
    -----
    A population's rate is the mean of its units' z-scored counts. With the spectra ``S`` of Hann
    windows that overlap by half (Welch 1967, IEEE Trans Audio Electroacoust 15:70), each less
    its mean: ``raw = |Sxy|^2 / (Sxx Syy)``.

    Independent series have 1 / K on average for K independent segments (Carter, Knapp & Nuttall
    1973, IEEE Trans Audio Electroacoust 21:337). Half overlapping ones are worth
    ``n / (1 + 2 (1 - 1 / n) / 36)`` of them (Welch). Given is ``(raw - 1 / K) / (1 - 1 / K)``;
    a coherence c comes out too small by about ``c (1 - c) / K``.

    Coherence grows with the number and the rates of the units, whose spiking noise averages
    out: compare the same units, at matched rates, and not the levels of groups.

    p: ``(1 + n shifts of at least this coherence) / (1 + n_shifts)``. A rhythm without change of
    phase meets itself after any shift, and is not found.

    Of 200 pairs of independent series (300 s of 0.1 s, 99 shifts): mean ``coherence``, share of
    frequencies with ``p`` of at most .05, of pairs with any ``p_corrected`` of at most .05:

    ===========================  ======  ====  ====
    course                       mean    p     any
    ===========================  ======  ====  ====
    white                        -.0004  .055  .065
    time constant of 2 s         .0004   .062  .050
    time constant of 20 s        -.0001  .060  .040
    time constant of 100 s       .0000   .056  .095
    random walk                  -.0005  .054  .055
    trend as large as the noise  -.0001  .055  .060
    ===========================  ======  ====  ====

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units()
    >>> first, second = sorted(set(u.probe.values))[:2]
    >>> how = {"min_units": 2, "draws": 1, "n_shifts": 19, "rng": 0}
    >>> c = u.lsd.coherence(source=first, target=second, label="probe", **how)
    >>> c.coherence.dims, c.frequency.values[:2]
    (('session', 'phase', 'epoch', 'frequency'), array([0.1, 0.2]))
    """
    from lsdx.kernels.coherence import Options, population_coherence

    where = "coherence"
    ds = binned(ds, where)
    width = float(ds.attrs["bin_width"])
    options = Options(
        to_bins(segment, width, f"{where}, segment", least=4),
        width,
        int(np.ceil(LEAST_SHIFT / width - 1e-9)),
        whole_number(n_shifts, f"{where}, n_shifts", least=0),
        bool(match_rates),
        whole_number(draws, f"{where}, draws", least=1),
        whole_number(min_units, f"{where}, min_units", least=1),
        seed_of(rng),
    )
    first, second = two_sides(ds, source, target, label, where)
    side = np.where(first, 0, np.where(second, 1, -1))
    pop = population(ds, "session", min_spikes, where)
    n_frequencies = options.nperseg // 2
    spectra = ("coherence", "coherence_raw", "chance", "p", "p_corrected")
    of_cells = ("n_segments", "n_independent")
    fields = dict.fromkeys(spectra, Field((pop.n_cells, n_frequencies)))
    fields |= dict.fromkeys(of_cells, Field((pop.n_cells,)))
    fields["note"] = Field((pop.n_cells,), object, "no units")
    fields |= dict.fromkeys(("n_units_source", "n_units_target"), Field((), fill=0.0))
    keys, ids = unit_keys(ds), cell_keys(pop)
    session = pop.counts["session"].values
    arguments = [
        (keys[r], ids, stream_of(session[r[0]]), side[r], options) for r in pop.groups.rows
    ]
    data: dict[str, Any] = {}
    for name, array in map_groups(pop, population_coherence, arguments, fields).items():
        about = {"long_name": _WORDS[name]} | ({} if name == "note" else {"units": "1"})
        if name.startswith("n_units"):
            data[name] = (("session",), array, about)
            continue
        last = ("frequency",) if name in spectra else ()
        shape = (*pop.groups.shape, *pop.cell_shape, *array.shape[2:])
        data[name] = (("session", *pop.cells, *last), array.reshape(shape), about)
    frequency = np.arange(1, n_frequencies + 1) / (options.nperseg * width)
    coords = result_coords(pop)
    coords["frequency"] = ("frequency", frequency, {"units": "Hz", "long_name": "Frequency"})
    return xr.Dataset(data, coords).assign_attrs(
        result_attrs(ds),
        label=label,
        source=told_side(source),
        target=told_side(target),
        segment=options.nperseg * width,
        bias="(raw - 1 / n_independent) / (1 - 1 / n_independent)",
        match_rates=int(match_rates),
        draws=draws if match_rates else 0,
        n_shifts=n_shifts,
        least_shift=options.least_shift * width,
        seed=str(options.seed),
    )
