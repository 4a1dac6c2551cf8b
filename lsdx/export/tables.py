"""Flat tables of the stores: one row a session, insertion or unit, one column a field."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd
import xarray as xr

from lsdx.schema.spec import columns_along

# what each histology stage waits for
NEXT_STEP = {
    "unknown": "find out whether the image stacks are published",
    "no-insertion": "register the insertion",
    "no-stacks": "publish the image stacks",
    "no-tracing": "trace the picks",
    "traced": "align",
    "aligned": "resolve the alignment",
    "resolved": "",
}


def session_table(sessions: xr.Dataset, epochs: xr.Dataset, insertions: xr.Dataset) -> pd.DataFrame:
    """Return one row a session, from the stores of sessions, epochs and insertions.

    Parameters
    ----------
    sessions, epochs, insertions : Dataset

    Returns
    -------
    DataFrame
        Indexed by session id. Beside the session's own fields: ``pre_spontaneous_start``,
        ``_stop`` (s) and ``_provenance`` for each phase and epoch, ``administration`` (s);
        the state of each dataset, as ``probe00_spikes``, ``pre_passiveGabor_table`` or
        ``leftCamera_pose``; ``leftCamera_dropped_frames`` and its ``_value``;
        ``probe00_sorter``, ``_sorter_revision``, ``_sorter_version``, ``_n_units``.

    Examples
    --------
    >>> import lsdx
    >>> table = session_table(
    ...     lsdx.open_sessions(),
    ...     lsdx.open_epochs(),
    ...     lsdx.open_insertions(),
    ... )
    >>> table["probe00_spikes"].iloc[0]
    'extraction complete'
    """
    table = columns_along(sessions, "session")
    for dataset in sessions["dataset"].values:
        table[_field(dataset)] = sessions["status"].sel(dataset=dataset).values
    for camera in sessions["camera"].values:
        for check in sessions["check"].values:
            place = {"camera": camera, "check": check}
            name = f"{camera}Camera_{check}"
            table[name] = sessions["video_qc"].sel(place).values
            table[f"{name}_value"] = sessions["video_qc_value"].sel(place).values
    there = epochs.reindex(session=sessions["session"].values, fill_value={"provenance": ""})
    _add_epochs(table, there, ("start", "stop", "provenance"))
    table["administration"] = there["administration"].values
    rows = columns_along(insertions, "insertion")
    for probe, mine in rows.groupby("probe"):
        by_session = mine.set_index("session")
        for field in ("sorter", "sorter_revision", "sorter_version", "n_units"):
            table[f"{probe}_{field}"] = by_session[field].reindex(table.index)
    return table


def insertion_table(insertions: xr.Dataset) -> pd.DataFrame:
    """Return one row an insertion, with columns such as ``pre_spontaneous_observed``.

    Examples
    --------
    >>> import lsdx
    >>> insertion_table(lsdx.open_insertions()).index.name
    'insertion'
    """
    table = columns_along(insertions, "insertion")
    _add_epochs(table, insertions, ("observed",))
    return table


def unit_table(units: xr.Dataset) -> pd.DataFrame:
    """Return one row a unit: labels, quality, ``pre_spontaneous_n_spikes`` and ``_duration``.

    Examples
    --------
    >>> import lsdx
    >>> table = unit_table(lsdx.open_units())
    >>> bool((table["pre_rfm_duration"].dropna() > 0).all())
    True
    """
    table = columns_along(units, "unit")
    _add_epochs(table, units, ("n_spikes", "duration"))
    return table


def histology_table(insertions: xr.Dataset, sessions: xr.Dataset) -> pd.DataFrame:
    """Return one row a probe: its histology stage, and the next step.

    Probes of which there are raw recordings but no insertion record are listed too.

    Returns
    -------
    DataFrame
        ``subject``, ``session``, ``session_label``, ``probe``, ``insertion`` (blank: none),
        ``stage``, ``next_step`` (blank: done), in the order of the steps.

    Examples
    --------
    >>> import lsdx
    >>> todo = histology_table(lsdx.open_insertions(), lsdx.open_sessions())
    >>> sorted(set(todo[todo.stage == "traced"].next_step))
    ['align']
    """
    known = columns_along(insertions, "insertion").reset_index()
    names = ["subject", "session", "session_label", "probe", "insertion"]
    table = known[names].assign(stage=known["histology_stage"])
    recorded = set(zip(table["session"], table["probe"], strict=True))
    bare = [
        {
            "subject": subject,
            "session": eid,
            "session_label": label,
            "probe": probe,
            "insertion": "",
        }
        for name in sessions["dataset"].values
        for _, probe, what in [name.split("/")]
        if what == "raw_ap"
        for eid, subject, label, state in zip(
            sessions["session"].values,
            sessions["subject"].values,
            sessions["session_label"].values,
            sessions["status"].sel(dataset=name).values,
            strict=True,
        )
        if state == "extraction complete" and (eid, probe) not in recorded
    ]
    if bare:
        table = pd.concat([table, pd.DataFrame(bare).assign(stage="no-insertion")])
    rank = {stage: i for i, stage in enumerate(NEXT_STEP)}
    table = table.assign(next_step=table["stage"].map(NEXT_STEP), rank=table["stage"].map(rank))
    table = table.sort_values(["rank", "subject", "session", "probe"])
    return table.drop(columns="rank").reset_index(drop=True)


def _add_epochs(table: pd.DataFrame, ds: xr.Dataset, fields: Iterable[str]) -> None:
    """Add a column for each phase, epoch and field."""
    for phase in ds["phase"].values:
        for epoch in ds["epoch"].values:
            for field in fields:
                table[f"{phase}_{epoch}_{field}"] = ds[field].sel(phase=phase, epoch=epoch).values


def _field(dataset: str) -> str:
    """Return the column of a dataset's state.

    Examples
    --------
    >>> _field("task/pre/passiveGabor.table"), _field("video/left/pose")
    ('pre_passiveGabor_table', 'leftCamera_pose')
    """
    group, slot, name = dataset.split("/")
    slot = f"{slot}Camera" if group == "video" else slot
    return re.sub(r"\W", "_", f"{slot}_{name}")
