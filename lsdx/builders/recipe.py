"""What a recipe says, and where recipes are found."""

from __future__ import annotations

import difflib
import runpy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import xarray as xr

from lsdx.assemble.plan import LabTables, SessionPlan
from lsdx.assemble.stored import Stored
from lsdx.assemble.stores import STORED
from lsdx.errors import LsdxError, RecipeError, located
from lsdx.schema import SCHEMAS
from lsdx.store.catalog import digest_of

INPUTS = ("record", "ephys", "task", "behavior", "quality")
_MISTAKES = (NameError, TypeError, ValueError, AttributeError, OSError)


@dataclass(frozen=True)
class Recipe:
    """One store and the choices it is built with.

    Parameters
    ----------
    store : str
        The noun: which schema the result has.
    assemble : callable
        ``assemble(recording, **needed, **parameters)`` gives one session's Dataset, or None
        where the session has nothing of the kind.
    inputs : tuple of str
        Which of a session's inputs its result depends on: ``"record"`` (session and dataset
        records), ``"ephys"`` (sortings, insertions), ``"task"`` (task files, the lab's table
        of epochs, the injection), ``"behavior"`` (cameras and wheel), ``"quality"`` (amplitudes
        and depths of the spikes, bombcell's parameters).
    needs : tuple of str
        Stores of the same session that ``assemble`` takes by name (None: it has none).
    parameters : mapping
        Choices; JSON values.
    revision : int
        Raised whenever the same inputs give another result.
    name : str
        The recipe file's name, under which the store is published.

    Raises
    ------
    RecipeError
        For a store, an input or a need that does not exist.

    Examples
    --------
    >>> from lsdx.assemble.counts import assemble_counts
    >>> recipe = Recipe(
    ...     store="counts",
    ...     assemble=assemble_counts,
    ...     inputs=("record", "ephys", "task"),
    ...     needs=("units", "spikes", "epochs", "insertions"),
    ...     parameters={"bin_width": "10 ms"},
    ... )
    >>> recipe.describe()["parameters"]
    {'bin_width': '10 ms'}
    """

    store: str
    assemble: Callable[..., xr.Dataset | None]
    inputs: tuple[str, ...]
    needs: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 1
    name: str = ""

    def __post_init__(self) -> None:
        where = f"recipe {self.name or self.store}"
        for found, known in (
            ((self.store,), tuple(SCHEMAS)),
            (self.inputs, INPUTS),
            (self.needs, tuple(SCHEMAS)),
        ):
            odd = [f for f in found if f not in known]
            if odd:
                raise RecipeError(located(where, "one of " + ", ".join(known), repr(odd[0])))

    @property
    def stored(self) -> Stored:
        """What the builder must know of the store."""
        return STORED[self.store]

    def has(self, plan: SessionPlan, lab: LabTables) -> bool:
        """Return whether a session has anything of the kind, without reading a file."""
        available = self.stored.available
        return available is None or available(plan, lab, self.parameters)

    def describe(self) -> dict[str, Any]:
        """Return what decides the result, as JSON."""
        return {
            "store": self.store,
            "schema": SCHEMAS[self.store].version,
            "assemble": f"{self.assemble.__module__}.{self.assemble.__qualname__}",
            "parameters": dict(self.parameters),
            "revision": self.revision,
        }


def inputs_of(recipes: Iterable[Recipe]) -> frozenset[str]:
    """Return all inputs that some recipes depend on."""
    return frozenset(i for r in recipes for i in r.inputs)


def lineage(recipe: Recipe, recipes: Iterable[Recipe]) -> tuple[Recipe, ...]:
    """List a recipe and all that it needs, whose choices its result depends on too."""
    by_store = {r.store: r for r in recipes}
    found = {recipe.store: recipe}
    waiting = [recipe]
    while waiting:
        for need in waiting.pop().needs:
            if need not in found:
                found[need] = by_store[need]
                waiting.append(by_store[need])
    return tuple(found[store] for store in sorted(found))


def made_by(recipe: Recipe, recipes: Iterable[Recipe]) -> str:
    """Digest the choices that decide a recipe's result: its own and those of its needs."""
    return digest_of([r.describe() for r in lineage(recipe, recipes)])


def recipes_folder() -> Path:
    """Return the folder of recipes: the checkout's own, else the installed package's."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_recipes"
    return installed if installed.is_dir() else package.parent / "recipes"


def load_recipes(folder: Path | None = None) -> dict[str, Recipe]:
    """Load each ``*.py`` of a folder; its ``recipe`` is published under the file's name.

    Raises
    ------
    RecipeError
        If there are none, a file has no ``recipe``, or two make the same store.
    """
    folder = folder or recipes_folder()
    recipes: dict[str, Recipe] = {}
    for path in sorted(folder.glob("*.py")):
        try:
            recipe = runpy.run_path(str(path)).get("recipe")
        except (LsdxError, SyntaxError, ImportError, LookupError, *_MISTAKES) as error:
            raise RecipeError(
                located(str(path), "a recipe", f"{type(error).__name__}: {error}")
            ) from error
        if not isinstance(recipe, Recipe):
            raise RecipeError(
                located(str(path), "recipe = Recipe(...)", repr(recipe), "End the file in one.")
            )
        recipes[path.stem] = replace(recipe, name=path.stem)
    if not recipes:
        raise RecipeError(located(str(folder), "recipes (*.py)", "none", "Name their folder."))
    _check_distinct(recipes.values(), folder)
    return dict(sorted(recipes.items(), key=lambda r: (list(STORED).index(r[1].store), r[0])))


def choose(
    recipes: Mapping[str, Recipe], names: Iterable[str], published: Iterable[str]
) -> list[Recipe]:
    """List what to build for ``names`` (none: all): with what they need, and what needs them.

    Whatever has been published and needs a chosen store is built too, so that stores that
    belong together are always of one build.
    """
    names = list(names) or list(recipes)
    odd = [n for n in names if n not in recipes]
    if odd:
        close = difflib.get_close_matches(odd[0], list(recipes), n=1)
        do = f"Did you mean {close[0]}?" if close else "Correct the name."
        raise RecipeError(located("recipes", "one of " + ", ".join(recipes), repr(odd[0]), do))
    chosen = {*names, *(n for n, r in recipes.items() if r.stored.always)}
    published = set(published)
    while True:
        stores = {recipes[n].store for n in chosen}
        needed = {n for c in chosen for n in recipes if recipes[n].store in recipes[c].needs}
        dependent = {n for n in published & set(recipes) if stores & set(recipes[n].needs)}
        if needed | dependent <= chosen:
            return [r for n, r in recipes.items() if n in chosen]
        chosen |= needed | dependent


def _check_distinct(recipes: Iterable[Recipe], folder: Path) -> None:
    seen: dict[object, str] = {}
    for recipe in recipes:
        variants = recipe.stored.variants
        variant = variants(recipe.parameters) if variants else ()
        if not variant and recipe.name != recipe.store:
            raise RecipeError(
                located(
                    f"{folder}/{recipe.name}.py",
                    f"the name {recipe.store}.py (only counts may have several recipes)",
                    recipe.name,
                    "Rename it.",
                )
            )
        key = (recipe.store, *variant)
        if key in seen:
            raise RecipeError(
                located(
                    str(folder),
                    "one recipe a store, bin width and duplicates",
                    f"{seen[key]} and {recipe.name}",
                    "Remove one, or build it into another stores folder.",
                )
            )
        seen[key] = recipe.name
