"""Everyday forms of counts: smoothed, and as a matrix for scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.alongside import behavior_beside
from lsdx.analysis.inputs import binned
from lsdx.arguments import number_between
from lsdx.clock import to_seconds
from lsdx.errors import SelectionError, located

_TO_ONE = "Select one: ds.lsd.select(session_label=...)."


def smooth(ds: xr.Dataset, sigma: str | float, *, truncate: float = 4.0) -> xr.Dataset:
    """Smooth counts along time by a Gaussian.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (..., time): of `lsdx.open_units` or ``spikes.lsd.bin``.
    sigma : str or float
        Standard deviation of the Gaussian; a plain number is seconds.
    truncate : float
        Where it ends, in standard deviations.

    Returns
    -------
    Dataset
        ``ds`` with ``counts`` smoothed, float32, spikes a bin as before; without ``n_spikes``
        and ``duration``, whose sums these counts are not. The attribute ``smoothing`` (s). Lazy
        where the counts are.

    Raises
    ------
    SelectionError
        If ``ds`` holds no counts of evenly spaced bins.
    ArgumentError
        If ``sigma`` or ``truncate`` is not above 0.

    Notes
    -----
    The weights of the bins that were observed add up to 1: at the edges, and beside bins that are
    NaN, which stay NaN. Away from them it is `scipy.ndimage.gaussian_filter1d`, and keeps sums.
    Epochs are not joined. Smoothed counts are no whole numbers: measures that thin spikes refuse
    them.

    Examples
    --------
    >>> import lsdx
    >>> u = lsdx.open_units().isel(unit=slice(5))
    >>> u.lsd.smooth("200 ms").counts.dims == u.counts.dims
    True
    """
    seconds = to_seconds(sigma, "smooth, sigma")
    number_between(seconds, "smooth, sigma", 0, np.inf)
    truncate = number_between(truncate, "smooth, truncate", 0, np.inf)
    ds = binned(ds, "smooth", ("time",))
    counts = ds["counts"]
    smoothed = xr.apply_ufunc(
        _smoothed,
        counts.variable,
        kwargs={"sigma": seconds / ds.attrs["bin_width"], "truncate": truncate},
        input_core_dims=[["time"]],
        output_core_dims=[["time"]],
        dask="parallelized",
        output_dtypes=[np.float32],
    ).transpose(*counts.dims)
    words = counts.attrs.get("long_name", "Spikes in the bin; NaN where not observed.")
    about = counts.attrs | {"long_name": f"Smoothed by a Gaussian of {seconds:g} s. {words}"}
    kept = ds.drop_vars(["n_spikes", "duration"], errors="ignore")
    smoothed.attrs = about
    return kept.assign(counts=smoothed).assign_attrs(smoothing=seconds)


def _smoothed(counts: np.ndarray, *, sigma: float, truncate: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d

    seen = np.isfinite(counts)
    # what lies beyond all bins weighs nothing
    radius = min(int(truncate * sigma + 0.5), counts.shape[-1])
    how: dict[str, Any] = {"axis": -1, "mode": "constant", "radius": radius}
    total = gaussian_filter1d(np.where(seen, counts, 0).astype(np.float64), sigma, **how)
    weight = gaussian_filter1d(seen.astype(np.float64), sigma, **how)
    out = np.full(counts.shape, np.nan, dtype=np.float32)
    np.divide(total, weight, out=out, where=seen, casting="same_kind")
    return out


def one_session(ds: xr.Dataset, where: str) -> str:
    """Return the session of all units."""
    known = set(map(str, np.atleast_1d(ds["session"].values))) if "session" in ds.coords else set()
    if len(known) != 1 or "unit" not in ds.dims:
        found = f"{len(known)} sessions"
        raise SelectionError(located(where, "units of one session", found, _TO_ONE))
    return str(known.pop())


class DesignMatrix(NamedTuple):
    """What scikit-learn takes: a row a bin of time.

    ``X`` has a column a unit, ``y`` a column a feature of behaviour, or is None; their rows, and
    those of ``groups``, are labelled by phase, epoch and time. ``groups`` numbers contiguous
    blocks of time. ``n_left_out`` counts the bins that were not observed.
    """

    X: pd.DataFrame
    y: pd.DataFrame | None
    groups: pd.Series
    n_left_out: int


def design_matrix(
    ds: xr.Dataset,
    behavior: xr.Dataset | None = None,
    *,
    features: str | Sequence[str] | None = None,
    block: str | float = "30 s",
) -> DesignMatrix:
    """Return counts and behaviour of one session as tables for scikit-learn.

    Parameters
    ----------
    ds : Dataset
        With ``counts`` over (unit, ..., time) of one session, smoothed or not. Select phases
        and epochs before.
    behavior : Dataset, optional
        What `lsdx.open_behavior` gives, of the same bins.
    features : str or sequence of str, optional
        Which; by default all that were observed at some time.
    block : str or float
        Length of the blocks of ``groups``; a plain number is seconds.

    Returns
    -------
    DesignMatrix
        ``X`` (bins, units), ``y`` (bins, features) or None, ``groups`` (bins,) and
        ``n_left_out``. Bins are those in which all units and features were observed, of units
        that were observed at some time. Computed at once.

    Raises
    ------
    SelectionError
        For units of several sessions, behaviour of other sessions, phases, epochs or bins,
        features that do not exist, and where no bin is left.
    ArgumentError
        If ``block`` is not above 0.

    Notes
    -----
    Neighbouring bins are alike: cross-validate by ``groups``, never by bins at random. Blocks
    that are long against what is slow in the data leak least.

    Examples
    --------
    >>> import lsdx
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import GroupKFold, cross_val_score
    >>> u = lsdx.open_units().sel(phase="pre")
    >>> one = u.lsd.select(session=str(u.session[0].item())).isel(unit=slice(30))
    >>> d = one.lsd.design_matrix(lsdx.open_behavior(), features="left/paw_near_speed")
    >>> cross_val_score(Ridge(), d.X, d.y, groups=d.groups, cv=GroupKFold(5)).shape
    (5,)
    """
    seconds = number_between(
        to_seconds(block, "design_matrix, block"), "design_matrix, block", 0, np.inf
    )
    ds = binned(ds, "design_matrix")
    one_session(ds, "design_matrix")
    counts = ds["counts"].transpose(..., "time", "unit")
    dims = [str(d) for d in counts.dims[:-1]]
    labels = [ds[d].values if d in ds.coords else np.arange(ds.sizes[d]) for d in dims]
    if "time" not in ds.coords:
        labels[-1] = (labels[-1] + 0.5) * ds.attrs["bin_width"]
    index = pd.MultiIndex.from_product(labels, names=dims)
    units = ds["unit"].values if "unit" in ds.coords else np.arange(ds.sizes["unit"]).astype(str)
    x = pd.DataFrame(counts.values.reshape(len(index), -1), index, pd.Index(units, name="unit"))
    x = x.loc[:, x.notna().any().to_numpy()]
    y = None if behavior is None else _features(ds, behavior, features, dims[:-1], index)
    seen = x.notna().all(axis=1).to_numpy() & bool(x.shape[1])
    if y is not None:
        seen &= y.notna().all(axis=1).to_numpy()
    if not seen.any():
        raise SelectionError(
            located(
                "design_matrix",
                "a bin in which all units and features were observed",
                "none",
                "Choose other features or units, or other epochs.",
            )
        )
    time = index.get_level_values("time").to_numpy(dtype=np.float64)
    of_cell = np.arange(len(index)) // counts.sizes["time"]
    in_cell = np.floor((time - time.min()) / seconds + 1e-9).astype(np.int64)
    number = pd.factorize((of_cell * (in_cell.max() + 1) + in_cell)[seen])[0]
    groups = pd.Series(number, x.index[seen], name="block")
    kept = None if y is None else y[seen]
    return DesignMatrix(x[seen], kept, groups, int((~seen).sum()))


def _features(
    ds: xr.Dataset,
    behavior: xr.Dataset,
    features: str | Sequence[str] | None,
    cells: list[str],
    index: pd.MultiIndex,
) -> pd.DataFrame:
    """Return features of behaviour (bins, features) in the bins of the counts."""
    values = behavior_beside(ds, behavior, cells, "design_matrix", features)
    names = values["feature"].values if "feature" in values.coords else range(len(values))
    table = values.isel(session=0).transpose(*cells, "time", "feature").values
    out = pd.DataFrame(table.reshape(len(index), -1), index, pd.Index(names, name="feature"))
    return out if features is not None else out.loc[:, out.notna().any().to_numpy()]
