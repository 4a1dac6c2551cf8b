"""The sections of the page: each is what the library counts or draws, in words and numbers."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from lsdx.analysis import overview as counted
from lsdx.errors import LsdxError, missing_package
from lsdx.figures import style
from lsdx.overview.cohort import Cohort
from lsdx.overview.interactive import dots
from lsdx.overview.page import Picture, Section, Table, picture, table
from lsdx.schema.units import QUALITY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Part = str | Table | Picture
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
_MOVING = ("wheel/speed", "left/motion_energy", "right/motion_energy", "left/paw_near_speed")
_PACKAGES = ("xarray", "zarr", "dask", "numpy", "pandas", "scipy", "scikit-learn", "iblatlas")


def _drawn(draw: Callable[[], Axes | Figure], height: float | None = None) -> Figure:
    """Return a figure in the sizes of print."""
    try:
        import matplotlib as mpl  # noqa: F401
    except ImportError as error:
        raise missing_package("overview", "matplotlib", "report") from error
    found: Any = draw()
    figure: Figure = getattr(found, "figure", None) or found
    width = style.size(style.PAGE, 1)[0]
    figure.set_figwidth(width)
    if height is not None:
        figure.set_figheight(style.size(1, height)[1])
    return figure


class _Parts:
    """Collects the parts of a section; what cannot be shown is said instead."""

    def __init__(self, name: str, title: str, folder: Path) -> None:
        self.section, self.folder = Section(name, title), folder

    def say(self, text: str) -> None:
        self.section.parts.append(text)

    def show(self, make: Callable[[], Part | Sequence[Part]]) -> None:
        """Add what is made, or the reason why it cannot be."""
        try:
            with style.printed():
                made = make()
        except LsdxError as error:
            self.say(f"Not shown: {error}")
            return
        self.section.parts += [made] if isinstance(made, Part) else list(made)

    def draw(
        self,
        name: str,
        draw: Callable[[], Axes | Figure],
        caption: str,
        alt: str,
        *,
        height: float | None = None,
        interactive: Callable[[], str] | None = None,
    ) -> None:
        """Add a picture."""

        def make() -> Picture:
            twin = interactive() if interactive else ""
            return picture(_drawn(draw, height), self.folder, name, caption, alt, twin)

        self.show(make)


def _missing(cohort: Cohort, what: str, store: str) -> str:
    """Say why a store is not shown."""
    return f"{what}: not shown. {cohort.reasons.get(store, f'There are no {store}.')}"


def glance(cohort: Cohort, folder: Path) -> Section:
    """Count what there is, and say what is missing and whom to ask."""
    parts = _Parts("glance", "The cohort at a glance", folder)
    sessions, units = cohort.sessions, cohort.units
    if sessions is None or not sessions.sizes["session"]:
        parts.say("There are no sessions. Build them: lsdx build")
        return parts.section
    every = counted.totals(sessions, cohort.insertions, units)
    filters = {f"n_{name}": f"units, {name}" for name in QUALITY}
    words = {n: filters.get(n, n.removeprefix("n_").replace("_", " ")) for n in every.data_vars}
    frame = every.to_dataframe()[list(every.data_vars)].rename(columns=words).T
    frame = frame.loc[:, (frame.loc["sessions"] > 0) | (frame.columns == counted.EVERY)]
    parts.show(lambda: table(frame.rename_axis("number of"), "totals", "By condition"))
    n = every.sel(condition=counted.EVERY)
    if units is None:
        parts.say(_missing(cohort, "Units", "units"))
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
        parts.show(lambda: table(lacking, "lacking", caption, folded=len(lacking) > 8))
    else:
        parts.say("No session lacks any dataset.")
    return parts.section


def layout(cohort: Cohort, folder: Path) -> Section:
    """Show mice, trajectories, datasets, times and the histology's to-do list."""
    parts = _Parts("sessions", "Mice, sessions and times", folder)
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
        interactive=lambda: dots(frame, "when", "units", ("Day of recording", "Units"), told),
    )
    from lsdx.figures import overview as drawn

    grid = counted.trajectory_grid(sessions)
    parts.draw(
        "trajectories",
        lambda: drawn.plot_trajectories(grid),
        "Sessions of each mouse along each pair of planned trajectories.",
        f"Grid of {grid.sizes['trajectory']} trajectories and {grid.sizes['subject']} mice, "
        f"{n} sessions in all.",
    )
    parts.draw(
        "datasets",
        lambda: drawn.plot_status(sessions),
        "Which datasets each session has.",
        f"Grid of {n} sessions and {sessions.sizes['dataset']} datasets in three states.",
    )
    if epochs is None:
        parts.say(_missing(cohort, "Epochs", "epochs"))
    else:
        lines = counted.timelines(epochs, sessions)
        origin = lines["origin"].values
        parts.draw(
            "timelines",
            lambda: drawn.plot_timelines(lines),
            "Epochs of each session, from the injection on. Its provenance stands in the table.",
            f"Timelines of {n} sessions; the injection's time is known of "
            f"{int((origin == 'injection').sum())}.",
        )
        known = lines[["session_label", "condition", "origin", "provenance"]].reset_coords()
        known = known.drop_vars("simulated", errors="ignore").to_dataframe()
        known = known.set_index("session_label")[["condition", "origin", "provenance"]]
        caption = "From when times count, and how the injection is known"
        parts.show(lambda: table(known.rename_axis("session"), "origins", caption, folded=True))
    _histology(parts, cohort)
    return parts.section


def _histology(parts: _Parts, cohort: Cohort) -> None:
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
        parts.show(lambda: table(steps.to_frame(), "histology", "What the histology waits for"))
        rows = open_steps.assign(session=open_steps["session"].map(names))
        rows = rows[["session", "probe", "stage", "next_step"]].set_index("session")
        parts.show(lambda: table(rows, "histology_probes", "By probe", folded=True))
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

    parts = _Parts("regions", "Units by region", folder)
    units = cohort.units
    if units is None or not units.sizes["unit"]:
        parts.say(_missing(cohort, "Units", "units"))
        return parts.section
    source = units if cohort.quality is None else cohort.quality
    groups = counted.units_by_region(source)
    best = "ks2_good" if "ks2_good" in groups["filter"].values else str(groups["filter"].values[-1])
    some = groups.sel(filter=[counted.EVERY, best])
    n = int(groups["n_units"].sel(filter=counted.EVERY).sum())
    parts.draw(
        "units_by_group",
        lambda: drawn.plot_units(some),
        f"Units of each coarse group of regions: all, and those that pass {best}.",
        f"Bars of {n} units in {groups.sizes['group']} groups of regions, by condition.",
    )
    parts.show(lambda: _counts(groups, "group", "units_by_group_table"))
    beryl = counted.units_by_region(source, by="beryl")
    parts.show(lambda: _counts(beryl, "beryl", "units_by_beryl_table"))
    placed = int((units["region"].values != "").sum())
    if placed:
        parts.draw(
            "places",
            lambda: drawn.plot_places(units),
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
            lambda: drawn.plot_pairs(pairs),
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

    parts = _Parts("quality", "Quality of the units", folder)
    source = cohort.units if cohort.quality is None else cohort.quality
    if source is None or not source.sizes["unit"]:
        parts.say(_missing(cohort, "Units", "units"))
        return parts.section
    if cohort.quality is None:
        parts.say(_missing(cohort, "Measures of bombcell and stability", "quality"))
    names = [n for n in _NUMBERS if n in source and bool(np.isfinite(source[n].values).any())]
    groups = ["condition"] + ["sorter"] * (len(set(source["sorter"].values)) > 1)
    for by in groups if names else ():
        frame = _medians(source, names, by)
        parts.draw(
            f"quality_by_{by}",
            lambda by=by: drawn.plot_distributions(source, names, by=by),
            f"Share of the units up to each value, by {by}. The axis ends at the 99th percentile.",
            f"Distributions of {', '.join(names)} of {source.sizes['unit']} units, by {by}.",
        )
        parts.show(
            lambda frame=frame, by=by: table(
                frame, f"quality_by_{by}_table", f"Medians by {by}", folded=True
            )
        )
    if "presence" in source:
        presence = source["presence"]
        flat = xr.Dataset(
            {f"presence in {p}": presence.sel(phase=p, drop=True) for p in presence["phase"].values}
        )
        parts.draw(
            "presence",
            lambda: drawn.plot_distributions(flat, list(map(str, flat.data_vars))),
            "Share of 10-s bins in which a unit spikes, before and after the injection.",
            f"Distributions of the presence of {source.sizes['unit']} units in each phase.",
        )
    if "label" in source.variables:
        labels = compare_labels(source)
        if int(labels["n"].sum()):
            parts.draw(
                "labels",
                lambda: plot_labels(labels),
                "What one test calls the units that another calls good, or not.",
                "Stacked bars of the labels of bombcell, IBL and Kilosort against one another.",
            )
            frame = labels[["kappa", "agreement", "n_left_out"]].to_dataframe()
            frame = frame[["kappa", "agreement", "n_left_out"]]
            caption = "Agreement of labels: Cohen's kappa of good against all others"
            parts.show(lambda: table(frame, "kappa", caption))
    return parts.section


def _medians(source: xr.Dataset, names: Sequence[str], by: str) -> pd.DataFrame:
    frame = pd.DataFrame({n: source[n].values for n in names})
    grouped = frame.groupby(source[by].values.astype(str), sort=False)
    sizes = grouped.size().rename("units")
    return pd.concat([sizes, grouped.median()], axis=1).rename_axis(by)


def alignment(cohort: Cohort, folder: Path) -> Section:
    """Show whether clocks, stimuli, cameras and spikes agree."""
    from lsdx.check import check_cameras
    from lsdx.figures.alignment import plot_alignment
    from lsdx.figures.behavior import plot_cameras

    parts = _Parts("alignment", "Clocks, stimuli and cameras", folder)
    checked = cohort.result("alignment")
    if checked is None:
        parts.say("Whether stimuli are where the spikes are: lsdx analyse alignment computes it.")
    else:
        verdicts = checked["verdict"].to_series().groupby("check", sort=False).value_counts()
        frame = verdicts.unstack(fill_value=0).rename_axis(index="check", columns=None)
        frame = frame.reindex(columns=["pass", "untestable", "fail"], fill_value=0)
        parts.show(lambda: table(frame, "checks", "Checks of each session and phase"))
        failed = checked["verdict"].where(checked["verdict"] == "fail").to_series().dropna()
        if len(failed):
            names = dict(
                zip(checked["session"].values, checked["session_label"].values, strict=True)
            )
            notes = checked["note"].to_series().loc[failed.index].reset_index()
            notes = notes.assign(session=notes["session"].map(names)).set_index("session")
            parts.show(lambda: table(notes[["phase", "check", "note"]], "failed", "Failed checks"))
        parts.draw(
            "alignment_checks",
            lambda: plot_alignment(checked),
            "What was tested of each session and phase.",
            f"Verdicts of {checked.sizes['check']} checks of {checked.sizes['session']} sessions.",
        )
    if cohort.epochs is not None:
        residuals = cohort.epochs["rig_residual"].to_series().dropna()
        if len(residuals):
            told = residuals.groupby("epoch", sort=False).agg(["size", "median", "min", "max"])
            told.columns = ["sessions", "median (s)", "least (s)", "largest (s)"]
            caption = "Starts that the rig's clock predicts, minus the true ones"
            parts.show(lambda: table(told, "rig_residuals", caption))
        else:
            parts.say("No session has two runs whose times are known: the rig's clock is untested.")
    behavior = cohort.behavior
    if behavior is None:
        parts.say(_missing(cohort, "Cameras", "behavior"))
        return parts.section
    cameras = check_cameras(cohort.stores, tag=cohort.tag)
    counts = (
        cameras["verdict"].to_series().replace("", "no camera").groupby("camera").value_counts()
    )
    frame = counts.unstack(fill_value=0).rename_axis(index="camera", columns=None)
    parts.show(lambda: table(frame, "cameras", "Whether cameras and wheel agree in time"))
    parts.draw(
        "frame_rates",
        lambda: plot_cameras(behavior),
        "Frame rate of each camera (Hz), from its own times, and what is odd about its frames. "
        "White: no camera.",
        f"Table of the frame rates of {behavior.sizes['camera']} cameras in "
        f"{behavior.sizes['session']} sessions.",
    )
    return parts.section


def comparability(cohort: Cohort, folder: Path) -> Section:
    """Show what filters leave, and how else the conditions differ."""
    from lsdx.analysis.attrition import attrition, confounds
    from lsdx.figures.cohort import plot_attrition, plot_confounds

    parts = _Parts("comparability", "What filters leave, and how else conditions differ", folder)
    units = cohort.units
    if units is None or not units.sizes["unit"]:
        parts.say(_missing(cohort, "Units", "units"))
        return parts.section
    known = counted.labelled_filters(units)
    for name in known:
        parts.show(
            lambda name=name: _lost(
                attrition(units, steps=[{"quality": name}], sessions=cohort.sessions), name
            )
        )
    first = known[0] if known else None
    if first is not None:
        parts.draw(
            "attrition",
            lambda: plot_attrition(
                attrition(units, steps=[{"quality": first}], sessions=cohort.sessions)
            ),
            f"Units, sessions and mice that are left by {first}.",
            f"Bars of what each step leaves, by condition, for the filter {first}.",
        )

    def differences() -> list[Part]:
        behavior, told = cohort.behavior, {}
        if behavior is not None:
            features = [f for f in _MOVING if f in behavior["feature"].values]
            told = {"behavior": behavior, "feature": features[0]} if features else {}
        found = confounds(units, insertions=cohort.insertions, **told)
        frame = found.drop_dims("category", errors="ignore").to_dataframe()
        keep = [c for c in frame if frame[c].dtype.kind in "fi"]
        figure = picture(
            _drawn(lambda: plot_confounds(found)),
            folder,
            "confounds",
            "How else the conditions differ, in standard deviations. Large differences are other "
            "explanations of whatever is found.",
            "Standardised differences of what was not meant to differ between the conditions.",
        )
        flat = frame[keep].reset_index()
        return [
            figure,
            table(flat.set_index(flat.columns[0]), "confounds_table", "In numbers", folded=True),
        ]

    parts.show(differences)
    return parts.section


def _lost(found: xr.Dataset, name: str) -> Table:
    columns = ["n_units", "n_sessions", "n_mice"]
    frame = found[columns].to_dataframe()[columns].reset_index()
    frame = frame[frame.groupby("condition")["n_sessions"].transform("max") > 0]
    caption = f"What {name} leaves"
    return table(frame.set_index("step"), f"attrition_{name}", caption, folded=True)


def results(cohort: Cohort, folder: Path) -> Section:
    """Show what was measured, if it was."""
    from lsdx.figures.dimensionality import plot_pre_post
    from lsdx.results import ANALYSES

    parts = _Parts("results", "Results", folder)
    found = {n: cohort.result(n) for n in ANALYSES if n != "alignment"}
    absent = [n for n, ds in found.items() if ds is None]
    if absent:
        parts.say(
            f"Not computed: {', '.join(absent)}. Compute them: lsdx analyse {' '.join(absent)}"
        )
    dimensionality, modulation = found["dimensionality"], found["modulation"]
    if dimensionality is not None:
        n = int(dimensionality["ngsc"].notnull().any(["phase", "epoch"]).sum())
        epoch = str(dimensionality["epoch"].values[0])
        one = dimensionality["ngsc"].sel(epoch=epoch).assign_attrs(dimensionality.attrs)
        parts.draw(
            "ngsc",
            lambda: plot_pre_post(one.assign_attrs(long_name=f"NGSC, {epoch}")),
            "Normalised global spectral complexity of each session's population, before and after "
            "the injection. Units are matched in number.",
            f"Scatter of NGSC after against before the injection, of {n} sessions, in {epoch}.",
            height=9,
        )
        names = ["ngsc", "n_components", "pc1", "power_law_slope"]
        parts.show(
            lambda: _by_condition(
                dimensionality,
                [v for v in names if v in dimensionality],
                "dimensionality_table",
                "Medians over sessions: dimensionality",
            )
        )
    if modulation is not None:
        share = modulation["share_modulated"].to_series().reset_index()
        share = share[[c for c in share if share[c].nunique() > 1 or c == "share_modulated"]]
        caption = (
            "Share of units whose rate changed from before to after; saline's is of drift, too"
        )
        parts.show(lambda: table(share.set_index(share.columns[0]), "modulated", caption))
    if found["behavior"] is not None:
        behavior = found["behavior"]
        parts.show(
            lambda: _by_condition(
                behavior.behavior.to_dataset("feature"),
                None,
                "behavior_table",
                "Medians over sessions: behaviour",
            )
        )
    columns = ["estimate", "low", "high", "p", "p_least"]
    for name, title in (
        ("changes", "Changes from before to after within a condition, over mice"),
        ("comparisons", "The difference of the conditions' changes, over mice"),
    ):
        ds = found[name]
        if ds is None:
            continue
        frame = ds[columns].to_dataframe().reset_index()
        keys = [c for c in ("measure", "condition", "epoch") if c in ds["estimate"].dims]
        parts.show(
            lambda f=frame, k=keys, n=name, t=title: table(f[[*k, *columns]].set_index(k[0]), n, t)
        )
        for note in dict.fromkeys(filter(None, map(str, ds["note"].values))):
            parts.say(note)
    return parts.section


def _by_condition(ds: xr.Dataset, names: Sequence[str] | None, name: str, caption: str) -> Table:
    """Return medians over the sessions of each condition, phase and epoch."""
    chosen = list(map(str, ds.data_vars)) if names is None else list(names)
    frame = ds[chosen].to_dataframe().reset_index()
    keys = ["condition", "phase", "epoch"]
    grouped = frame.groupby(keys, sort=False)
    out = pd.concat(
        [grouped["session"].nunique().rename("sessions"), grouped[chosen].median()], axis=1
    )
    flat = out.reset_index()
    return table(flat.set_index("condition"), name, caption, folded=True)


def provenance(cohort: Cohort, folder: Path) -> Section:
    """Say from what the page was made."""
    parts = _Parts("provenance", "Provenance", folder)
    catalog = cohort.catalog
    parts.say(
        f"Catalog {catalog.digest}, "
        + ("kept under the tag " + cohort.tag if cohort.tag else "the current one")
        + ". lsdx tag NAME keeps it."
    )
    rows = {
        name: {
            "store": recipe["store"],
            "sessions": len(catalog.parts.get(name, {})),
            "MB": sum(e.bytes for e in catalog.parts.get(name, {}).values()) / 1e6,
            "parameters": ", ".join(f"{k}={v}" for k, v in recipe["parameters"].items()),
        }
        for name, recipe in sorted(catalog.recipes.items())
    }
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("recipe")
    parts.show(lambda: table(frame, "recipes", "Recipes of the stores"))
    from lsdx.results import ANALYSES

    known = {n: ds for n in ANALYSES if (ds := cohort.result(n)) is not None}
    if known:
        told = {
            n: {"what": ANALYSES[n].title, "arguments": _told(ds), "lsdx": ds.attrs["lsdx"]}
            for n, ds in known.items()
        }
        frame = pd.DataFrame.from_dict(told, orient="index").rename_axis("result")
        parts.show(lambda: table(frame, "analyses", "Results, computed from this catalog"))
    versions = {"Python": platform.python_version(), "lsdx": version("lsdx")}
    versions |= {name: version(name) for name in _PACKAGES}
    frame = pd.DataFrame({"version": versions}).rename_axis("package")
    parts.show(lambda: table(frame, "versions", "Versions that made this page", folded=True))
    return parts.section


def _told(ds: xr.Dataset) -> str:
    arguments = json.loads(ds.attrs["arguments"])
    return ", ".join(f"{k}={v!r}" for k, v in arguments.items()) or "defaults"


#: The sections of the page in their order; the name is what the progress bar shows.
SECTIONS: dict[str, Callable[[Cohort, Path], Section]] = {
    "glance": glance,
    "sessions": layout,
    "regions": regions,
    "quality": quality,
    "alignment": alignment,
    "comparability": comparability,
    "results": results,
    "provenance": provenance,
}
