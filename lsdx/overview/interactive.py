"""Figures that answer the mouse, by Bokeh, whose script is embedded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from lsdx.figures.style import condition_colours


def library() -> str:
    """Return Bokeh's script as HTML."""
    from bokeh.resources import Resources

    html: str = Resources(mode="inline", components=["bokeh"]).render()
    return html


def dots(frame: pd.DataFrame, x: str, y: str, labels: tuple[str, str], told: Sequence[str]) -> str:
    """Return a scatter of sessions as HTML: hovering names one, a click on a condition hides it.

    Parameters
    ----------
    frame : DataFrame
        A row a session, with ``condition``, ``x``, ``y`` and the columns that are ``told``.
    x, y : str
        Columns; ``x`` may be of dates.
    labels : tuple of str
        Of the axes.
    told : sequence of str
        Columns that are shown of the session under the mouse.
    """
    from bokeh import plotting
    from bokeh.embed import components
    from bokeh.models import DataRange1d, HoverTool

    dates = pd.api.types.is_datetime64_any_dtype(frame[x])
    make: Any = plotting.figure  # its options are made when it is imported
    plot = make(
        height=360,
        sizing_mode="stretch_width",
        x_axis_type="datetime" if dates else "linear",
        x_axis_label=labels[0],
        y_axis_label=labels[1],
        y_range=DataRange1d(range_padding=0.08),
        tools="pan,wheel_zoom,box_zoom,reset,save",
        toolbar_location="above",
    )
    plot.toolbar.logo = None
    for condition, colour in condition_colours(frame["condition"]).items():
        own = frame[frame["condition"] == condition]
        plot.scatter(
            x,
            y,
            source=dict(own.reset_index(drop=True).items()),
            size=10,
            color=colour,
            line_color="white",
            legend_label=f"{condition} (n = {len(own)})",
            name=condition,
        )
    plot.add_tools(HoverTool(tooltips=[(name.replace("_", " "), f"@{{{name}}}") for name in told]))
    plot.legend.click_policy = "hide"
    plot.legend.orientation = "horizontal"
    plot.add_layout(plot.legend[0], "below")
    script, div = components(plot)
    return f"{div}\n{script}"
