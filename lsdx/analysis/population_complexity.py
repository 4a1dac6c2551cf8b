"""The Lempel-Ziv complexity of populations, beside that of units without relation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from lsdx.analysis.grouping import Field, map_groups, population, result_coords
from lsdx.analysis.inputs import binned
from lsdx.analysis.results import result_attrs
from lsdx.analysis.seeds import cell_keys, seed_of, unit_keys
from lsdx.analysis.windows import WINDOWS, window_sizes
from lsdx.arguments import one_of, whole_number


def population_complexity(
    ds: xr.Dataset,
    *,
    by: str | Sequence[str] = "session",
    window: str | float = WINDOWS[0],
    signal: str = "mean",
    n_surrogates: int = 20,
    match_rates: bool = True,
    min_units: int = 20,
    min_spikes: float = 30,
    draws: int = 5,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Return the Lempel-Ziv complexity of the course of each population.

    Bits are windows in which the population is above its median: half of them are 1 at any rate.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (unit, ..., time).
    by : str or sequence of str
        Labels on ``unit`` that make the groups, of units recorded together.
    window : str or float
        Length of the windows that become bits, a whole number of bins; a plain number is
        seconds.
    signal : {"mean", "pc1"}
        The course of the population: the mean of the units' counts, each z-scored within the
        epoch, or the first principal component of these.
    n_surrogates : int
        Populations of units that are shifted circularly by random times, of each draw.
    match_rates : bool
        Whether each draw thins each unit binomially to its lowest rate among what is compared.
    min_units : int
        Groups of fewer used units are NaN.
    min_spikes : float
        A unit with fewer spikes in any that is compared is silent, and left out of all.
    draws : int
        Draws of spikes, whose mean is given.
    rng : Generator or int, optional
        Of draws and shifts; ``rng=int(result.attrs["seed"])`` gives them again.

    Returns
    -------
    Dataset
        Over the groups and the other dimensions (phase, epoch): ``complexity``, c log2(n) / n of
        the c phrases of n bits; ``complexity_surrogate``, the mean of shifted populations;
        ``complexity_ratio`` of the two: 1 for units without relation, below 1 where what they
        share has a slow course. NaN for fewer than 200 windows, and where not observed;
        ``note`` says why. ``n_units``. Lazy where the counts are.

    Raises
    ------
    ArgumentError
        For an argument out of range; when computed, for counts to be thinned that are not whole.
    SelectionError
        An ArgumentError, for windows that are no whole number of bins, labels that do not
        exist, and groups across sessions.

    Notes
    -----
    Phrases of Lempel & Ziv 1976 (IEEE Trans Inf Theory 22:75). Shifted units keep their rates
    and autocorrelations, and lose their relation to one another. A majority of units that are
    active is no use as a bit: at 0.1 s it is 0 in nearly all windows.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().sel(epoch="rfm")
    >>> found = u.lsd.population_complexity(min_units=10, n_surrogates=2, draws=1, rng=0)
    >>> found.complexity_ratio.dims
    ('session', 'phase')
    """
    from lsdx.kernels.population_complexity import measure_complexity

    one_of(signal, "population_complexity, signal", ("mean", "pc1"))
    whole_number(n_surrogates, "population_complexity, n_surrogates", least=1)
    whole_number(min_units, "population_complexity, min_units", least=2)
    whole_number(draws, "population_complexity, draws", least=1)
    seed = seed_of(rng)
    ds = binned(ds, "population_complexity")
    (size,) = window_sizes(ds, "population_complexity", [window])
    pop = population(ds, by, min_spikes, "population_complexity")
    n = pop.n_cells
    about = {
        "complexity": "Lempel-Ziv complexity of the population",
        "complexity_surrogate": "The same of units shifted at random",
        "complexity_ratio": "Lempel-Ziv complexity, over that of units shifted at random",
        "note": "Why a value is NaN",
    }
    fields = {name: Field((n,)) for name in about} | {
        "note": Field((n,), object, "no units"),
        "n_units": Field((), fill=0.0),
    }
    keys, ids = unit_keys(ds), cell_keys(pop)
    options = (size, signal, n_surrogates, min_units, draws if match_rates else 0, seed)
    arguments = [(keys[r], ids, *options) for r in pop.groups.rows]
    arrays = map_groups(pop, measure_complexity, arguments, fields)
    dims, shape = pop.groups.dims, (*pop.groups.shape, *pop.cell_shape)
    data: dict[str, Any] = {
        name: (
            (*dims, *pop.cells),
            arrays[name].reshape(shape),
            {"long_name": words} | ({} if name == "note" else {"units": "1"}),
        )
        for name, words in about.items()
    }
    data["n_units"] = (dims, arrays["n_units"], {"units": "1", "long_name": "Units used"})
    return xr.Dataset(data, result_coords(pop)).assign_attrs(
        result_attrs(ds),
        by=", ".join(dims),
        signal=signal,
        bit_window=size * float(ds.attrs["bin_width"]),
        n_surrogates=n_surrogates,
        match_rates=int(match_rates),
        draws=options[4],
        seed=str(seed),
    )
