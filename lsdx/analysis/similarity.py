"""How alike population vectors are: of phases and epochs, and of all times of a session."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from lsdx.analysis.grouping import Field, Population, map_groups, population, result_coords
from lsdx.analysis.inputs import binned
from lsdx.analysis.results import result_attrs
from lsdx.analysis.windows import window_sizes
from lsdx.arguments import one_of, some_of, whole_number
from lsdx.clock import to_seconds
from lsdx.errors import ArgumentError, SelectionError, located
from lsdx.schema.spec import text


def similarity(
    ds: xr.Dataset,
    *,
    by: str | Sequence[str] = "session",
    window: str | float | None = "1 s",
    n_folds: int = 10,
    gap: str | float = "1 s",
    min_units: int = 20,
    min_spikes: float = 30,
) -> xr.Dataset:
    r"""Compare the mean activity of all pairs of phases and epochs: a matrix of dissimilarity.

    Patterns of two times differ without a drug too: rates drift. A distance between two phases
    is no drug effect by itself; it is to be compared with ``distance_within``, and with saline
    sessions.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (unit, ..., time).
    by : str or sequence of str
        Labels on ``unit`` that make the groups, of units recorded together.
    window : str, float or None
        Bins are added up to windows of this length, a whole number of bins; None leaves bins as
        they are. The noise that distances are relative to is that of one window.
    n_folds : int
        Blocks that each cell is cut into, at least 4: contiguous, of nearly as many windows each.
    gap : str or float
        Time left out between blocks.
    min_units : int
        Groups of fewer used units are NaN.
    min_spikes : float
        Units with fewer spikes in all cells together are left out, as are units without
        variance. A unit that is silent in one cell stays: it makes a difference.

    Returns
    -------
    Dataset
        A cell is what is compared, such as ``"pre/spontaneous"``: dimensions ``cell`` and
        ``other``, with the labels ``phase``, ``epoch`` and ``other_phase``, ``other_epoch``.
        Over the groups:

        ``distance`` (..., cell, other): squared, cross-validated, mean over units, in squared sd
        of a window. 0 on average for equal patterns, and then below 0 half of the time.
        ``distance_within`` (..., cell): the same of the first and second half of one cell.
        ``correlation`` (..., cell, other) of mean patterns over units, each relative to its
        noise. ``ceiling`` (..., cell, other): what it would be for equal patterns with this much
        noise; ``correlation / ceiling`` is the correlation of the true patterns, which may
        exceed 1 by chance. ``reliability`` (..., cell). ``n_units``; ``note`` (..., cell) says
        why a value is NaN. Lazy where the counts are.

    Raises
    ------
    ArgumentError
        For an argument out of range.
    SelectionError
        An ArgumentError, for fewer than two cells, for windows that are no whole number of
        bins, labels that do not exist, and groups across sessions.

    Notes
    -----
    For the means :math:`a_f, b_f` of blocks f of two cells, over the noise of each unit (the sd
    of its windows, variances averaged over all cells):

    .. math:: d^2(a, b) = \langle (a_f - b_f) (a_g - b_g) \rangle_{f \ne g,\ units}

    Noise of different blocks is independent, so that it adds nothing on average (crossnobis
    with a diagonal noise matrix; Walther et al. 2016, NeuroImage 137:188). Fluctuations slower
    than a block are no noise here: they count as a difference.

    Mean distance of two epochs of 300 s, 15 min apart, in which 60 units (about 3.5 Hz) have equal
    mean rates that fluctuate (sd of the logarithm .4, each unit by itself), of 100 simulated
    sessions each; and ``correlation / ceiling``. 1 is a difference of one sd of a window:

    ===============================  ======  ======  ======  ======  ======  ======
    time constant (s)                none    2       5       10      30      100
    ===============================  ======  ======  ======  ======  ======  ======
    ``distance``                     .0002   .0008   .004    .014    .08     .32
    share of sessions above 0 (%)    58      63      78      92      100     100
    ``distance_within``              .0000   .0002   .006    .023    .12     .22
    ``correlation / ceiling``        1.00    1.00    .98     .94     .70     .38
    ===============================  ======  ======  ======  ======  ======  ======

    Rates are not matched: they are what patterns consist of. Where all units change their rates
    alike, the distance grows and the correlation does not.

    Reliability is Cronbach's alpha over blocks, the mean of the reliabilities of all split
    halves (1951, Psychometrika 16:297); the ceiling is the root of the product of two (Spearman
    1904, Am J Psychol 15:72), NaN where one is not above 0. Fast and slow units differ in all
    cells: correlations are high, and it is their differences that tell.

    Examples
    --------
    >>> import lsdx
    >>> found = lsdx.open_units().lsd.similarity(min_units=10)
    >>> found.distance.dims
    ('session', 'cell', 'other')
    >>> found.distance.sel(cell="pre/rfm", other="post/rfm").dims
    ('session',)
    """
    from lsdx.kernels.similarity import compare_patterns

    n_folds = whole_number(n_folds, "similarity, n_folds", least=4)
    min_units = whole_number(min_units, "similarity, min_units", least=2)
    apart = to_seconds(gap, "similarity, gap")
    if apart < 0:
        raise ArgumentError(located("similarity, gap", "a duration from 0", repr(gap)))
    ds = binned(ds, "similarity")
    size = 1 if window is None else window_sizes(ds, "similarity", window)[0]
    seconds = size * float(ds.attrs["bin_width"])
    pop = population(ds, by, -np.inf, "similarity")
    n = pop.n_cells
    if n < 2:
        raise SelectionError(
            located(
                "similarity",
                "two cells or more to compare, such as phases",
                "one",
                "Keep the dimensions phase and epoch: sel(epoch=['rfm']).",
            )
        )
    fields = dict.fromkeys(("distance", "correlation", "ceiling"), Field((n, n))) | {
        "distance_within": Field((n,)),
        "reliability": Field((n,)),
        "note": Field((n,), object, "no units"),
        "n_units": Field((), fill=0.0),
    }
    options = (size, n_folds, math.ceil(apart / seconds - 1e-9), min_units, min_spikes)
    arrays = map_groups(pop, compare_patterns, [options] * len(pop.groups.rows), fields)
    about = {
        "distance": "Cross-validated squared distance",
        "distance_within": "The same of the first and second half of a cell",
        "correlation": "Correlation of population vectors",
        "ceiling": "Correlation of equal patterns with this noise",
        "reliability": "Reliability of the population vector",
        "note": "Why a value is NaN",
        "n_units": "Units used",
    }
    last: dict[str, tuple[str, ...]] = {
        **dict.fromkeys(("distance", "correlation", "ceiling"), ("cell", "other")),
        **dict.fromkeys(("distance_within", "reliability", "note"), ("cell",)),
    }
    data = {
        name: ((*pop.groups.dims, *last.get(name, ())), arrays[name], _words(name, words))
        for name, words in about.items()
    }
    labels = _cell_labels(pop)
    if "phase" in labels:  # comes first in names, whatever the order of the dimensions
        labels = {"phase": labels.pop("phase"), **labels}
    names = text(["/".join(map(str, row)) for row in zip(*labels.values(), strict=True)])
    coords: dict[Any, Any] = {"cell": ("cell", names), "other": ("other", names)}
    for dim, values in labels.items():
        coords |= {dim: ("cell", values), f"other_{dim}": ("other", values)}
    return xr.Dataset(data, _group_coords(pop) | coords).assign_attrs(
        result_attrs(ds),
        by=", ".join(pop.groups.dims),
        noise_window=seconds,
        n_folds=n_folds,
        gap=apart,
        min_units=min_units,
        min_spikes=min_spikes,
    )


def time_similarity(
    ds: xr.Dataset,
    *,
    by: str | Sequence[str] = "session",
    window: str | float | None = "1 s",
    n_components: int | None = None,
    measure: str = "cosine",
    include: str | Sequence[str] = ("similarity", "dimension"),
    min_units: int = 20,
    min_spikes: float = 30,
) -> xr.Dataset:
    """Compare the population vectors of all pairs of times of a session.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (unit, ..., time), of one session or other group.
    by : str or sequence of str
        Labels on ``unit`` that make the groups, of units recorded together.
    window : str, float or None
        Length of the times that are compared, a whole number of bins; None for single bins.
    n_components : int, optional
        Principal components of all times that are kept; by default all.
    measure : {"cosine", "correlation"}
        Of the vectors of z-scored counts. The correlation leaves out what is common to all
        units, such as a change of all rates.
    include : str or sequence of str
        Of ``"similarity"`` and ``"dimension"``. The first is large: of one group alone.
    min_units : int
        Groups of fewer used units are NaN.
    min_spikes : float
        Units with fewer spikes in all cells together are left out, as are units without
        variance.

    Returns
    -------
    Dataset
        ``similarity`` (groups..., window, other), from -1 to 1, float32: the windows of all
        phases and epochs after one another, in the order of the labels of ``ds``; with
        ``window_phase``, ``window_epoch`` and ``time`` (s from the epoch's start, of the centre)
        along ``window``. NaN for windows past the end of an epoch.
        ``dimension`` (groups..., phase, epoch): the participation ratio of the eigenvalues of
        the matrix of that epoch's windows. ``n_units``; ``note`` (groups..., phase, epoch) says
        why a value is NaN. Lazy where the counts are.

    Raises
    ------
    ArgumentError
        For an argument out of range.
    SelectionError
        An ArgumentError, for several groups where ``similarity`` is asked for; for windows that
        are no whole number of bins, labels that do not exist, and groups across sessions.

    Notes
    -----
    Units are z-scored over all times that ``ds`` holds, so that vectors are relative to the mean
    of these: similarities average about 0, and depend on the phases and epochs selected.

    The dimension is ``n^2 / sum of S^2`` for the n windows of an epoch. It grows with n, with
    the number of units and with noise: compare changes, not levels.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units()
    >>> one = u.lsd.select(session=u.session.values[0]).sel(epoch="rfm")
    >>> one.lsd.time_similarity(window="5 s", min_units=10).similarity.dims
    ('session', 'window', 'other')
    """
    from lsdx.kernels.similarity import compare_times

    if n_components is not None:
        whole_number(n_components, "time_similarity, n_components", least=1)
    one_of(measure, "time_similarity, measure", ("cosine", "correlation"))
    chosen = some_of(include, "time_similarity, include", ("similarity", "dimension"))
    min_units = whole_number(min_units, "time_similarity, min_units", least=2)
    ds = binned(ds, "time_similarity")
    size = 1 if window is None else window_sizes(ds, "time_similarity", window)[0]
    pop = population(ds, by, -np.inf, "time_similarity")
    matrix = "similarity" in chosen
    if matrix and len(pop.groups.rows) != 1:
        raise SelectionError(
            located(
                "time_similarity",
                f"one {' and '.join(pop.groups.dims)}, whose matrix is large",
                str(len(pop.groups.rows)),
                "Select one: ds.lsd.select(session=...); or ask for include='dimension' alone.",
            )
        )
    n_windows = pop.counts.sizes["time"] // size
    n = pop.n_cells * n_windows
    fields = {
        "dimension": Field((pop.n_cells,)),
        "note": Field((pop.n_cells,), object, "no units"),
        "n_units": Field((), fill=0.0),
    }
    if matrix:
        fields["similarity"] = Field((n, n), np.float32)
    options = (size, n_components, measure, min_units, min_spikes, matrix)
    arrays = map_groups(pop, compare_times, [options] * len(pop.groups.rows), fields)
    dims, shape = pop.groups.dims, pop.groups.shape
    data: dict[str, Any] = {}
    coords = result_coords(pop)
    if matrix:
        words = f"{measure.capitalize()} of population vectors"
        data["similarity"] = (
            (*dims, "window", "other"),
            arrays["similarity"],
            _words("similarity", words),
        )
        # phase and epoch are dimensions of what is told by epoch, labels of the windows here
        seconds = size * float(ds.attrs["bin_width"])
        first = float(ds["time"].values[0]) if "time" in ds.coords else ds.attrs["bin_width"] / 2
        start = first - float(ds.attrs["bin_width"]) / 2
        centres = start + (np.arange(n_windows) + 0.5) * seconds
        coords["time"] = ("window", np.tile(centres, pop.n_cells), {"units": "s"})
        for dim, values in _cell_labels(pop).items():
            coords[f"window_{dim}"] = ("window", np.repeat(values, n_windows))
    if "dimension" in chosen:
        told = _words("dimension", "Participation ratio of the matrix of similarity")
        told["compare"] = "changes"
        values = arrays["dimension"].reshape((*shape, *pop.cell_shape))
        data["dimension"] = ((*dims, *pop.cells), values, told)
    note = arrays["note"].reshape((*shape, *pop.cell_shape))
    data["note"] = ((*dims, *pop.cells), note, _words("note", "Why a value is NaN"))
    data["n_units"] = (dims, arrays["n_units"], _words("n_units", "Units used"))
    return xr.Dataset(data, coords).assign_attrs(
        result_attrs(ds),
        by=", ".join(dims),
        measure=measure,
        time_window=size * float(ds.attrs["bin_width"]),
        n_components="all" if n_components is None else n_components,
        min_units=min_units,
        min_spikes=min_spikes,
    )


def _cell_labels(pop: Population) -> dict[str, np.ndarray]:
    """Return the labels of each cell, by dimension, in the order of the flat cells."""
    axes = [
        pop.counts[d].values if d in pop.counts.coords else np.arange(pop.counts.sizes[d])
        for d in pop.cells
    ]
    index = np.indices(pop.cell_shape).reshape(len(axes), pop.n_cells)
    return {d: axis[i] for d, axis, i in zip(pop.cells, axes, index, strict=True)}


def _group_coords(pop: Population) -> dict[Any, Any]:
    """Return the coordinates of a result over groups alone."""
    cells = set(pop.cells)
    kept = result_coords(pop).items()
    return {c: v for c, v in kept if c not in cells and not cells & set(getattr(v, "dims", ()))}


def _words(name: str, words: str) -> dict[str, str]:
    return {"long_name": words} | ({} if name == "note" else {"units": "1"})
