"""Sections of what was found: clocks, what filters leave, results, and where all comes from."""

from __future__ import annotations

import json
import platform
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import xarray as xr

from lsdx.analysis import overview as counted
from lsdx.overview.cohort import Cohort
from lsdx.overview.page import Section, Table, picture, table
from lsdx.overview.parts import Part, Parts, drawn_for_print, missing

_MOVING = ("wheel/speed", "left/motion_energy", "right/motion_energy", "left/paw_near_speed")
_PACKAGES = ("xarray", "zarr", "dask", "numpy", "pandas", "scipy", "scikit-learn", "iblatlas")


def alignment(cohort: Cohort, folder: Path) -> Section:
    """Show whether clocks, stimuli, cameras and spikes agree."""
    from lsdx.check import check_cameras
    from lsdx.figures.alignment import plot_alignment
    from lsdx.figures.behavior import plot_cameras

    parts = Parts("alignment", "Clocks, stimuli and cameras", folder)
    checked = cohort.result("alignment")
    if checked is None:
        parts.say("Whether stimuli are where the spikes are: lsdx analyse alignment computes it.")
    else:
        verdicts = checked["verdict"].to_series().groupby("check", sort=False).value_counts()
        frame = verdicts.unstack(fill_value=0).rename_axis(index="check", columns=None)
        frame = frame.reindex(columns=["pass", "untestable", "fail"], fill_value=0)
        parts.table(frame, "checks", "Checks of each session and phase")
        failed = checked["verdict"].where(checked["verdict"] == "fail").to_series().dropna()
        if len(failed):
            names = dict(
                zip(checked["session"].values, checked["session_label"].values, strict=True)
            )
            notes = checked["note"].to_series().loc[failed.index].reset_index()
            notes = notes.assign(session=notes["session"].map(names)).set_index("session")
            parts.table(notes[["phase", "check", "note"]], "failed", "Failed checks")
        parts.draw(
            "alignment_checks",
            partial(plot_alignment, checked),
            "What was tested of each session and phase.",
            f"Verdicts of {checked.sizes['check']} checks of {checked.sizes['session']} sessions.",
        )
    if cohort.epochs is not None:
        residuals = cohort.epochs["rig_residual"].to_series().dropna()
        if len(residuals):
            told = residuals.groupby("epoch", sort=False).agg(["size", "median", "min", "max"])
            told.columns = ["sessions", "median (s)", "least (s)", "largest (s)"]
            caption = "Starts that the rig's clock predicts, minus the true ones"
            parts.table(told, "rig_residuals", caption)
        else:
            parts.say("No session has two runs whose times are known: the rig's clock is untested.")
    behavior = cohort.behavior
    if behavior is None:
        parts.say(missing(cohort, "Cameras", "behavior"))
        return parts.section
    cameras = check_cameras(cohort.stores, tag=cohort.tag)
    counts = (
        cameras["verdict"].to_series().replace("", "no camera").groupby("camera").value_counts()
    )
    frame = counts.unstack(fill_value=0).rename_axis(index="camera", columns=None)
    parts.table(frame, "cameras", "Whether cameras and wheel agree in time")
    parts.draw(
        "frame_rates",
        partial(plot_cameras, behavior),
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

    parts = Parts("comparability", "What filters leave, and how else conditions differ", folder)
    units = cohort.units
    if units is None or not units.sizes["unit"]:
        parts.say(missing(cohort, "Units", "units"))
        return parts.section
    known = counted.labelled_filters(units)
    for name in known:
        left = attrition(units, steps=[{"quality": name}], sessions=cohort.sessions)
        parts.add(_lost(left, name))
        if name == known[0]:
            parts.draw(
                "attrition",
                partial(plot_attrition, left),
                f"Units, sessions and mice that are left by {name}.",
                f"Bars of what each step leaves, by condition, for the filter {name}.",
            )

    def differences() -> list[Part]:
        known = () if cohort.behavior is None else cohort.behavior["feature"].values
        moving = [f for f in _MOVING if f in known]
        found = confounds(
            units,
            insertions=cohort.insertions,
            behavior=cohort.behavior if moving else None,
            feature=moving[0] if moving else _MOVING[0],
        )
        frame = found.drop_dims("category", errors="ignore").to_dataframe()
        keep = [c for c in frame if frame[c].dtype.kind in "fi"]
        figure = picture(
            drawn_for_print(partial(plot_confounds, found)),
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

    parts = Parts("results", "Results", folder)
    found = {n: cohort.result(n) for n in ANALYSES if n != "alignment"}
    absent = [n for n, ds in found.items() if ds is None]
    if absent:
        parts.say(
            f"Not computed: {', '.join(absent)}. lsdx analyse {' '.join(absent)} computes them, or "
            "says why it cannot."
        )
    dimensionality, modulation = found["dimensionality"], found["modulation"]
    if dimensionality is not None:
        n = int(dimensionality["ngsc"].notnull().any(["phase", "epoch"]).sum())
        epoch = str(dimensionality["epoch"].values[0])
        one = dimensionality["ngsc"].sel(epoch=epoch).assign_attrs(dimensionality.attrs)
        parts.draw(
            "ngsc",
            partial(plot_pre_post, one.assign_attrs(long_name=f"NGSC, {epoch}")),
            "Normalised global spectral complexity of each session's population, before and after "
            "the injection. Units are matched in number.",
            f"Scatter of NGSC after against before the injection, of {n} sessions, in {epoch}.",
            height=9,
        )
        names = ["ngsc", "n_components", "pc1", "power_law_slope"]
        caption = "Medians over sessions: dimensionality"
        known = [v for v in names if v in dimensionality]
        parts.add(_by_condition(dimensionality, known, "dimensionality_table", caption))
    if modulation is not None:
        share = modulation["share_modulated"].to_series().reset_index()
        share = share[[c for c in share if share[c].nunique() > 1 or c == "share_modulated"]]
        caption = (
            "Share of units whose rate changed from before to after; saline's is of drift, too"
        )
        parts.table(share.set_index(share.columns[0]), "modulated", caption)
    if found["behavior"] is not None:
        features = found["behavior"]["behavior"].to_dataset("feature")
        caption = "Medians over sessions: behaviour"
        names = list(map(str, features.data_vars))
        parts.add(_by_condition(features, names, "behavior_table", caption))
    for name, caption in (
        ("changes", "Changes from before to after within a condition, over mice"),
        ("comparisons", "The difference of the conditions' changes, over mice"),
    ):
        ds = found[name]
        if ds is not None:
            columns = ["estimate", "low", "high", "p", "p_least"]
            keys = [c for c in ("measure", "condition", "epoch") if c in ds["estimate"].dims]
            frame = ds[columns].to_dataframe().reset_index()[[*keys, *columns]]
            parts.table(frame.set_index(keys[0]), name, caption)
            for note in dict.fromkeys(filter(None, map(str, ds["note"].values))):
                parts.say(note)
    return parts.section


def _by_condition(ds: xr.Dataset, chosen: list[str], name: str, caption: str) -> Table:
    """Return medians over the sessions of each condition, phase and epoch."""
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
    parts = Parts("provenance", "Provenance", folder)
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
    parts.table(frame, "recipes", "Recipes of the stores")
    from lsdx.results import ANALYSES

    known = {n: ds for n in ANALYSES if (ds := cohort.result(n)) is not None}
    if known:
        told = {
            n: {"what": ANALYSES[n].title, "arguments": _told(ds), "lsdx": ds.attrs["lsdx"]}
            for n, ds in known.items()
        }
        frame = pd.DataFrame.from_dict(told, orient="index").rename_axis("result")
        parts.table(frame, "analyses", "Results, computed from this catalog")
    versions = {"Python": platform.python_version(), "lsdx": version("lsdx")}
    versions |= {name: version(name) for name in _PACKAGES}
    frame = pd.DataFrame({"version": versions}).rename_axis("package")
    parts.table(frame, "versions", "Versions that made this page", folded=True)
    return parts.section


def _told(ds: xr.Dataset) -> str:
    arguments = json.loads(ds.attrs["arguments"])
    return ", ".join(f"{k}={v!r}" for k, v in arguments.items()) or "defaults"
