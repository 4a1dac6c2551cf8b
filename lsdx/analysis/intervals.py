"""The irregularity of single units: measures of their inter-spike intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from lsdx.analysis.inputs import require_spikes
from lsdx.analysis.results import result_attrs
from lsdx.analysis.trains import Promised, map_trains
from lsdx.analysis.windows import labels_of_windows, observed_ticks
from lsdx.clock import TICKS_PER_SECOND
from lsdx.kernels.trains import Trains


def cv(
    ds: xr.Dataset,
    *,
    phase: str | Sequence[str] | None = None,
    epoch: str | Sequence[str] | None = None,
    duplicates: str = "keep",
) -> xr.DataArray:
    """Return the coefficient of variation of each unit's inter-spike intervals.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    phase, epoch : str or sequence of str, optional
        Which epochs; all by default.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.

    Returns
    -------
    DataArray
        Over (unit, phase, epoch), float64; NaN for fewer than three spikes in an epoch, and
        where it was not observed. Lazy where the spikes are.

    Raises
    ------
    SelectionError
        If ``ds`` holds no spikes, or for a phase or epoch that is unknown.

    Notes
    -----
    `lsdx.kernels.variability.cv` has the formula. It rises where the rate drifts: `cv2` and `lv`
    hardly do. It follows the rate itself where trains have a dead time (5 ms, 10 to 30 Hz: .95 to
    .85), and of few spikes it is too low (Poisson, 12 spikes: .88): compare rates that are alike,
    as `lsdx.analysis.modulation.modulation` does.

    Examples
    --------
    >>> import lsdx
    >>> lsdx.open_spikes().lsd.cv(epoch="rfm").dims
    ('unit', 'phase')
    """
    return _spikes_measure(ds, "cv", phase=phase, epoch=epoch, duplicates=duplicates)


def cv2(
    ds: xr.Dataset,
    *,
    phase: str | Sequence[str] | None = None,
    epoch: str | Sequence[str] | None = None,
    duplicates: str = "keep",
) -> xr.DataArray:
    """Return CV2 of each unit: how much neighbouring inter-spike intervals differ.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    phase, epoch : str or sequence of str, optional
        Which epochs; all by default.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.

    Returns
    -------
    DataArray
        Over (unit, phase, epoch), float64; NaN for fewer than three spikes in an epoch, and
        where it was not observed. Lazy where the spikes are.

    Raises
    ------
    SelectionError
        If ``ds`` holds no spikes, or for a phase or epoch that is unknown.

    Notes
    -----
    `lsdx.kernels.variability.cv2` has the formula. Of neighbouring intervals, so that drift of
    the rate hardly changes it; a dead time does (5 ms, 10 to 30 Hz: .92 to .79).

    Examples
    --------
    >>> import lsdx
    >>> lsdx.open_spikes().lsd.cv2(epoch="rfm").dims
    ('unit', 'phase')
    """
    return _spikes_measure(ds, "cv2", phase=phase, epoch=epoch, duplicates=duplicates)


def lv(
    ds: xr.Dataset,
    *,
    phase: str | Sequence[str] | None = None,
    epoch: str | Sequence[str] | None = None,
    duplicates: str = "keep",
) -> xr.DataArray:
    """Return the local variation of each unit's inter-spike intervals.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    phase, epoch : str or sequence of str, optional
        Which epochs; all by default.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.

    Returns
    -------
    DataArray
        Over (unit, phase, epoch), float64; NaN for fewer than three spikes in an epoch, and
        where it was not observed. Lazy where the spikes are.

    Raises
    ------
    SelectionError
        If ``ds`` holds no spikes, or for a phase or epoch that is unknown.

    Notes
    -----
    `lsdx.kernels.variability.lv` has the formula. Of neighbouring intervals, so that drift of
    the rate hardly changes it; a dead time does (5 ms, 10 to 30 Hz: .85 to .64), see `lvr`.

    Examples
    --------
    >>> import lsdx
    >>> lsdx.open_spikes().lsd.lv(epoch="rfm").dims
    ('unit', 'phase')
    """
    return _spikes_measure(ds, "lv", phase=phase, epoch=epoch, duplicates=duplicates)


def lvr(
    ds: xr.Dataset,
    *,
    phase: str | Sequence[str] | None = None,
    epoch: str | Sequence[str] | None = None,
    duplicates: str = "keep",
) -> xr.DataArray:
    """Return LvR of each unit: local variation revised for a refractoriness of 5 ms.

    Parameters
    ----------
    ds : Dataset
        What `lsdx.open_spikes` gives, or a selection of its units.
    phase, epoch : str or sequence of str, optional
        Which epochs; all by default.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.

    Returns
    -------
    DataArray
        Over (unit, phase, epoch), float64; NaN for fewer than three spikes in an epoch, and
        where it was not observed. Lazy where the spikes are.

    Raises
    ------
    SelectionError
        If ``ds`` holds no spikes, or for a phase or epoch that is unknown.

    Notes
    -----
    `lsdx.kernels.variability.lvr` has the formula (Shinomoto et al. 2009), and a table. A dead
    time makes `lv` fall as the rate rises; this one less, if it is 3 to 5 ms (3 ms, 10 to 30 Hz:
    1.04 to 1.04; 5 ms: .97 to .86). Of trains without one it rises with the rate (1.2 to 1.6).

    Examples
    --------
    >>> import lsdx
    >>> lsdx.open_spikes().lsd.lvr(epoch="rfm").dims
    ('unit', 'phase')
    """
    return _spikes_measure(ds, "lvr", phase=phase, epoch=epoch, duplicates=duplicates)


def _spikes_measure(ds: xr.Dataset, name: str, **which: Any) -> xr.DataArray:
    found = spikes_measures(ds, name, [name], **which)[name]
    return found.assign_attrs(result_attrs(ds), duplicates=which["duplicates"])


def spikes_measures(
    ds: xr.Dataset,
    where: str,
    names: Sequence[str],
    *,
    phase: str | Sequence[str] | None = None,
    epoch: str | Sequence[str] | None = None,
    duplicates: str = "keep",
) -> xr.Dataset:
    """Return measures of the spikes themselves of each unit in epochs, in one pass."""
    from lsdx.kernels.metrics import METRICS

    ds = require_spikes(ds, where, duplicates)
    start, begin, end = observed_ticks(ds, where, phase, epoch)
    flat = (ds.sizes["unit"], int(np.prod(begin.shape[1:])))
    values = map_trains(
        ds,
        _of_spikes,
        (begin.reshape(flat), end.reshape(flat)),
        (tuple(names),),
        Promised((*flat[1:], len(names))),
        duplicates,
    ).reshape((*begin.shape, len(names)))
    variables = {
        name: (start.dims, values[..., i], METRICS[name].attrs) for i, name in enumerate(names)
    }
    # a DataArray of its own would copy every label of every unit
    return xr.Dataset(variables, labels_of_windows(ds, start))


def _of_spikes(
    trains: Trains,
    begin: np.ndarray,
    end: np.ndarray,
    names: Sequence[str],
) -> np.ndarray:
    from lsdx.kernels.metrics import measures_of_spikes

    found = measures_of_spikes(names, trains, begin, end, TICKS_PER_SECOND)
    return np.stack([found[name] for name in names], axis=-1)
