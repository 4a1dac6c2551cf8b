"""Sections of what there is: the cohort, its sessions, regions, and the quality of its units."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis import overview as counted
from lsdx.figures import style
from lsdx.overview.cohort import Cohort
from lsdx.overview.interactive import dots
from lsdx.overview.page import Section, Table, table
from lsdx.overview.parts import Parts, missing
from lsdx.regions import atlas_volume
from lsdx.schema.units import QUALITY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NUMBERS = (
    "firing_rate",
    "amp_median",
    "contamination",
    "slidingRP_viol",
    "noise_cutoff",
    "presence_ratio",
    "drift",
    "amplitude_cutoff",
    "signalToNoiseRatio",
    "fractionRPVs_estimatedTauR",
)
_WHO = {
    "extraction error": "the raw data are there: ask whoever runs the extraction",
    "raw data missing": "no raw data: ask whoever recorded, or uploads",
}


def glance(cohort: Cohort, folder: Path) -> Section:
    """Count what there is, and say what is missing and whom to ask."""
    parts = Parts("glance", "The cohort at a glance", folder)
    sessions, units = cohort.sessions, cohort.units
    if sessions is None or not sessions.sizes["session"]:
        parts.say("There are no sessions. Build them: lsdx build")
        return parts.section
    every = counted.totals(sessions, cohort.insertions, units)
    filters = {f"n_{name}": f"units, {name}" for name in QUALITY}
    names = list(map(str, every.data_vars))
    words = {n: filters.get(n, n.removeprefix("n_").replace("_", " ")) for n in names}
    frame = every.to_dataframe()[names].rename(columns=words).T
    frame = frame.loc[:, (frame.loc["sessions"] > 0) | (frame.columns == counted.EVERY)]
    parts.table(frame.rename_axis("number of"), "totals", "By condition")
    n = every.sel(condition=counted.EVERY)
    if units is None:
        parts.say(missing(cohort, "Units", "units"))
    excluded = int(n["n_excluded"])
    if excluded:
        parts.say(f"The lab excludes {excluded} sessions; they count above, and nowhere below.")
    status = sessions["status"].transpose("session", "dataset").values
    rows = {
        name: [int((column == state).sum()) for state in _WHO]
        for name, column in zip(sessions["dataset"].values, status.T, strict=True)
    }
    lacking = pd.DataFrame.from_dict(rows, orient="index", columns=list(_WHO))
    lacking = lacking[lacking.sum(axis=1) > 0].rename_axis("dataset")
    if len(lacking):
        caption = "What sessions lack. " + "; ".join(f"{k}: {v}" for k, v in _WHO.items()) + "."
        parts.table(lacking, "lacking", caption, folded=len(lacking) > 8)
    else:
        parts.say("No session lacks any dataset.")
    return parts.section


def layout(cohort: Cohort, folder: Path) -> Section:
    """Show mice, trajectories, datasets, times and the histology's to-do list."""
    parts = Parts("sessions", "Mice, sessions and times", folder)
    sessions, epochs = cohort.sessions, cohort.epochs
    if sessions is None or not sessions.sizes["session"]:
        parts.say("There are no sessions.")
        return parts.section
    n = sessions.sizes["session"]
    frame = _session_frame(sessions)
    told = ("session", "mouse", "date", "condition", "units", "flags")
    mice = frame["mouse"].nunique()

    def by_date() -> Axes:
        ax = style.condition_dots(frame, "when", "units")
        ax.set_xlabel("Day of recording")
        ax.set_ylabel("Units")
        return ax

    parts.draw(
        "dates",
        by_date,
        "Sessions by day and number of units. Hovering names the session; a click on a condition "
        "in the legend hides it.",
        f"Scatter of the number of units over the day of recording of {n} sessions of {mice} mice.",
        height=7,
        interactive=partial(dots, frame, "when", "units", ("Day of recording", "Units"), told),
    )
    from lsdx.figures import overview as drawn

    grid = counted.trajectory_grid(sessions)
    parts.draw(
        "trajectories",
        partial(drawn.plot_trajectories, grid),
        "Sessions of each mouse along each pair of planned trajectories.",
        f"Grid of {grid.sizes['trajectory']} trajectories and {grid.sizes['subject']} mice, "
        f"{n} sessions in all.",
    )
    parts.draw(
        "datasets",
        partial(drawn.plot_status, sessions),
        "Which datasets each session has.",
        f"Grid of {n} sessions and {sessions.sizes['dataset']} datasets in three states.",
    )
    if epochs is None:
        parts.say(missing(cohort, "Epochs", "epochs"))
    else:
        lines = counted.timelines(epochs, sessions)
        origin = lines["origin"].values
        parts.draw(
            "timelines",
            partial(drawn.plot_timelines, lines),
            "Epochs of each session, from the injection on. Its provenance stands in the table.",
            f"Timelines of {n} sessions; the injection's time is known of "
            f"{int((origin == 'injection').sum())}.",
        )
        columns = {n: lines[n].values for n in ("condition", "origin", "provenance")}
        known = pd.DataFrame(columns, pd.Index(lines["session_label"].values, name="session"))
        caption = "From when times count, and how the injection is known"
        parts.table(known, "origins", caption, folded=True)
    _histology(parts, cohort)
    return parts.section


def _histology(parts: Parts, cohort: Cohort) -> None:
    from lsdx.export.tables import histology_table

    insertions, sessions = cohort.insertions, cohort.sessions
    if insertions is None or sessions is None or not insertions.sizes["insertion"]:
        parts.say("No probe insertions, so that the histology waits for nothing.")
        return
    todo = histology_table(insertions, sessions)
    names = dict(zip(sessions["session"].values, sessions["session_label"].values, strict=True))
    open_steps = todo[todo["next_step"].astype(str) != ""]
    steps = open_steps["next_step"].value_counts().rename_axis("next step").rename("probes")
    if len(steps):
        parts.table(steps.to_frame(), "histology", "What the histology waits for")
        rows = open_steps.assign(session=open_steps["session"].map(names))
        rows = rows[["session", "probe", "stage", "next_step"]].set_index("session")
        parts.table(rows, "histology_probes", "By probe", folded=True)
    else:
        parts.say(f"Histology: nothing is left to do for {len(todo)} probes.")


def _session_frame(sessions: xr.Dataset) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "session": sessions["session_label"].values,
            "mouse": sessions["subject"].values,
            "date": sessions["date"].values,
            "when": pd.to_datetime(sessions["date"].values.astype(str)),
            "condition": sessions["condition"].values.astype(str),
            "units": sessions["n_units"].values,
            "flags": sessions["flags"].values,
        }
    )


def regions(cohort: Cohort, folder: Path) -> Section:
    """Show how many units there are where, and what was recorded together."""
    from lsdx.figures import overview as drawn

    parts = Parts("regions", "Units by region", folder)
    units = cohort.units
    if units is None or not units.sizes["unit"]:
        parts.say(missing(cohort, "Units", "units"))
        return parts.section
    source = units if cohort.quality is None else cohort.quality
    groups = counted.units_by_region(source)
    best = "ks2_good" if "ks2_good" in groups["filter"].values else str(groups["filter"].values[-1])
    some = groups.sel(filter=[counted.EVERY, best])
    n = int(groups["n_units"].sel(filter=counted.EVERY).sum())
    parts.draw(
        "units_by_group",
        partial(drawn.plot_units, some),
        f"Units of each coarse group of regions: all, and those that pass {best}.",
        f"Bars of {n} units in {groups.sizes['group']} groups of regions, by condition.",
    )
    parts.show(partial(_counts, groups, "group", "units_by_group_table"))
    beryl = counted.units_by_region(source, by="beryl")
    parts.show(partial(_counts, beryl, "beryl", "units_by_beryl_table"))
    placed = int((units["region"].values != "").sum())
    if placed and atlas_volume(style.settings().atlas):
        parts.draw(
            "slices",
            partial(drawn.plot_slices, units),
            "Where the units lie, on coronal slices of the Allen atlas, each of 1 mm.",
            f"Coronal slices with {placed} units in mm from bregma, by condition.",
        )
    elif placed:
        parts.draw(
            "places",
            partial(drawn.plot_places, units),
            "Where the units lie, from above and from the side, in the colours of the Allen atlas.",
            f"Places of {placed} units in mm from bregma, by condition.",
        )
    else:
        parts.say("No unit has a place in the brain yet.")
    pairs = counted.region_pairs(units)
    if pairs.sizes["source"]:
        told = ", ".join(
            f"{c} {int(k)}"
            for c, k in zip(pairs["condition"].values, pairs["n_sessions"].values, strict=True)
            if k
        )
        parts.draw(
            "pairs",
            partial(drawn.plot_pairs, pairs),
            "Pairs of units of two groups of regions that were recorded together: mean over the "
            "condition's sessions with units. Pairs within a group lie on the framed diagonal.",
            f"Matrices of {pairs.sizes['source']} groups of regions; sessions: {told}.",
        )
    return parts.section


def _counts(found: xr.Dataset, by: str, name: str) -> Table:
    """Return units by region as a table: a column for each condition and filter."""
    n = found["n_units"]
    conditions = [c for c in found["condition"].values if int(n.sel(condition=c).sum())]
    columns = {
        f"{condition}, {which}": n.sel(condition=condition, filter=which).values
        for condition in conditions
        for which in found["filter"].values
    }
    index = pd.Index([str(v) or "place not known" for v in found[by].values], name=by)
    return table(pd.DataFrame(columns, index=index), name, f"Units by {by}", folded=True)


def quality(cohort: Cohort, folder: Path) -> Section:
    """Show the distributions of what tells how well units are isolated, and labels compared."""
    from lsdx.analysis.quality import compare_labels
    from lsdx.figures import overview as drawn
    from lsdx.figures.quality import plot_labels

    parts = Parts("quality", "Quality of the units", folder)
    source = cohort.units if cohort.quality is None else cohort.quality
    if source is None or not source.sizes["unit"]:
        parts.say(missing(cohort, "Units", "units"))
        return parts.section
    if cohort.quality is None:
        parts.say(missing(cohort, "Measures of bombcell and stability", "quality"))
    names = [n for n in _NUMBERS if n in source and bool(np.isfinite(source[n].values).any())]
    groups = ["condition"] + ["sorter"] * (len(set(source["sorter"].values)) > 1)
    for by in groups if names else ():
        frame = _medians(source, names, by)
        parts.draw(
            f"quality_by_{by}",
            partial(drawn.plot_distributions, source, names, by=by),
            f"Share of the units up to each value, by {by}. The axis ends at the 99th percentile.",
            f"Distributions of {', '.join(names)} of {source.sizes['unit']} units, by {by}.",
        )
        parts.table(frame, f"quality_by_{by}_table", f"Medians by {by}", folded=True)
    if "presence" in source:
        presence = source["presence"]
        flat = xr.Dataset(
            {f"presence in {p}": presence.sel(phase=p, drop=True) for p in presence["phase"].values}
        )
        parts.draw(
            "presence",
            partial(drawn.plot_distributions, flat, list(map(str, flat.data_vars))),
            "Share of 10-s bins in which a unit spikes, before and after the injection.",
            f"Distributions of the presence of {source.sizes['unit']} units in each phase.",
        )
    if "label" in source.variables:
        labels = compare_labels(source)
        if int(labels["n"].sum()):
            parts.draw(
                "labels",
                partial(plot_labels, labels),
                "What one test calls the units that another calls good, or not.",
                "Stacked bars of the labels of bombcell, IBL and Kilosort against one another.",
            )
            frame = labels[["kappa", "agreement", "n_left_out"]].to_dataframe()
            frame = frame[["kappa", "agreement", "n_left_out"]]
            caption = "Agreement of labels: Cohen's kappa of good against all others"
            parts.table(frame, "kappa", caption)
    return parts.section


def _medians(source: xr.Dataset, names: Sequence[str], by: str) -> pd.DataFrame:
    frame = pd.DataFrame({n: source[n].values for n in names})
    grouped = frame.groupby(source[by].values.astype(str), sort=False)
    sizes = grouped.size().rename("units")
    return pd.concat([sizes, grouped.median()], axis=1).rename_axis(by)
