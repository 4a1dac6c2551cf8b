"""Series for pynapple."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from lsdx.errors import SelectionError, located, missing_package

if TYPE_CHECKING:
    from pynapple import Tsd, TsdFrame


def to_tsd(data: xr.DataArray) -> Tsd | TsdFrame:
    """Return a series of one session as pynapple has it.

    Parameters
    ----------
    data : DataArray
        Over time in s, and at most one other dimension: of ``pose.lsd.speed()``,
        ``pose.lsd.pupil_diameter()`` or a selection of `lsdx.open_behavior`. It is computed.

    Returns
    -------
    Tsd or TsdFrame
        Times in s as they are: of a pose on the spike clock, of behaviour from the epoch's start.
        The labels of the other dimension are the columns.

    Raises
    ------
    SelectionError
        For other dimensions, or frames that have no times.
    MissingPackage
        Without pynapple: ``pip install 'lsdx[pynapple]'``.

    Examples
    --------
    >>> import lsdx
    >>> eid = lsdx.open_sessions().session.values[0]
    >>> pose = lsdx.open_pose(session=eid, camera="left")
    >>> type(to_tsd(pose.lsd.pupil_diameter())).__name__
    'Tsd'
    """
    try:
        import pynapple
    except ImportError as error:
        raise missing_package("to_tsd", "pynapple", "pynapple") from error
    given: object = data
    if not isinstance(given, xr.DataArray):
        found = type(given).__name__
        raise SelectionError(located("to_tsd", "a DataArray", found, 'Take one: data["name"].'))
    data = data.squeeze([d for d in data.dims if d != "time" and data.sizes[d] == 1])
    found = ", ".join(map(str, data.dims)) or "none"
    if "time" not in data.dims or data.ndim > 2:
        do = "Select one label of the others: data.sel(...)."
        raise SelectionError(located("to_tsd", "dims time and at most one more", found, do))
    if data["time"].attrs.get("units") != "s":
        found = data["time"].attrs.get("long_name", "another unit")
        raise SelectionError(located("to_tsd", "time in s", str(found)))
    times = data["time"].values
    if data.ndim == 1:
        return pynapple.Tsd(times, data.values)
    (other,) = (d for d in data.dims if d != "time")
    columns: Any = data[other].values if other in data.coords else np.arange(data.sizes[other])
    return pynapple.TsdFrame(times, data.transpose("time", other).values, columns=list(columns))
