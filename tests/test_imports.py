"""Who may import whom, and what `import lsdx` costs.

The tables below are the rules; CONTRIBUTING.md says why. An import counts wherever it stands: at
the top of a module, in a function, or under TYPE_CHECKING.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "lsdx"

# Our own layers: a layer is a module or package directly under lsdx/. Each may import itself,
# `errors`, and the layers named here.
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "lazy": set(),
    "remote": set(),
    "arguments": set(),
    "clock": set(),
    "config": {"remote"},
    "schema": set(),
    "kernels": set(),
    "regions": set(),
    "demo": {"arguments"},
    "readers": {"clock", "config", "kernels", "schema"},
    "sources": {"readers", "config", "demo", "regions", "remote"},
    "assemble": {"clock", "config", "readers", "kernels", "regions", "schema"},
    "store": {"arguments", "clock", "config", "remote", "schema"},
    "builders": {
        "arguments",
        "assemble",
        "clock",
        "config",
        "readers",
        "regions",
        "remote",
        "schema",
        "sources",
        "store",
    },
    "analysis": {"arguments", "clock", "kernels", "lazy", "regions", "schema"},
    "accessor": {"analysis"},
    "check": {"analysis", "arguments", "store"},
    "reconcile": {"kernels", "schema", "store"},
    "spike_sorting": {"assemble", "config", "lazy", "readers", "remote", "sources"},
    "video": {"arguments"},
    "open_field": {"arguments", "clock", "kernels"},
    "figures": {"config", "lazy", "regions", "schema"},
    "export": {"clock", "lazy", "regions", "schema"},
    "results": {"analysis", "arguments", "check", "remote", "store"},
    "overview": {
        "analysis",
        "check",
        "config",
        "export",
        "figures",
        "regions",
        "remote",
        "results",
        "schema",
        "store",
    },
}
# The two ends of the package reach every layer.
EVERYTHING = {*LAYERS, "cli"}
LAYERS["cli"] = {*EVERYTHING, "__init__"}
LAYERS["__main__"] = {"cli"}
LAYERS["__init__"] = EVERYTHING

# Foreign packages: those with a home are imported there and nowhere else. One that is not named
# here fails: it is a new dependency, to be declared in pyproject.toml first.
ANYWHERE = set(LAYERS)
FOREIGN: dict[str, set[str]] = {
    "one": {"sources", "readers", "demo", "regions"},
    "zarr": {"builders", "remote", "store"},
    "obstore": {"remote"},
    "matplotlib": {"figures", "overview"},
    "iblatlas": {"regions"},
    "requests": {"sources"},
    "ruptures": {"analysis"},
    "hmmlearn": {"analysis"},
    "statsmodels": {"analysis"},
    "pingouin": {"analysis"},
    "rich": {"cli"},
    "shtab": {"cli"},
    "av": {"video"},
    "bokeh": {"overview"},
    "bombcell": {"spike_sorting"},
    "jinja2": {"overview"},
    "h5py": {"export", "open_field", "reconcile"},
    "movement": {"open_field"},
    "urllib3": {"sources"},
    "ndx_pose": {"export"},
    "polars": {"export"},
    "pynapple": {"export"},
    "pynwb": {"export", "readers"},
    "dask": ANYWHERE,
    "distributed": ANYWHERE,
    "google_crc32c": ANYWHERE,
    "numba": ANYWHERE,
    "numpy": ANYWHERE,
    "pandas": ANYWHERE,
    "pint": ANYWHERE,
    "pint_xarray": ANYWHERE,
    "portalocker": ANYWHERE,
    "pyarrow": ANYWHERE,
    "scipy": ANYWHERE,
    "sklearn": ANYWHERE,
    "threadpoolctl": ANYWHERE,
    "tqdm": ANYWHERE,
    "xarray": ANYWHERE,
}

# Layers that know few foreign packages: arrays only, files only.
ONLY_FOREIGN: dict[str, set[str]] = {
    "errors": set(),
    "kernels": {"numpy", "scipy", "numba"},
    "video": {"numpy", "xarray", "av"},
    "open_field": {"numpy", "pandas", "xarray", "movement", "h5py"},
    # pyarrow reads a pose table column by column: pandas would hold it twice, in float64
    "readers": {"numpy", "pandas", "one", "pyarrow", "pynwb"},
}

# What a layer imports inside functions (or for types alone), so that it costs nothing to load it.
DEFERRED: dict[str, set[str]] = {
    "__init__": EVERYTHING - {"accessor", "errors", "lazy"},
    "accessor": {"analysis"},
    # the help comes at once
    "cli": {
        *EVERYTHING - {"cli", "config", "errors", "remote"},
        "numpy",
        "pandas",
        "rich",
        "shtab",
        "tqdm",
    },
    "analysis": {"hmmlearn", "numba", "pingouin", "ruptures", "scipy", "sklearn", "statsmodels"},
    "export": {"h5py", "ndx_pose", "polars", "pynapple", "pynwb"},
    "readers": {"pynwb"},
    "remote": {"obstore", "zarr"},
    "reconcile": {"h5py"},
    "spike_sorting": {"bombcell"},
    "video": {"av"},
    "open_field": {"movement", "h5py"},
    "overview": {"bokeh", "jinja2", "matplotlib"},
}

# `import lsdx` loads none of these, beyond what `import xarray` loads by itself.
NOT_LOADED = (
    "av",
    "dask.array",
    "distributed",
    "hmmlearn",
    "iblatlas",
    "matplotlib",
    "movement",
    "numba",
    "obstore",
    "one",
    "pingouin",
    "requests",
    "scipy.stats",
    "sklearn",
    "statsmodels",
    "zarr",
)


class Import(NamedTuple):
    """One imported name: where it stands, whether it runs with the module, or is typing alone."""

    line: int
    name: str
    at_load: bool
    typing_only: bool


def _is_type_checking(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)
    return name == "TYPE_CHECKING"


def _dynamic(node: ast.Call) -> str | None:
    """Name the module of `importlib.import_module("name")` or `__import__("name")`."""
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
    if name not in {"import_module", "__import__"} or len(node.args) != 1:
        return None
    argument = node.args[0]
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    return None


def find_imports(source: str, package: str) -> Iterator[Import]:
    """Find every import of a module whose parent package is `package` (for relative imports)."""

    def walk(node: ast.AST, at_load: bool, typing_only: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name, at_load, typing_only)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                above = parts[: len(parts) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                yield Import(node.lineno, f"{base}.{alias.name}", at_load, typing_only)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            for child in node.body:
                yield from walk(child, False, True)
            for child in node.orelse:
                yield from walk(child, at_load, typing_only)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for child in ast.iter_child_nodes(node):
                yield from walk(child, False, typing_only)
        else:
            if isinstance(node, ast.Call) and (name := _dynamic(node)):
                yield Import(node.lineno, name, at_load, typing_only)
            for child in ast.iter_child_nodes(node):
                yield from walk(child, at_load, typing_only)

    yield from walk(ast.parse(source), True, False)


def breaches(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """List the rules that a module of lsdx breaks, one sentence each."""
    parts = module.split(".")
    layer = parts[1] if len(parts) > 1 else "__init__"
    if layer not in LAYERS:
        return [f"{module}: expected a layer of tests/test_imports.py, found {layer!r}"]
    package = module if is_package else ".".join(parts[:-1])
    found = []
    for imported in find_imports(source, package):
        where = f"{module}:{imported.line}: {layer}"
        top, _, rest = imported.name.partition(".")
        if top == "lsdx":
            target = rest.partition(".")[0]
            # `from lsdx import x`, with x a public name, reaches the lazy __init__.
            target = target if target in LAYERS else "__init__"
            if layer != "__init__" and target not in {layer, "errors", *LAYERS[layer]}:
                found.append(f"{where} may not import {imported.name}")
        elif top in sys.stdlib_module_names:
            continue
        else:
            target = top
            if top not in FOREIGN:
                found.append(f"{where} imports {top}, which the table of foreign packages lacks")
            elif layer not in FOREIGN[top]:
                homes = ", ".join(sorted(FOREIGN[top]))
                found.append(f"{where} imports {top}, whose home is {homes}")
            elif (
                layer in ONLY_FOREIGN
                and top not in ONLY_FOREIGN[layer]
                # The Dataset of an annotation is public vocabulary.
                and not (top == "xarray" and imported.typing_only)
            ):
                found.append(f"{where} may not know {top}")
        if imported.at_load and target in DEFERRED.get(layer, set()):
            found.append(f"{where} imports {imported.name} at load, not inside a function")
    return found


def _modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "_recipes" not in path.parts)


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_keeps_to_its_layer(path: Path) -> None:
    parts = ["lsdx", *path.relative_to(PACKAGE).with_suffix("").parts]
    is_package = parts[-1] == "__init__"
    module = ".".join(parts[:-1] if is_package else parts)
    found = breaches(path.read_text(encoding="utf-8"), module, is_package=is_package)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lsdx.utils", ""),
        ("lsdx.schema.units", "import lsdx.readers.ephys"),
        ("lsdx.schema.units", "from lsdx import config"),
        ("lsdx.schema.units", "from lsdx import open_units"),
        ("lsdx.schema.units", "from ..config import load"),
        ("lsdx.kernels.rates", "import xarray"),
        ("lsdx.readers.ephys", "import scipy"),
        ("lsdx.readers.ephys", "def read():\n    import zarr"),
        ("lsdx.analysis.rates", "from lsdx.builders import build"),
        ("lsdx.analysis.rates", "from scipy import stats"),
        ("lsdx.analysis.rates", "class A:\n    import sklearn"),
        (
            "lsdx.analysis.rates",
            "def f():\n    import importlib\n    importlib.import_module('zarr')",
        ),
        ("lsdx.accessor", "from lsdx import analysis"),
        ("lsdx.accessor", "if TYPE_CHECKING:\n    from matplotlib.axes import Axes"),
        ("lsdx", "from lsdx.store import open_units"),
        ("lsdx.export.nwb", "import pynwb"),
        ("lsdx.cohort", "import seaborn"),
        ("lsdx.cli", "import seaborn"),
        ("lsdx.cli.look", "from lsdx import builders"),
        ("lsdx.cli.look", "import rich"),
    ],
)
def test_a_breach_is_found(module: str, source: str) -> None:
    assert len(breaches(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lsdx.schema.units", "from lsdx.errors import SchemaError\nfrom .spec import Schema"),
        ("lsdx.kernels.rates", "if typing.TYPE_CHECKING:\n    from xarray import Dataset"),
        ("lsdx.analysis.rates", "def f():\n    from scipy import stats"),
        ("lsdx.analysis.rates", "if TYPE_CHECKING:\n    from scipy import stats"),
        ("lsdx.accessor", "def f(self):\n    from lsdx.analysis import rates"),
        ("lsdx", "if TYPE_CHECKING:\n    from lsdx.store import open_units"),
        ("lsdx.cli", "def f():\n    from lsdx import builders, store\nimport json"),
        ("lsdx.cli", "from lsdx.config import Settings\ndef f():\n    import rich"),
    ],
)
def test_a_lawful_import_passes(module: str, source: str) -> None:
    assert not breaches(source, module)


def test_every_foreign_package_is_declared() -> None:
    import tomllib

    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    project = project["project"]
    extras = project["optional-dependencies"]
    requirements = project["dependencies"] + [
        r for n, e in extras.items() if n != "notebooks" for r in e
    ]
    declared = {name.split(">=")[0].split("[")[0].strip() for name in requirements}
    names = {"one": "ONE-api", "sklearn": "scikit-learn"}
    named = {names.get(top, top.replace("_", "-")) for top in FOREIGN}
    assert named == declared


def test_importing_lsdx_is_cheap() -> None:
    def loaded_by(module: str) -> set[str]:
        code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
        run = subprocess.run(
            [sys.executable, "-c", code],
            cwd=PACKAGE.parent,
            check=True,
            capture_output=True,
            text=True,
        )
        return set(json.loads(run.stdout))

    extra = loaded_by("lsdx") - loaded_by("xarray")
    assert "lsdx" in extra
    assert sorted(extra.intersection(NOT_LOADED)) == []


def test_submodules_are_reached_and_completed_without_loading_them() -> None:
    code = """
import sys
import lsdx
assert {"figures", "export", "open_units", "__version__"} <= set(dir(lsdx))
assert "lsdx.figures" not in sys.modules
names = ["alignment", "behavior", "cohort", "coupling", "dimensionality", "histology"]
names += ["modulation", "overview", "prediction", "proportions", "quality", "raster", "reconcile"]
names += ["responses", "similarity", "states", "style"]
assert dir(lsdx.figures) == names
assert "lsdx.figures.raster" not in sys.modules
assert lsdx.figures.raster.plot_raster
for package in (lsdx, lsdx.analysis, lsdx.export, lsdx.figures):
    for name in dir(package):
        assert getattr(package, name)
    try:
        package.no_such_name
    except AttributeError as error:
        assert str(error) == f"module {package.__name__!r} has no attribute 'no_such_name'"
assert "matplotlib" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, check=True)
