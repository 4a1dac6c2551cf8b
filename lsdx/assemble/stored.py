"""What the builder must know of a store beside its recipe: each store says it of itself.

The module of a store ends in ``STORED``, one record of this kind; `lsdx.assemble.stores` lists
them. The builder calls what is here, and knows no store by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import xarray as xr

from lsdx.assemble.cohort import Cohort
from lsdx.assemble.labelled import dataset
from lsdx.assemble.plan import LabTables, SessionPlan
from lsdx.schema import SCHEMAS


@dataclass(frozen=True)
class Part:
    """One session's part of a store: what the catalog says of it, and how to read it."""

    attrs: Mapping[str, Any]
    sizes: Mapping[str, int]
    read: Callable[..., xr.Dataset]  # keywords are those of `lsdx.store.access.read_store`


@dataclass(frozen=True)
class Joining:
    """What parts of many sessions are joined with.

    ``sessions`` are the ids in the order of the parts, ``labels`` the cohort's labels of them,
    ``n_units`` the units of each session.
    """

    sessions: tuple[str, ...]
    cohort: Cohort
    labels: Mapping[str, list[object]]
    n_units: Mapping[str, int]

    def exclusions(self, ds: xr.Dataset, keys: Sequence[str]) -> list[str]:
        """Return the first reason found for each row: its own, its insertion's, its session's."""
        reasons = self.cohort.exclusions
        ids = zip(*(ds[k].values for k in keys), strict=True)
        return [next((reasons[i] for i in row if i in reasons), "") for row in ids]


def has_spikes(plan: SessionPlan, _lab: LabTables, _parameters: Mapping[str, Any]) -> bool:
    """Return whether a session has sorted spikes to read."""
    return bool(plan.probes)


def join_tables(
    parts: Sequence[Part],
    joining: Joining,
    *,
    store: str,
    alike: Callable[[Sequence[xr.Dataset]], Sequence[xr.Dataset]] = list,
    columns: Callable[[xr.Dataset, Joining], Mapping[str, Any]] | None = None,
) -> xr.Dataset:
    """Put the tables of sessions one below another, with the cohort's columns.

    Parameters
    ----------
    parts : sequence of Part
    joining : Joining
    store : str
    alike : callable
        Makes tables of different labels alike first.
    columns : callable, optional
        Returns the columns that depend on the cohort.

    Returns
    -------
    Dataset
    """
    schema = SCHEMAS[store]
    tables = alike([part.read() for part in parts])
    ds = xr.concat(tables, schema.concat, join="outer", fill_value="")
    own: dict[str, Any] = {str(n): v.values for n, v in ds.variables.items()}
    more = columns(ds, joining) if columns else {}
    return dataset(schema, own | dict(more), cohort=True)


@dataclass(frozen=True)
class Stored:
    """One store, as its builder sees it.

    Parameters
    ----------
    store : str
    join : callable, optional
        Makes one Dataset of the parts of all sessions; None for a store that has parts alone.
    of_cohort : callable, optional
        What ``join`` takes from the cohort, as JSON: it belongs to the name of the result.
    available : callable, optional
        Tells, of a session's plan, the lab's tables and a recipe's parameters, without reading a
        file, whether a session has anything of the kind; all have if there is none.
    lacking : str
        What the report says of a session that has nothing.
    always : bool
        Whether it is built with every other store.
    beside : str
        A store whose every session must have this one too, if it is joined.
    kept : tuple of str
        Attributes of the parts that the joined store repeats.
    check : callable, optional
        Says what is wrong with the values of a store; blank if nothing.
    notes : callable, optional
        Says what a joined store tells the build report.
    variants : callable, optional
        Returns, of a recipe's parameters, those by which several recipes of this store differ.
    """

    store: str
    join: Callable[[Sequence[Part], Joining], xr.Dataset] | None
    of_cohort: Callable[[Joining], Mapping[str, Any]] | None = None
    available: Callable[[SessionPlan, LabTables, Mapping[str, Any]], bool] | None = None
    lacking: str = "no spikes on disk"
    always: bool = False
    beside: str = ""
    kept: tuple[str, ...] = ()
    check: Callable[[xr.Dataset], str] | None = None
    notes: Callable[[xr.Dataset], list[str]] | None = None
    variants: Callable[[Mapping[str, Any]], tuple[Any, ...]] | None = None


def as_text(joining: Joining, labels: Iterable[str]) -> dict[str, Any]:
    """Return the cohort's labels as lists of text, for the name of a store."""
    return {name: [str(v) for v in joining.labels[name]] for name in labels}


def table(store: str, **how: Any) -> Callable[[Sequence[Part], Joining], xr.Dataset]:
    """Return `join_tables` for a store."""
    return partial(join_tables, store=store, **how)
