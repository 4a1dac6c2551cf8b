"""How well units are isolated: measures of their spikes, and labels of different sorters' tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.inputs import require_spikes
from lsdx.analysis.results import result_attrs
from lsdx.analysis.trains import Promised, map_trains
from lsdx.arguments import number_between, some_of
from lsdx.clock import TICKS_PER_SECOND, to_bin_ticks, to_bins, to_ticks
from lsdx.errors import ArgumentError, SelectionError, located
from lsdx.kernels import quality
from lsdx.kernels.trains import Trains
from lsdx.schema.spec import text

_LAG = 0.00025  # s, of a bin of lags; what is tested is whole numbers of it
_LONGEST = 0.01  # s, of the refractory periods that are tested
_SHORTEST = 0.0005  # s: not tested up to this
METRICS = {
    "isi_violations": "Rate of refractory violations over the rate (Hill 2011)",
    "contamination": "Share of foreign spikes (Llobet 2022)",
    "sliding_rp_confidence": "Confidence of less than 10 % foreign spikes, any refractory period",
    "sliding_rp_contamination": "Least contamination of which the sliding test is sure",
    "presence_ratio": "Share of bins with a spike",
    "rate_drift": "Change of the rate from the first to the last third",
    "duplicate_share": "Share of spikes that follow another of the unit within the window",
    "shared_spikes": "Largest share of spikes that one neighbour has too",
}
COSTLY = ("shared_spikes",)
# labels and what their values are, from worst to best
LABELS = {
    "bombcell": ("NOISE", "MUA", "NON-SOMA", "GOOD"),
    "ibl": ("FAIL", "CRITICAL", "WARNING", "PASS"),
    "ks2_label": ("mua", "good"),
}
PAIRS = (("bombcell", "ibl"), ("bombcell", "ks2_label"), ("ibl", "ks2_label"))


def quality_metrics(
    ds: xr.Dataset,
    *,
    metrics: str | Sequence[str] | None = None,
    refractory: str | float = "1.5 ms",
    censored: str | float = "0 ms",
    window: str | float = "0.25 ms",
    bin_width: str | float = "60 s",
    reach: float = 100.0,
    duplicates: str = "keep",
) -> xr.Dataset:
    """Measure how well units are isolated, from their spike times over the whole recording.

    Parameters
    ----------
    ds : Dataset
        Of `lsdx.open_spikes`, or a selection of its units.
    metrics : str or sequence of str, optional
        All but ``"shared_spikes"`` by default, which takes longer than the others together.
    refractory, censored, window : str or float
        The refractory period, what is too short to be seen, and how close two spikes are one;
        whole numbers of 0.25 ms.
    bin_width : str or float
        Of ``presence_ratio``.
    reach : float
        um along the probe: how far neighbours are, of ``shared_spikes``, among the units of ``ds``.
    duplicates : {"keep", "drop"}
        Whether spikes that bombcell calls duplicates are counted.

    Returns
    -------
    Dataset
        Over ``unit``, float64, lazy where the spikes are:

        - ``isi_violations``, ``contamination``: `lsdx.kernels.quality.isi_violations`,
          `lsdx.kernels.quality.contamination`;
        - ``sliding_rp_confidence``, ``sliding_rp_contamination``:
          `lsdx.kernels.quality.sliding_refractory_period`, of 0.5 to 10 ms;
        - ``presence_ratio``, ``rate_drift``: `lsdx.kernels.quality.presence_ratio`,
          `lsdx.kernels.quality.rate_drift`;
        - ``duplicate_share``: pairs of the unit's spikes closer than ``window``, over its spikes;
        - ``shared_spikes``: `lsdx.kernels.quality.shared_spikes`.

        A recording goes from 0 to the last spike of the insertion. NaN for units without spikes;
        ``sliding_rp_contamination`` also where no share up to 35 % is sure.

    Raises
    ------
    ArgumentError
        For metrics that do not exist, or times that are no whole numbers of 0.25 ms.
    SelectionError
        Without spikes.

    Notes
    -----
    They tell nothing of waveforms: noise that is regular looks clean. A label by rule is no truth:
    compare several (`compare_labels`).

    Examples
    --------
    >>> import lsdx
    >>> s = lsdx.open_spikes()
    >>> q = s.lsd.quality_metrics(metrics=["contamination", "presence_ratio"])
    >>> list(q), q.contamination.dims
    (['contamination', 'presence_ratio'], ('unit',))
    """
    where = "quality_metrics"
    chosen = [n for n in METRICS if n not in COSTLY]
    if metrics is not None:
        listed = metrics if isinstance(metrics, str) else tuple(dict.fromkeys(metrics))
        chosen = list(some_of(listed, f"{where}, metrics", METRICS))
    ds = require_spikes(ds, where, duplicates)
    if "last_spike" not in ds:
        do = "Start from lsdx.open_spikes()."
        raise SelectionError(located(where, "last_spike of each unit", "none", do))
    lags = {
        n: _lags(v, f"{where}, {n}")
        for n, v in {"refractory": refractory, "censored": censored, "window": window}.items()
    }
    if not lags["censored"] < lags["refractory"]:
        expected = f"censored below refractory, {refractory}"
        raise ArgumentError(located(where, expected, str(censored)))
    number_between(reach, f"{where}, reach", 0, np.inf)
    end = to_ticks(np.nan_to_num(ds["last_spike"].values)) + 1
    depth = ds["depth"].values if "depth" in ds.coords else np.full(end.size, np.nan)
    probe = pd.factorize(ds["insertion"].values)[0] if "insertion" in ds.coords else 0 * end
    arguments = (tuple(chosen), lags, to_bin_ticks(bin_width), float(reach))
    found = map_trains(
        ds, _measure, (end, depth, probe), arguments, Promised((len(chosen),)), duplicates
    )
    variables: dict[str, Any] = {
        name: ("unit", found[:, i], {"units": "1", "long_name": METRICS[name]})
        for i, name in enumerate(chosen)
    }
    coords = {n: c.variable for n, c in ds.coords.items() if set(c.dims) <= {"unit"}}
    return xr.Dataset(variables, coords).assign_attrs(
        result_attrs(ds),
        refractory=lags["refractory"] * _LAG,
        censored=lags["censored"] * _LAG,
        window=lags["window"] * _LAG,
        bin_width=to_bin_ticks(bin_width) / TICKS_PER_SECOND,
        reach=float(reach),
        duplicates=duplicates,
    )


def _lags(value: str | float, where: str) -> int:
    """Return a time as a number of bins of lags."""
    bins = to_bins(value, _LAG, where, least=0)
    if bins > round(_LONGEST / _LAG):
        raise ArgumentError(located(where, "10 ms at the most", str(value)))
    return bins


def _measure(
    trains: Trains,
    end: np.ndarray,
    depth: np.ndarray,
    probe: np.ndarray,
    chosen: tuple[str, ...],
    lags: dict[str, int],
    bin_ticks: int,
    reach: float,
) -> np.ndarray:
    """Return the chosen measures of the units of one session, (n_units, n)."""
    width = round(_LAG * TICKS_PER_SECOND)
    pairs = quality.count_lags(trains, width, round(_LONGEST / _LAG))
    n, seconds = trains.row_size.astype(np.float64), end / TICKS_PER_SECOND
    first, last = lags["censored"], lags["refractory"]
    close = pairs[:, first:last].sum(axis=1)
    times = (n, seconds, last * _LAG, first * _LAG)
    sliding = quality.sliding_refractory_period(pairs, n, seconds, _LAG, _SHORTEST)
    ways: dict[str, Any] = {
        "isi_violations": lambda: quality.isi_violations(
            quality.count_intervals(trains, first * width, last * width), *times
        ),
        "contamination": lambda: quality.contamination(close, *times),
        "sliding_rp_confidence": lambda: sliding[0],
        "sliding_rp_contamination": lambda: sliding[1],
        "presence_ratio": lambda: quality.presence_ratio(trains, end, bin_ticks),
        "rate_drift": lambda: quality.rate_drift(trains, end),
        "duplicate_share": lambda: pairs[:, : lags["window"]].sum(axis=1) / n,
        "shared_spikes": lambda: quality.shared_spikes(
            trains, depth, probe, lags["window"] * width, reach
        ),
    }
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = [np.asarray(ways[name](), dtype=np.float64) for name in chosen]
    return np.where((n > 0)[:, None], np.stack(columns, axis=1), np.nan)


def compare_labels(units: xr.Dataset, *, by: str | Sequence[str] = ()) -> xr.Dataset:
    """Compare what bombcell, IBL's tests and Kilosort say of the same units.

    Parameters
    ----------
    units : Dataset
        Of `lsdx.open_units`, or a selection.
    by : str or sequence of str
        Labels of units, such as ``"session"`` or ``"group"``: a table each.

    Returns
    -------
    Dataset
        Over ``pair`` (such as ``"bombcell, ibl"``), ``first`` and ``second`` (their values) and
        ``by``: ``n`` (int64), units that have both; over ``pair`` and ``by``: ``kappa`` (float64,
        Cohen's kappa of good against all others), ``agreement`` (share of units of which both say
        the same, good or not), ``n_left_out`` (int64, units that lack one of both).

    Raises
    ------
    SelectionError
        If labels are missing.

    Notes
    -----
    IBL's ``label`` is the share of three tests passed: 0 FAIL, 1/3 CRITICAL, 2/3 WARNING, 1 PASS.
    Good is GOOD, PASS, good. Cohen (1960): ``(p_o - p_e) / (1 - p_e)``; NaN where both name one
    value only, or without units.

    Examples
    --------
    >>> import lsdx
    >>> found = compare_labels(lsdx.open_units())
    >>> int(found.n.sel(pair="bombcell, ks2_label").sum()) > 0
    True
    """
    where = "compare_labels"
    names = [by] if isinstance(by, str) else list(by)
    needed = ["bombcell", "ks2_label", *names]
    missing = [n for n in needed if n not in units.coords]
    if "label" not in units.variables:
        missing.append("label")
    if missing or not units.sizes.get("unit", 0):
        expected = f"units with {', '.join(dict.fromkeys([*needed, 'label']))}"
        found = f"no {', '.join(missing)}" if missing else "no units"
        raise SelectionError(located(where, expected, found, "Pass lsdx.open_units()."))
    table = pd.DataFrame({n: units[n].values for n in needed})
    table["ibl"] = _ibl_words(units["label"].values)
    keys = [pd.factorize(table[n], sort=True) for n in names]
    shape = tuple(len(k[1]) for k in keys)
    cell = np.ravel_multi_index([k[0] for k in keys], shape) if names else np.zeros(len(table), int)
    n_cells = int(np.prod(shape))
    values = {n: _values(table[n], LABELS[n]) for n in LABELS}
    words = list(dict.fromkeys(v for n in LABELS for v in values[n]))
    counts = np.zeros((len(PAIRS), len(words), len(words), n_cells), dtype=np.int64)
    left_out = np.zeros((len(PAIRS), n_cells), dtype=np.int64)
    kappa, agreement = np.full((2, len(PAIRS), n_cells), np.nan)
    for p, (a, b) in enumerate(PAIRS):
        known = ((table[a] != "") & (table[b] != "")).to_numpy()
        left_out[p] = np.bincount(cell[~known], minlength=n_cells)
        first, second = (
            np.array([words.index(v) for v in table[n][known]], dtype=np.int64) for n in (a, b)
        )
        np.add.at(counts[p], (first, second, cell[known]), 1)
        good = [np.array([w == LABELS[n][-1] for w in words]) for n in (a, b)]
        agreement[p], kappa[p] = cohens_kappa(
            np.array(
                [
                    [counts[p][good[0] == i][:, good[1] == j].sum((0, 1)) for j in (0, 1)]
                    for i in (0, 1)
                ]
            )
        )
    dims = tuple(names)
    coords: dict[str, Any] = {"pair": text([", ".join(p) for p in PAIRS])}
    coords |= {"first": text(words), "second": text(words)}
    coords |= {n: np.asarray(k[1], dtype=object) for n, k in zip(names, keys, strict=True)}
    about = {"units": "1"}
    variables = {
        "n": (("pair", "first", "second", *dims), counts.reshape(*counts.shape[:3], *shape), about),
        "kappa": (("pair", *dims), kappa.reshape(-1, *shape), about),
        "agreement": (("pair", *dims), agreement.reshape(-1, *shape), about),
        "n_left_out": (("pair", *dims), left_out.reshape(-1, *shape), about),
    }
    return xr.Dataset(variables, coords).assign_attrs(result_attrs(units))


def cohens_kappa(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return agreement and Cohen's kappa of tables of counts (k, k, ...).

    Examples
    --------
    >>> agreement, kappa = cohens_kappa(np.array([[20, 5], [10, 15]]))
    >>> float(agreement), round(float(kappa), 3)
    (0.7, 0.4)
    """
    counts = np.asarray(table, dtype=np.float64)
    total = counts.sum(axis=(0, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        agreement = np.einsum("ii...->...", counts) / total
        chance = (counts.sum(axis=1) * counts.sum(axis=0)).sum(axis=0) / total**2
        return agreement, (agreement - chance) / np.where(chance < 1, 1 - chance, np.nan)


def _ibl_words(label: np.ndarray) -> np.ndarray:
    """Return IBL's words of a share of three tests passed; blank where it is unknown."""
    third = np.rint(3 * np.nan_to_num(label, nan=-1.0)).astype(int)
    words = np.array([*LABELS["ibl"], ""], dtype=object)
    return words[np.where((third >= 0) & (third <= 3), third, 4)]


def _values(column: pd.Series[Any], known: tuple[str, ...]) -> list[str]:
    """Return the values of a label, from worst to best, those that nobody expects first."""
    odd = sorted(set(column) - set(known) - {""})
    return [*odd, *known]
