"""Shares of modulated units by region and condition, with what they rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis.inputs import chosen_labels, labels_on_unit, with_text
from lsdx.analysis.results import result_attrs
from lsdx.analysis.seeds import seed_of
from lsdx.arguments import number_between, one_of, whole_number
from lsdx.errors import ArgumentError, SelectionError, located
from lsdx.schema.spec import text

_CORRECTIONS = {"p": (None, "max_statistic"), "q": (None,)}
DIRECTIONS = ("up", "down", "modulated", "unmodulated")
_INHERITED = (
    "p_max corrects for the number of cells, not for what the test of one unit cannot tell: within "
    "one condition, drift slower than an epoch is found too. Report the contrast with saline."
)
_COUNTS = {"n_units": "Units tested", "n_sessions": "Sessions of them", "n_mice": "Mice of them"}


def proportions(
    ds: xr.Dataset,
    *,
    by: str | Sequence[str] = ("region", "condition"),
    alpha: float = 0.05,
    of: str = "p",
    correction: str | None = None,
    draws: int = 1000,
    level: float = 0.95,
    rng: np.random.Generator | int | None = None,
) -> xr.Dataset:
    """Return the shares of units that go up, go down, change at all or do not change, by labels.

    Parameters
    ----------
    ds : Dataset
        What ``spikes.lsd.modulation`` gives, with the labels ``session`` and ``subject``.
    by : str or sequence of str
        Labels on ``unit``.
    alpha : float
        Units with ``p < alpha`` are modulated, up where the statistic is above 0. Those whose
        ``p_least`` is not below it do not count as tested.
    of : {"p", "q"}
        Which of the two is compared with ``alpha``.
    correction : {None, "max_statistic"}
        Whether each share is tested, corrected for the number of cells: needs
        ``modulation(null=True)``.
    draws : int
        Of the correction.
    level : float
        Of the interval.
    rng : Generator or int, optional
        Of the correction; its attribute ``seed`` gives the same numbers again.

    Returns
    -------
    Dataset
        Over the labels of ``by`` and what ``ds`` has beside units: ``share`` (..., direction) of
        ``"up"``, ``"down"``, ``"modulated"`` (both together) and ``"unmodulated"``, each with
        an interval, ``share_low`` to ``share_high``; ``n_units``, ``n_sessions`` and ``n_mice``
        that were tested, whole numbers; with the correction ``p_max``. Shares are NaN where no
        unit was tested, intervals and ``p_max`` where fewer than two mice were. Lazy where
        ``ds`` is.

    Raises
    ------
    SelectionError
        If ``ds`` has no tests, a label does not exist, or the null distributions are missing.
    ArgumentError
        For numbers out of range, and a correction that these tests do not have.

    Notes
    -----
    ``share`` is that of all tested units; `lsdx.kernels.cohort.share_interval` gives the
    interval about it, for the units of the population of mice: a mouse is what was drawn from
    it, a unit is not. With 3 to 30 mice it holds the truth in 94 % of simulated cohorts and
    more (92 % where 5 % are modulated and mice differ much), and is the wider the fewer they
    are: some .9 with two, .4 with four that have shares of .3 (sd .14).

    ``p_max`` is one-sided: the share of draws in which the largest standardised share of any
    cell, of the blocks dealt anew in each session, reaches the cell's. All units of a session
    are dealt alike, so that what they share is in the null distribution. It corrects for the
    number of cells, not for what the test of one unit cannot tell: drift slower than an epoch.
    Report the contrast with saline sessions, which drift too. Of 300 simulated cohorts without
    a drug (four mice of 60 units in six regions, epochs of 300 s, rates that drift as
    exp(.5 x)), p < .05 in (%):

    ======================================  ===============  =======================
    rates                                   ``p_max`` of     contrast of two such
                                            some region      cohorts, mice permuted
    ======================================  ===============  =======================
    constant                                5                1
    drift over 60 s, shared in a session    29               0
    drift over 60 s, each unit its own      100              3
    ======================================  ===============  =======================

    Examples
    --------
    >>> import lsdx
    >>> m = lsdx.open_spikes().lsd.modulation(epoch="rfm", rng=0)
    >>> shares = m.lsd.proportions(by="condition")
    >>> shares.share.dims, shares.n_mice.sel(condition="saline").values.tolist()
    (('condition', 'metric', 'direction'), [2])
    """
    ds = with_text(ds, "proportions")
    _check_tests(ds, correction is not None)
    one_of(of, "proportions, of", ("p", "q"))
    one_of(correction, f"proportions, correction of {of}", _CORRECTIONS[of])
    number_between(alpha, "proportions, alpha", 0, 1)
    number_between(level, "proportions, level", 0, 1)
    whole_number(draws, "proportions, draws", least=1)
    names = chosen_labels(ds, by, "proportions, by")
    if any(pd.isna(ds[n].values).any() for n in names):
        raise SelectionError(located("proportions, by", "a label on every unit", "NaN"))
    rest = [str(d) for d in ds["p"].dims if d != "unit"]
    ordered = ds.transpose("unit", ...)
    cells, coords = _cells(ds, names)
    shape = tuple(len(v[1]) for v in coords.values())
    seed = seed_of(rng) if correction else 0
    values = ordered[of]
    if "p_least" in ordered:  # of too few blocks nothing can come out modulated
        values = values.where(ordered["p_least"] < alpha).transpose(*ordered[of].dims)
    tested = values.data, ordered["statistic"].data
    null = ordered["null"].data if correction else None
    session = np.unique(ds["session"].values.astype(str), return_inverse=True)[1]
    arguments: tuple[Any, Any, Any] = (
        cells,
        (session, pd.factorize(ds["subject"].values.astype(str))[0]),
        {"alpha": alpha, "draws": draws, "level": level, "seed": seed},
    )
    middle = ordered["p"].shape[1:]
    n = len(cells)
    shapes = {
        **dict.fromkeys(("share", "share_low", "share_high"), (n, *middle, len(DIRECTIONS))),
        **dict.fromkeys((*_COUNTS, *(("p_max",) if correction else ())), (n, *middle)),
    }
    found: Mapping[str, Any]
    if any(hasattr(v, "dask") for v in (*tested, null)):
        import dask.array as da
        from dask.delayed import delayed

        promise = delayed(_proportions, pure=True)(*tested, null, *arguments)
        found = {
            k: da.from_delayed(promise[k], s, np.int64 if k in _COUNTS else np.float64)
            for k, s in shapes.items()
        }
    else:
        found = _proportions(*tested, null, *arguments)
    words = {
        "share": "Share of tested units",
        "share_low": f"Lower end of the {level:.0%} interval over mice",
        "share_high": f"Upper end of the {level:.0%} interval over mice",
        "p_max": "p of the share of modulated units, of the largest of all cells",
        **_COUNTS,
    }
    variables = {
        name: (
            (*names, *rest, *(("direction",) if len(s) > 1 + len(middle) else ())),
            found[name].reshape((*shape, *s[1:])),
            {"units": "1", "long_name": words[name]}
            | ({"warning": _INHERITED} if name == "p_max" else {}),
        )
        for name, s in shapes.items()
    }
    kept = {c: v for c, v in ds.coords.items() if set(v.dims) <= set(rest)}
    out = xr.Dataset(variables, {**kept, **coords, "direction": text(DIRECTIONS)})
    about = {k: ds.attrs[k] for k in ("method", "block", "warning") if k in ds.attrs}
    about |= {"alpha": alpha, "of": of}
    if correction:
        about |= {"seed": str(seed), "warning": f"{about.get('warning', '')} {_INHERITED}".strip()}
    return out.assign_attrs(result_attrs(ds) | about)


def _check_tests(ds: xr.Dataset, correction: bool) -> None:
    """Refuse what is not the result of a test, or not of one that the correction can use."""
    needed = {"p", "statistic", *(("null",) if correction else ())}
    lacking = needed - set(map(str, ds.data_vars))
    if lacking:
        expected = "what spikes.lsd.modulation(...) gives"
        expected += ", with null=True" if lacking == {"null"} else ""
        found = "no " + ", ".join(sorted(lacking))
        raise SelectionError(located("proportions", expected, found))
    if not {"session", "subject"} <= set(labels_on_unit(ds)):
        found = ", ".join(sorted(labels_on_unit(ds)))
        expected = "the labels session and subject on unit"
        raise SelectionError(located("proportions", expected, found))
    method, settle = ds.attrs.get("method", "block"), ds.attrs.get("settle")
    if correction and (method != "block" or settle is not None):
        expected = "blocks, dealt alike to all units of a session"
        found = f"method={method!r}, settle={settle}"
        raise ArgumentError(located("proportions, correction", expected, found))


def _cells(
    ds: xr.Dataset, names: Sequence[str]
) -> tuple[list[np.ndarray], dict[str, tuple[str, np.ndarray]]]:
    """Return the units of each combination of labels."""
    codes, coords = [], {}
    for name in names:
        code, values = pd.factorize(ds[name].values, sort=True)
        if name == "condition":  # in the order of the protocol: lsd before saline
            listed = str(ds.attrs.get("conditions", "")).split(", ")
            ranked = sorted(values.tolist(), key=lambda v: _rank(v, listed))
            code, values = pd.Index(ranked).get_indexer(ds[name].values), np.array(ranked, object)
        codes.append(code)
        coords[name] = (name, np.asarray(values))
    shape = tuple(len(v) for _, v in coords.values())
    cells = []
    for place in np.ndindex(shape):
        rows = np.all([c == i for c, i in zip(codes, place, strict=True)], axis=0)
        cells.append(np.flatnonzero(rows))
    return cells, coords


def _rank(value: Any, listed: Sequence[str]) -> tuple[int, str]:
    return (listed.index(value) if value in listed else len(listed), str(value))


def _proportions(
    p: np.ndarray,
    statistic: np.ndarray,
    null: np.ndarray | None,
    cells: Sequence[np.ndarray],
    recorded: tuple[np.ndarray, np.ndarray],
    options: Mapping[str, Any],
) -> dict[str, np.ndarray]:
    from lsdx.kernels.proportions import max_statistic, shares_of_cells

    alpha, level = options["alpha"], options["level"]
    out = shares_of_cells((p, statistic), cells, *recorded, alpha=alpha, level=level)
    if null is not None:
        how = {n: options[n] for n in ("alpha", "draws", "seed")}
        out["p_max"] = np.full(out["n_units"].shape, np.nan)
        for cell in np.ndindex(p.shape[1:]):
            at = (slice(None), *cell)
            out["p_max"][at] = max_statistic(p[at], null[at], cells, recorded[0], **how)
        out["p_max"][out["n_mice"] < 2] = np.nan
    return out
