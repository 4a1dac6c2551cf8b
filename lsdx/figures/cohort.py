"""Pictures of comparisons over mice: pairs, the estimate, regions, confounds, attrition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from lsdx.errors import SelectionError, located
from lsdx.figures.axes import (
    as_dataset,
    axis_label,
    is_scalar,
    on_axes,
    require_array,
    require_dims,
)
from lsdx.figures.style import condition_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INTERVAL = {"estimate", "low", "high"}
_FURTHEST = 3.0  # standard deviations: what lies beyond is drawn as an arrow
_COMPARE = "Start from x.lsd.compare_conditions(...)."


def plot_paired(
    data: xr.DataArray, *, contrast: xr.Dataset | None = None, ax: Axes | None = None
) -> Axes:
    """Draw a line for each mouse from one phase to the other, by condition, with the mean.

    Parameters
    ----------
    data : DataArray
        Over ``session`` and ``phase`` (two labels), with the labels ``subject`` and
        ``condition``, such as ``d.ngsc`` selected to one epoch and region.
    contrast : Dataset, optional
        Of ``data.lsd.paired_contrast(...)``: ``estimate``, ``low`` and ``high`` of the change,
        over ``condition`` where ``data`` have several. It gives the mean its interval.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        A thin line a mouse, the mean of its sessions that have both phases; a thick line the
        mean over mice. The bar at its end is the interval of the change: two intervals of the
        phases would show how mice differ, not how surely they change.

    Raises
    ------
    SelectionError
        If there are not two phases, or a label is missing; for a contrast of several cells.

    Examples
    --------
    >>> labels = {"subject": ("session", ["A", "B"]), "condition": ("session", ["lsd", "lsd"])}
    >>> coords = {"phase": ["pre", "post"], **labels}
    >>> x = xr.DataArray([[1.0, 2.0], [2.0, 4.0]], coords, ("session", "phase"), name="rate")
    >>> ax = plot_paired(x)
    >>> ax.get_legend().get_texts()[0].get_text()
    'lsd (2 mice, 2 sessions)'
    """
    require_array(data, "plot_paired")
    require_dims(data, "plot_paired", {"session", "phase"}, 0)
    lacking = [n for n in ("subject", "condition") if n not in data.coords]
    if lacking or data.sizes["phase"] != 2:
        found = f"no {', '.join(lacking)}" if lacking else f"{data.sizes['phase']} phases"
        expected = "two phases, and the labels subject and condition"
        raise SelectionError(located("plot_paired", expected, found))
    values = data.transpose("session", "phase").values
    known = np.isfinite(values).all(axis=1)
    subject, condition = (
        np.broadcast_to(data[n].values, known.shape).astype(str)[known]
        for n in ("subject", "condition")
    )
    ax = on_axes(ax, data)
    colours = condition_colours(condition)
    ticks: list[float] = []
    for c, (name, colour) in enumerate(colours.items()):
        mine = condition == name
        mice, code = np.unique(subject[mine], return_inverse=True)
        sums = np.zeros((len(mice), 2))
        np.add.at(sums, code, values[known][mine])
        lines = sums / np.bincount(code)[:, None]
        mean, x = lines.mean(axis=0), np.array([2.0 * c, 2.0 * c + 1])
        ax.plot(x, lines.T, color=colour, lw=0.8, alpha=0.5)
        told = f"{name} ({len(mice)} mice, {mine.sum()} sessions)"
        ax.plot(x, mean, "o-", color=colour, lw=2.5, label=told)
        ends = _change(contrast, name, len(colours))
        if ends is not None and np.isfinite(ends).all():
            low, high = mean[0] + ends
            ax.plot([x[1]] * 2, [low, high], "_-", color=colour, lw=2.5, ms=10, label=None)
        ticks += x.tolist()
    ax.set_xticks(ticks, [str(p) for p in data["phase"].values] * len(colours))
    ax.set_xlim(-0.5, max(ticks, default=1) + 0.5)
    ax.set_ylabel(axis_label(data))
    if colours:
        level = "" if contrast is None else _percent(contrast)
        title = f"bar: {level} interval of the change" if level else None
        ax.legend(fontsize="small", title=title, title_fontsize="x-small", frameon=False)
    return ax


def plot_estimate(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw one contrast: what each mouse says, the estimate, and what chance gives.

    Parameters
    ----------
    data : Dataset
        Of ``x.lsd.compare_conditions(...)`` or ``paired_contrast``, selected to one cell.
        ``per_mouse`` (mouse) and ``null`` (draw) are drawn where they are there.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        Left a point a mouse. Right the estimate with its interval, beside half a violin: the
        share of permutations by their estimate. The title gives p, the least p that the design
        can give, and the number of arrangements.

    Raises
    ------
    SelectionError
        If more than one cell is left, or the data are no contrast.

    Examples
    --------
    >>> c = xr.Dataset({"estimate": 1.0, "low": 0.2, "high": 1.8, "p": 0.02, "p_least": 0.01})
    >>> plot_estimate(c).get_title(loc="left")
    'p = 0.02 (least possible 0.01)'
    """
    data = as_dataset(data, "plot_estimate", _INTERVAL, _COMPARE)
    require_dims(data["estimate"], "plot_estimate", set(), 0)
    estimate, low, high = (float(data[n]) for n in ("estimate", "low", "high"))
    ax = on_axes(ax, data)
    ax.axhline(0, color="0.5", lw=1, zorder=0)
    ticks = {1.0: "estimate"}
    mice = _finite(data, "per_mouse")
    if mice.size:
        ax.plot(_spread(mice), mice, "o", ms=5, color="0.3", mfc="none")
        ticks[0.0] = f"mice ({mice.size})"
    null = _finite(data, "null")
    if null.size:
        # bins, no kernel: of few arrangements there are few values, and each is seen
        count, edges = np.histogram(null, bins=min(60, max(10, int(np.sqrt(null.size)))))
        width = 1.08 + 0.6 * np.repeat(count / count.max(), 2)
        y = np.repeat(edges, 2)[1:-1]
        words = f"by chance ({null.size:,})"
        ax.fill_betweenx(y, 1.08, width, color="0.75", lw=0, label=words)
        ax.legend(fontsize="small", frameon=False)
    if np.isfinite([low, high]).all():
        ax.plot([1, 1], [low, high], "-", color="k", lw=2)
    ax.plot(1, estimate, "o", color="k", ms=7)
    ax.set_xticks(list(ticks), list(ticks.values()))
    ax.set_xlim(-0.5 if mice.size else 0.5, 1.8)
    words = axis_label(data["estimate"])
    ax.set_ylabel("\n".join(w for w in (words, _compared(data)) if w))
    ax.set_title(_told_p(data), loc="left", fontsize="small")
    return ax


def plot_regions(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw a contrast and its interval in each region, with the numbers that it rests on.

    Parameters
    ----------
    data : Dataset
        Of ``x.lsd.compare_conditions(...)``, with one or two dimensions left, such as group and
        epoch: the first is the rows, the second the colours.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        A point is filled where ``p_corrected`` is below 1 - level. Small ticks are the range of
        the estimate without one mouse. At the right mice, sessions and units; two numbers with
        a comma are those of two conditions. A row without an estimate stays empty.

    Raises
    ------
    SelectionError
        If the data are no contrast, or have other numbers of dimensions.

    Examples
    --------
    >>> found = {n: ("group", [v, -v]) for n, v in {"estimate": 1, "low": 0, "high": 2}.items()}
    >>> ax = plot_regions(xr.Dataset(found, {"group": ["HPF", "VIS"]}))
    >>> [t.get_text() for t in ax.get_yticklabels()]
    ['HPF', 'VIS']
    """
    data = as_dataset(data, "plot_regions", _INTERVAL, _COMPARE)
    dims = [str(d) for d in data["estimate"].dims]
    if not 1 <= len(dims) <= 2:
        found = ", ".join(dims) or "none"
        do = "Select one label of the others: c.sel(epoch=...)."
        raise SelectionError(located("plot_regions", "one or two dimensions", found, do))
    rows = [str(v) or "(none)" for v in data[dims[0]].values]
    groups = [str(v) for v in data[dims[1]].values] if len(dims) == 2 else [""]
    n_lines = len(rows) * len(groups)
    ax = on_axes(ax, data, height=1.5 + 0.22 * max(n_lines, 4))
    offset = (np.arange(len(groups)) - (len(groups) - 1) / 2) * 0.7 / len(groups)
    alpha = 1 - float(data.attrs.get("level", 0.95))
    names = ("n_mice", "n_sessions", "n_units")
    counted = [n for n in names if n in data]
    ax.axvline(0, color="0.5", lw=1, zorder=0)
    for g, name in enumerate(groups):
        one = data.isel({dims[1]: g}) if len(dims) == 2 else data
        y, colour = np.arange(len(rows)) + offset[g], f"C{g}"
        estimate, low, high = (one[n].values for n in ("estimate", "low", "high"))
        known = np.isfinite(low) & np.isfinite(high)
        ax.hlines(y[known], low[known], high[known], color=colour, lw=2)
        for end in ("without_one_low", "without_one_high"):
            if end in one:
                ax.plot(one[end].values, y, "|", color=colour, ms=7)
        corrected = one["p_corrected"].values if "p_corrected" in one else np.full(len(y), np.nan)
        clear = corrected < alpha
        ax.plot(estimate, y, "o", ms=5, color=colour, mfc="w", label=name or None)
        ax.plot(estimate[clear], y[clear], "o", ms=5, color=colour)
        for i in range(len(rows)):
            told = " / ".join(_numbers(one[n].isel({dims[0]: i})) for n in counted)
            _beside(ax, y[i], told, colour)
    words = " / ".join(n.removeprefix("n_") for n in counted)
    ax.text(1.01, 1.01, words, transform=ax.transAxes, size=7)
    ax.set_yticks(np.arange(len(rows)), rows)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.grid(axis="x", color="0.9")
    parts = [axis_label(data["estimate"]), _compared(data)]
    if "p_corrected" in data:
        parts.append(f"filled: corrected p < {alpha:.2g}")
    ax.set_xlabel("\n".join(p for p in parts if p))
    if len(groups) > 1:
        _legend_above(ax, len(groups))
    return ax


def plot_confounds(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw how else two conditions differ: a row a label, with both means.

    Parameters
    ----------
    data : Dataset
        Of `lsdx.analysis.attrition.confounds`.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        Circles are standardised differences of numbers, squares differences of shares. Arrows
        at the edge lie beyond 3 sd, or are infinite. At the right the means (shares in %) of
        the two conditions, in brackets their sessions.

    Raises
    ------
    SelectionError
        If the data are no confounds, or of fewer than two conditions.

    Examples
    --------
    >>> import lsdx
    >>> from lsdx.analysis.attrition import confounds
    >>> plot_confounds(confounds(lsdx.open_sessions())).get_xlabel()
    'lsd minus saline: in sd (circles), of shares (squares)'
    """
    needed = {"difference", "mean", "n_sessions", "kind", "label", "condition"}
    data = as_dataset(data, "plot_confounds", needed, "Start from ds.lsd.confounds(...).")
    if data["mean"].ndim != 2 or data.sizes["condition"] < 2:
        found = str(data["condition"].size)
        raise SelectionError(located("plot_confounds", "two conditions", found))
    two = data.isel(condition=[0, 1]).transpose("label", "condition")
    first, second = (str(c) for c in two["condition"].values)
    names = [str(n) for n in two["label"].values]
    ax = on_axes(ax, data, height=1.5 + 0.25 * max(len(names), 3))
    difference = two["difference"].values
    sized = np.abs(difference[np.isfinite(difference)])
    edge = 1.1 * float(np.clip(sized.max(initial=1.0), 1.0, _FURTHEST))
    beyond = np.abs(difference) > edge  # NaN is neither
    share = two["kind"].values == "share"
    y = np.arange(len(names))
    ax.axvline(0, color="0.5", lw=1, zorder=0)
    ax.hlines(y, 0, np.clip(np.nan_to_num(difference), -edge, edge), color="0.8", lw=1, zorder=1)
    inside = np.abs(difference) <= edge
    markers = ("o", ~share & inside), ("s", share & inside)
    arrows = ("<", beyond & (difference < 0)), (">", beyond & (difference > 0))
    for marker, which in (*markers, *arrows):
        x = np.clip(difference[which], -edge, edge)
        ax.plot(x, y[which], marker, color="k", ms=5, clip_on=False)
    units = two["label_units"].values if "label_units" in two.coords else np.full(len(y), "1")
    for i in range(len(names)):
        means = [_shown(m, bool(share[i])) for m in two["mean"].values[i]]
        n = two["n_sessions"].values[i]
        unit = "" if units[i] == "1" else f" {units[i]}"
        _beside(ax, y[i], f"{means[0]} / {means[1]}{unit}  ({n[0]} / {n[1]})", "k")
    ax.text(1.01, 1.01, f"{first} / {second}  (sessions)", transform=ax.transAxes, size=7)
    ax.set_yticks(y, names)
    ax.set(ylim=(len(names) - 0.5, -0.5), xlim=(-edge, edge))
    ax.grid(axis="x", color="0.9")
    ax.set_xlabel(f"{first} minus {second}: in sd (circles), of shares (squares)")
    return ax


def plot_attrition(data: xr.Dataset, *, of: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw what is left after each step of a selection, by condition.

    Parameters
    ----------
    data : Dataset
        Of `lsdx.analysis.attrition.attrition`, over ``step`` and at most one label.
    of : str, optional
        What bars show, such as ``"n_sessions"``; by default the first variable.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        A bar a step and condition: the share that is left of the first step. At the right the
        numbers themselves.

    Raises
    ------
    SelectionError
        If more labels are left, or there is no such variable.

    Examples
    --------
    >>> import lsdx
    >>> from lsdx.analysis.attrition import attrition
    >>> left = attrition(lsdx.open_units(), steps=[{"quality": "ks2_good"}])
    >>> plot_attrition(left).get_xlabel()
    'Units left (% of all)'
    """
    data = as_dataset(data, "plot_attrition", {"step"}, "Start from ds.lsd.attrition(...).")
    names = [str(n) for n in data.data_vars if "step" in data[n].dims]
    chosen = of if of is not None else next(iter(names), "")
    if chosen not in names:
        found = repr(of)
        raise SelectionError(located("plot_attrition, of", f"one of {', '.join(names)}", found))
    dims = [str(d) for d in data[chosen].dims if d != "step"]
    if len(dims) > 1:
        do = 'Count by one label, or add up the others: left.sum("subject").'
        raise SelectionError(located("plot_attrition", "one label", ", ".join(dims), do))
    groups = [str(v) for v in data[dims[0]].values] if dims else [""]
    colours = {name: f"C{g}" for g, name in enumerate(groups)}
    if dims == ["condition"]:
        colours = condition_colours(groups)
    steps = [str(s) for s in data["step"].values]
    ax = on_axes(ax, data, height=1.5 + 0.22 * max(len(steps) * len(groups), 4))
    height = 0.8 / max(len(groups), 1)
    for g, name in enumerate(groups):
        one = data.isel({dims[0]: g}) if dims else data
        left = one[chosen].values.astype(float)
        percent = 100 * left / left[0] if left.size and left[0] else np.zeros(left.size)
        y = np.arange(len(steps)) + (g - (len(groups) - 1) / 2) * height
        ax.barh(y, percent, height, color=colours[name], label=name or None)
        for i in range(len(steps)):
            told = " / ".join(f"{int(one[n].values[i]):,}" for n in names)
            _beside(ax, y[i], told, colours[name])
    words = " / ".join(n.removeprefix("n_") for n in names)
    ax.text(1.01, 1.01, words, transform=ax.transAxes, size=7)
    ax.set_yticks(np.arange(len(steps)), steps)
    ax.set(ylim=(len(steps) - 0.5, -0.5), xlim=(0, 100))
    what = chosen.removeprefix("n_").capitalize()
    ax.set_xlabel(f"{what} left (% of {steps[0] if steps else ''})")
    if dims:
        _legend_above(ax, len(groups))
    return ax


def _change(contrast: xr.Dataset | None, condition: str, n_conditions: int) -> np.ndarray | None:
    """Return the ends of the interval of the change in one condition; None where not given."""
    if contrast is None:
        return None
    where = "plot_paired, contrast"
    contrast = as_dataset(contrast, where, _INTERVAL, "Start from x.lsd.paired_contrast(...).")
    one = contrast[["low", "high"]]
    if "condition" in one.dims:
        if condition not in one["condition"].values:
            return None
        one = one.sel(condition=condition)
    elif is_scalar(one, "condition"):
        if str(one["condition"].item()) != condition:
            return None
    elif n_conditions > 1:
        raise SelectionError(located(where, "the label condition, as data have several", "none"))
    require_dims(one["low"], where, set(), 0)
    return np.array([float(one["low"]), float(one["high"])])


def _finite(data: xr.Dataset, name: str) -> np.ndarray:
    values = np.asarray(data[name].values, dtype=float).ravel() if name in data else np.zeros(0)
    return values[np.isfinite(values)]


def _spread(values: np.ndarray) -> np.ndarray:
    """Return places beside 0, so that equal values do not hide one another."""
    place = np.empty(values.size)
    place[np.argsort(values, kind="stable")] = np.arange(values.size) % 3 - 1
    return 0.12 * place if values.size > 2 else 0.0 * place


def _numbers(data: xr.DataArray) -> str:
    """Return one number, or those of each condition."""
    return ",".join(f"{v:.0f}" for v in np.atleast_1d(data.values).ravel())


def _words(value: Any) -> list[str]:
    """Return the names that an attribute lists, as text or as a list."""
    if value is None:
        return []
    return [w for w in value.split(", ") if w] if isinstance(value, str) else [*map(str, value)]


def _compared(data: xr.Dataset) -> str:
    """Say what is subtracted from what, where the attributes tell."""
    conditions, between = (_words(data.attrs.get(n)) for n in ("conditions", "between"))
    parts = [" minus ".join(conditions[:2])] if len(conditions) > 1 else []
    parts += [" minus ".join(between[1::-1])] if len(between) > 1 else []
    return ", ".join(parts)


def _told_p(data: xr.Dataset) -> str:
    """Say p, the least that the design can give, and of how many arrangements."""
    if "p" not in data:
        return ""
    p = float(data["p"])
    n = data.attrs.get("n_arrangements")
    known = [f"least possible {float(data['p_least']):.3g}"] if "p_least" in data else []
    if n is not None:
        known.append(f"{'all ' if data.attrs.get('exact') else ''}{int(n):,} arrangements")
    if not np.isfinite(p):
        alone = n is not None and int(n) <= 1
        return "no p: the design has no other arrangement" if alone else "no p"
    return f"p = {p:.3g}" + (f" ({', '.join(known)})" if known else "")


def _percent(data: xr.Dataset) -> str:
    return f"{float(data.attrs.get('level', 0.95)):.0%}"


def _shown(mean: float, share: bool) -> str:
    if not np.isfinite(mean):
        return "-"
    return f"{100 * mean:.0f} %" if share else f"{mean:.3g}"


def _beside(ax: Axes, y: float, told: str, colour: str) -> None:
    """Write what a row rests on at its right."""
    place: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "va": "center", "size": 7}
    ax.text(1.01, y, told, color=colour, **place)


def _legend_above(ax: Axes, columns: int) -> None:
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "frameon": False}
    ax.legend(fontsize="small", ncols=max(columns, 1), borderpad=0.2, **place)
