"""Many measures of single units in one Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from lsdx.analysis.binning import bin_spikes
from lsdx.analysis.complexity import lempel_ziv
from lsdx.analysis.counts import windows_measure
from lsdx.analysis.inputs import require_spikes
from lsdx.analysis.intervals import spikes_measures
from lsdx.analysis.windows import WINDOWS, window_lengths
from lsdx.arguments import some_of
from lsdx.clock import TICKS_PER_SECOND, to_bin_ticks
from lsdx.kernels.metrics import METRICS, lists_metrics

_QUICK = tuple(n for n, m in METRICS.items() if m.needs != "bits")


@lists_metrics
def unit_metrics(
    ds: xr.Dataset,
    *,
    metrics: Sequence[str] = _QUICK,
    window: str | float | Sequence[str | float] = WINDOWS,
    phase: str | Sequence[str] | None = None,
    epoch: str | Sequence[str] | None = None,
    surrogates: int = 100,
    duplicates: str = "keep",
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Return many measures of each unit in each epoch, from spikes.

    Rates and inter-spike intervals come from the spikes themselves, all else from counts.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    metrics : sequence of str
        Of {metrics}.
        A value does not depend on the other measures and units, nor on order;
        that of ``lempel_ziv`` alone on which phases and epochs are chosen, which it compares.
    window : str, float or sequence of these
        Of ``fano_factor``, ``allan_factor`` and ``lempel_ziv``; whole numbers of the smallest.
    phase, epoch : str or sequence of str, optional
        Which epochs; all by default.
    surrogates : int
        Of ``lempel_ziv``.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.
    rng : Generator or int, optional
        Of ``lempel_ziv``.

    Returns
    -------
    Dataset
        One variable a measure over (unit, phase, epoch[, window]), float64; NaN as each
        measure's own function says. Lazy where the spikes are.

    Raises
    ------
    ArgumentError
        For a metric that does not exist (the error lists those that do); SelectionError without
        spikes.

    Examples
    --------
    >>> import lsdx
    >>> s = lsdx.open_spikes()
    >>> list(s.lsd.unit_metrics(metrics=["mean_rate", "lv"], epoch="rfm"))
    ['mean_rate', 'lv']
    """
    listed = metrics if isinstance(metrics, str) else tuple(dict.fromkeys(metrics))
    chosen = some_of(listed, "unit_metrics, metrics", METRICS)
    ds = require_spikes(ds, "unit_metrics", duplicates)
    which: dict[str, Any] = {"phase": phase, "epoch": epoch, "duplicates": duplicates}
    lengths = window_lengths(window)
    width = min(to_bin_ticks(w) for w in lengths) / TICKS_PER_SECOND
    counts = bin_spikes(ds, width, **which)
    of_spikes = [n for n in chosen if METRICS[n].of_spikes]
    passed = spikes_measures(ds, "unit_metrics", of_spikes, **which) if of_spikes else {}
    found: dict[str, Any] = {}
    for name in chosen:
        if name in passed:
            found[name] = passed[name]
        elif METRICS[name].needs == "windows":
            found[name] = windows_measure(counts, name, window=lengths)
        else:
            complexity = lempel_ziv(counts, window=lengths, surrogates=surrogates, rng=rng)
            found |= {str(n): v for n, v in complexity.data_vars.items()}
            counts = counts.assign_attrs(complexity.attrs)
    about = {k: v for k, v in counts.attrs.items() if k != "n_spikes"}
    # as variables: xarray would compare their labels, computing those that are lazy
    coords = {n: c.variable for v in found.values() for n, c in v.coords.items()}
    return xr.Dataset({n: v.variable for n, v in found.items()}, coords).assign_attrs(about)
