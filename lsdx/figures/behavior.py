"""Pictures of behaviour: traces, the pupil around the injection, places, bouts, cameras."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from lsdx.errors import SelectionError, located
from lsdx.figures import style
from lsdx.figures.axes import (
    as_dataset,
    axis_label,
    is_scalar,
    on_axes,
    require_array,
    require_dims,
    row_names,
)
from lsdx.figures.style import condition_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_POINTS = 20_000


def plot_trace(
    data: xr.DataArray, *, epochs: xr.Dataset | None = None, ax: Axes | None = None
) -> Axes:
    """Draw a series of one session over time, with its epochs behind it.

    Parameters
    ----------
    data : DataArray
        Over time, such as ``pose.lsd.pupil_diameter()``, or over time and keypoints, such as
        ``pose.lsd.speed()`` of one individual.
    epochs : Dataset, optional
        ``start`` and ``stop`` (phase, epoch), ``administration``: the pose itself.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        One line a keypoint, thinned to 20,000 points; epochs are shaded, the injection is dashed.

    Raises
    ------
    SelectionError
        If the data have other dimensions.

    Examples
    --------
    >>> import lsdx
    >>> eid = lsdx.open_sessions().session.values[0]
    >>> pose = lsdx.open_pose(session=eid, camera="left")
    >>> plot_trace(pose.lsd.pupil_diameter(), epochs=pose).get_xlabel()
    'Time (min)'
    """
    require_array(data, "plot_trace")
    data = data.squeeze([d for d in data.dims if d == "individuals" and data.sizes[d] == 1])
    require_dims(data, "plot_trace", {"time"}, 1)
    ax = on_axes(ax, data)
    seconds = data["time"].attrs.get("units") == "s"
    scale = 60.0 if seconds else 1.0
    ax.set_xlabel("Time (min)" if seconds else "Frame")
    ax.set_ylabel(axis_label(data))
    thinned = data.isel(time=slice(None, None, max(1, data.sizes["time"] // _MOST_POINTS)))
    other = [d for d in data.dims if d != "time"]
    lines = thinned.transpose(*other, "time").values.reshape(-1, thinned.sizes["time"])
    names = [str(v) for v in data[other[0]].values] if other else [""]
    for name, line in zip(names, lines, strict=True):
        ax.plot(thinned["time"].values / scale, line, lw=0.6, label=name, rasterized=True)
    if other:
        ax.legend(fontsize="small", loc="upper right")
    if seconds and epochs is not None:
        _shade(ax, epochs, scale)
    if is_scalar(data.coords.to_dataset(), "session_label"):
        ax.set_title(str(data["session_label"].item()), fontsize="medium")
    return ax


def _shade(ax: Axes, data: xr.Dataset, scale: float) -> None:
    top = ax.get_xaxis_transform()
    colours = style.epoch_colours(data["epoch"].values)
    for phase in data["phase"].values:
        for epoch in data["epoch"].values:
            start, stop = (float(data[n].sel(phase=phase, epoch=epoch)) for n in ("start", "stop"))
            if np.isnan(start) or np.isnan(stop):
                continue
            colour = colours[str(epoch)]
            ax.axvspan(start / scale, stop / scale, color=colour, alpha=0.35, lw=0)
            middle = (start + stop) / 2 / scale
            ax.text(middle, 0.98, f"{phase}\n{epoch}", transform=top, ha="center", va="top", size=6)
    given = float(data["administration"]) if "administration" in data.coords else np.nan
    if np.isfinite(given):
        ax.axvline(given / scale, color="k", ls="--", lw=1)


def plot_pupil(data: xr.DataArray, *, ax: Axes | None = None) -> Axes:
    """Draw the pupil of many sessions around the injection, by condition.

    Parameters
    ----------
    data : DataArray
        ``pupil`` of ``pose.lsd.pupil_course()``, of several sessions put together:
        ``xr.concat(courses, "session").pupil``.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        A thin line a session, a thick one the mean of each condition.

    Raises
    ------
    SelectionError
        If the data have other dimensions than session and time, or no condition.

    Examples
    --------
    >>> import lsdx
    >>> eid = lsdx.open_sessions().session.values[0]
    >>> course = lsdx.open_pose(session=eid, camera="left").lsd.pupil_course()
    >>> plot_pupil(course.pupil.expand_dims("session")).get_ylabel()
    'Pupil diameter (% of the first phase)'
    """
    require_array(data, "plot_pupil")
    require_dims(data, "plot_pupil", {"session", "time"}, 0)
    if "condition" not in data.coords:
        do = "Start from pose.lsd.pupil_course()."
        raise SelectionError(located("plot_pupil", "the label condition", "none", do))
    ax = on_axes(ax, data)
    condition = np.broadcast_to(data["condition"].values, (data.sizes["session"],))
    minutes = data["time"].values / 60
    values = data.transpose("session", "time").values
    for name, colour in condition_colours(sorted(set(condition.astype(str)))).items():
        rows = values[condition == name]
        ax.plot(minutes, rows.T, color=colour, lw=0.6, alpha=0.5)
        known = np.isfinite(rows).sum(axis=0)
        mean = np.where(known, np.nansum(rows, axis=0) / np.maximum(known, 1), np.nan)
        ax.plot(minutes, mean, color=colour, lw=2, label=f"{name} ({len(rows)} sessions)")
    ax.axvline(0, color="k", ls="--", lw=1)
    ax.set_xlabel("Time from the injection (min)")
    ax.set_ylabel("Pupil diameter (% of the first phase)")
    ax.legend(fontsize="small")
    return ax


def plot_occupancy(data: xr.DataArray, *, ax: Axes | None = None) -> Axes:
    """Draw how long the animal was in each place.

    Parameters
    ----------
    data : DataArray
        Over (y, x), in s: ``occupancy`` of `lsdx.open_field.measures`, of one recording or a mean.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        An image with its colour bar, y down as in the video.

    Raises
    ------
    SelectionError
        If the data have other dimensions.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> seen = xr.DataArray(np.eye(3), {"y": [1, 2, 3], "x": [1, 2, 3]}, ("y", "x"))
    >>> bool(plot_occupancy(seen).yaxis_inverted())
    True
    """
    require_array(data, "plot_occupancy")
    require_dims(data, "plot_occupancy", {"y", "x"}, 0)
    ax = on_axes(ax, data)
    x, y = (data[n].values for n in ("x", "y"))
    image = ax.pcolormesh(x, y, data.transpose("y", "x").values, cmap="viridis", rasterized=True)
    ax.figure.colorbar(image, ax=ax, label="Time (s)")
    ax.set_aspect("equal")
    ax.invert_yaxis()
    for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
        axis.set_label_text(f"{name} ({data[name].attrs.get('units', 'cm')})")
    return ax


def plot_bouts(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw bouts of movement, a row a session.

    Parameters
    ----------
    data : Dataset
        Of ``behavior.lsd.bouts(feature=...)``.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        A bar a bout, in min of the recording, coloured by phase.

    Raises
    ------
    SelectionError
        If the data are not bouts.

    Examples
    --------
    >>> import lsdx
    >>> b = lsdx.open_behavior().isel(session=[0])
    >>> plot_bouts(b.lsd.bouts(feature="left/paw_near_speed")).get_xlabel()
    'Time (min)'
    """
    needed = {"start", "stop", "session", "phase"}
    data = as_dataset(data, "plot_bouts", needed, "Start from behavior.lsd.bouts(...).")
    name = "session_label" if "session_label" in data.coords else "session"
    sessions = list(dict.fromkeys(data[name].values))
    ax = on_axes(ax, data, height=1.5 + 0.3 * max(1, len(sessions)))
    phases = list(dict.fromkeys(data["phase"].values))
    start, length = data["start"].values / 60, (data["stop"] - data["start"]).values / 60
    for row, session in enumerate(sessions):
        for i, phase in enumerate(phases):
            mine = (data[name].values == session) & (data["phase"].values == phase)
            ax.broken_barh(
                list(zip(start[mine], length[mine], strict=True)),
                (row - 0.4, 0.8),
                color=f"C{i}",
                label=str(phase) if row == 0 else None,
            )
    ax.set_yticks(range(len(sessions)), list(map(str, sessions)), fontsize="small")
    ax.set_xlabel("Time (min)")
    ax.set_ylabel("Session")
    if phases:
        ax.legend(fontsize="small", title=str(data.attrs.get("feature", "")))
    return ax


def plot_cameras(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Draw the frame rate of each camera of each session, and what is odd about its frames.

    Parameters
    ----------
    data : Dataset
        What `lsdx.open_behavior` gives.
    ax : Axes, optional
        New ones by default.

    Returns
    -------
    Axes
        A table of sessions and cameras: frames per s, frames dropped by the camera's counter,
        gaps, times left out; white where there is no camera, orange where the clock is unknown.

    Raises
    ------
    SelectionError
        If the data hold no cameras.

    Examples
    --------
    >>> import lsdx
    >>> plot_cameras(lsdx.open_behavior()).get_title()
    'Frame rate (Hz) and what is odd'
    """
    from matplotlib.colors import ListedColormap

    needed = {"frame_rate", "clock", "n_gaps"}
    data = as_dataset(data, "plot_cameras", needed, "Start from lsdx.open_behavior().")
    rows = data["frame_rate"].transpose("session", "camera")
    ax = on_axes(ax, data, height=1.5 + 0.3 * rows.sizes["session"])
    clock = data["clock"].transpose("session", "camera").values.astype(str)
    state = np.select([clock == "", clock == "times", clock == "trimmed"], [0, 1, 2], default=3)
    shades = ListedColormap(["white", style.VERDICTS["pass"], "#F0E442", style.VERDICTS["fail"]])
    ax.imshow(state, cmap=shades, vmin=-0.5, vmax=3.5, aspect="auto")
    for i, j in np.argwhere(clock != ""):
        cell = {n: data[n].transpose("session", "camera").values[i, j] for n in _COUNTS}
        odd = [f"{int(v)} {word}" for (n, word) in _COUNTS.items() if (v := cell[n]) > 0]
        words = f"{rows.values[i, j]:.1f}" if np.isfinite(rows.values[i, j]) else clock[i, j]
        ax.text(j, i, "\n".join([words, ", ".join(odd)]), ha="center", va="center", size=6)
    ax.set_xticks(range(rows.sizes["camera"]), data["camera"].values.astype(str))
    ax.set_yticks(range(rows.sizes["session"]), row_names(rows, "session"), fontsize="small")
    ax.set_title("Frame rate (Hz) and what is odd")
    return ax


_COUNTS = {
    "n_dropped": "dropped",
    "n_gaps": "gaps",
    "n_trimmed": "times left out",
    "n_repeated": "repeated",
}
