"""How fast spectra fall, beside the measures of `lsdx.analysis.dimensionality`."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from lsdx.errors import SelectionError, located


def decay_constant(spectrum: xr.DataArray, *, dim: str = "rank") -> xr.DataArray:
    """Return the decay constant of spectra of explained variance.

    Parameters
    ----------
    spectrum : DataArray
        Shares of variance or eigenvalues, descending along ``dim``, such as ``spectrum`` of
        ``ds.lsd.dimensionality(include="spectrum")``. NaN at the end is skipped.
    dim : str

    Returns
    -------
    DataArray
        ``decay_constant``, tau in components, over the other dimensions. 0 where the first
        component holds all, inf for a flat spectrum; NaN for fewer than 3 components. Lazy where
        the spectrum is.

    Raises
    ------
    SelectionError
        An ArgumentError, if it is no DataArray over ``dim``.

    Notes
    -----
    Least squares of ``p[n] / p[1] = exp(-(n - 1) / tau)``. A single exponential rarely fits a
    whole spectrum: tau tells how the first components fall. It depends on the number of units
    and bins, as the spectrum does; take spectra of matched draws.

    Examples
    --------
    >>> p = xr.DataArray(np.exp(-np.arange(40) / 5), dims="rank")
    >>> float(decay_constant(p).round(6))
    5.0
    """
    from lsdx.kernels.decay import decay_constant as kernel

    given: Any = spectrum
    if not isinstance(given, xr.DataArray) or dim not in given.dims:
        dims = ", ".join(map(str, getattr(given, "dims", ()))) or type(given).__name__
        raise SelectionError(
            located(
                "decay_constant",
                f"a DataArray over {dim!r}",
                dims,
                'Take it: ds.lsd.dimensionality(include="spectrum").spectrum.',
            )
        )
    whole = spectrum.chunk({dim: -1}) if spectrum.chunks else spectrum
    found: Any = xr.apply_ufunc(
        kernel,
        whole,
        input_core_dims=[[dim]],
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    out: xr.DataArray = found.rename("decay_constant")
    return out.assign_attrs(units="1", long_name="Decay constant of the spectrum, in components")
