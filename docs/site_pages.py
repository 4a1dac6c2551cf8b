"""What the site takes from the code: the API by topic, the data dictionary, notes, formulas."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import shutil
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from docutils.statemachine import StringList

# What the reader looks for, and what there is for it. tests/test_docs.py sees that it is whole.
OPENERS = {
    "Opening stores": [
        "open_sessions",
        "open_insertions",
        "open_epochs",
        "open_events",
        "open_units",
        "open_counts",
        "open_spikes",
        "open_quality",
        "open_behavior",
        "open_pose",
    ],
    "Settings, and whether the clocks agree": [
        "Settings",
        "load_settings",
        "check_alignment",
        "check_cameras",
    ],
    "Building stores": ["Recipe"],
    "A page, and results that are kept": ["report", "analyse", "open_result"],
    "From others": ["from_pynapple"],
}
MODULES = {
    "Motion in a video": ["video.motion_energy", "video.motion_components"],
    "Open field": ["open_field.open_recordings", "open_field.measures", "open_field.read"],
}
METHODS = {
    "Selecting": ["select", "unit_table", "quantify"],
    "Counting spikes": ["bin", "sliding"],
    "Counts in other forms": ["smooth", "trials", "design_matrix"],
    "Dimensionality": ["dimensionality", "components", "subspaces", "subspace_curve"],
    "Similarity and complexity": ["similarity", "time_similarity", "population_complexity"],
    "Prediction": ["predict", "decode", "communication"],
    "States": ["states"],
    "Coupling": ["correlations", "population_coupling", "coherence"],
    "Rates and regularity": ["rates", "cv", "cv2", "lv", "lvr", "fano_factor", "allan_factor"],
    "Complexity and time scale": ["lempel_ziv", "autocorrelation_timescale"],
    "Many measures at once": ["unit_metrics"],
    "Quality of units": ["quality_metrics"],
    "For others": ["to_pynapple", "to_nwb"],
    "Change": ["modulation", "proportions", "changepoint"],
    "Responses to stimuli": ["psth"],
    "Pose": ["speed", "pupil_diameter", "blinks", "pupil_course", "bin_behavior"],
    "Conclusions over mice": [
        "compare_conditions",
        "paired_contrast",
        "dose_response",
        "order_effect",
        "equivalence",
        "power",
        "hierarchical_bootstrap",
        "cluster_test",
        "describe",
        "attrition",
        "confounds",
    ],
    "Behaviour": ["bouts", "quiescence", "triggered", "in_frame_widths"],
}


def functions(package: str) -> dict[str, object]:
    """Find the public functions of a package by name, wherever in it they stand."""
    found: dict[str, object] = {}
    root = importlib.import_module(package)
    names = [info.name for info in pkgutil.walk_packages(root.__path__, f"{package}.")]
    for module in (root, *map(importlib.import_module, names)):
        for name, value in vars(module).items():
            own = getattr(value, "__module__", None) == module.__name__
            if own and callable(value) and not name.startswith("_") and value.__doc__:
                found.setdefault(name, value)
    return found


def accessor_methods() -> list[str]:
    """List the public methods of ``ds.lsd``."""
    from lsdx.accessor import LsdAccessor

    return [n for n in vars(LsdAccessor) if not n.startswith("_")]


def plots() -> dict[str, str]:
    """Map each plot function to the module of `lsdx.figures` that one imports it from."""
    return {
        name: value.__module__
        for name, value in sorted(functions("lsdx.figures").items())
        if name.startswith("plot_")
    }


def write_api(folder: Path) -> None:
    """Write the pages of the API, by topic."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    topics = [("index", "API reference", _api_index())]
    lines = []
    for topic, names in (OPENERS | MODULES).items():
        lines += [topic, "-" * len(topic), "", ".. autosummary::", "   :toctree:", ""]
        lines += [*(f"   lsdx.{name}" for name in names), ""]
    topics.append(("functions", "Functions and settings", lines))
    lines = []
    for topic, names in METHODS.items():
        lines += [topic, "-" * len(topic), "", ".. list-table::", "   :widths: 35 65", ""]
        for name in names:
            lines += [f"   * - :doc:`ds.lsd.{name} <ds.lsd.{name}>`", f"     - {_summary(name)}"]
        lines.append("")
    lines += [".. toctree::", "   :hidden:", "", *(f"   ds.lsd.{n}" for n in accessor_methods())]
    topics.append(("methods", "Methods of ds.lsd", lines))
    by_module: dict[str, list[str]] = {}
    for name, module in plots().items():
        by_module.setdefault(module, []).append(name)
    lines = ["Each takes labelled data and Axes, draws on them, and returns them.", ""]
    for module, names in by_module.items():
        lines += [module, "-" * len(module), "", ".. autosummary::", "   :toctree:", ""]
        lines += [*(f"   {module}.{name}" for name in names), ""]
    topics.append(("figures", "Figures", lines))
    for name, title, text in topics:
        _write(folder / f"{name}.rst", [title, "=" * len(title), "", *text])
    for name in accessor_methods():
        title = f"ds.lsd.{name}"
        text = [f".. accessor-method:: {name}"]
        _write(folder / f"{title}.rst", [title, "=" * len(title), "", *text])


def _api_index() -> list[str]:
    return [
        "Functions of ``lsdx`` open stores. Every Dataset that they return has ``ds.lsd``,",
        "with the methods that select and measure. Figures take what these return.",
        "",
        ".. toctree::",
        "   :maxdepth: 2",
        "",
        "   functions",
        "   methods",
        "   figures",
    ]


def _summary(name: str) -> str:
    from lsdx.accessor import LsdAccessor

    return " ".join((inspect.getdoc(getattr(LsdAccessor, name)) or "").split("\n\n")[0].split())


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_dictionary(path: Path) -> None:
    """Write the data dictionary from the schema: what ``lsdx dictionary`` prints."""
    from lsdx.schema.dictionary import data_dictionary

    text = data_dictionary().replace("# Stores\n", "# Data dictionary\n", 1)
    path.write_text(text, encoding="utf-8")


def write_gallery(folder: Path, notebooks: Path) -> None:
    """Copy the notebooks, and write the page that lists them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    names = sorted(p.name for p in notebooks.glob("*.ipynb"))
    for name in names:
        shutil.copy(notebooks / name, folder / name)
    lines = ["# Notebooks", "", "Executed on the simulated demo cohort when this site was built."]
    lines += ["They lie in the folder `notebooks/` of the source: run them on your own stores."]
    lines += [
        "",
        "```{toctree}",
        ":maxdepth: 2",
        "",
        *(n.removesuffix(".ipynb") for n in names),
        "figures",
    ]
    _write(folder / "index.md", [*lines, "```"])


def write_figures(folder: Path) -> None:
    """Draw the example of each picture of `lsdx.figures`, and write the page that shows them."""
    import matplotlib.pyplot as plt

    lines = [
        "# Figures",
        "",
        "Every function of `lsdx.figures` that draws, with its own example on",
    ]
    lines += ["the simulated demo cohort. Each takes labelled data; most take `ax=...` too."]
    package = importlib.import_module("lsdx.figures")
    for name in package.__all__:
        module = importlib.import_module(f"lsdx.figures.{name}")
        drawing = [f for n, f in vars(module).items() if n.startswith("plot_")]
        drawing = [f for f in drawing if f.__module__ == module.__name__]
        lines += ["", f"## {name}"] if drawing else []
        for function in drawing:
            plt.close("all")
            names: dict[str, object] = vars(module) | {}
            examples = doctest.DocTestParser().get_examples(function.__doc__ or "")
            if any(e.exc_msg for e in examples):  # it shows what is missing: there is no picture
                continue
            for example in examples:
                exec(compile(example.source, function.__name__, "exec"), names)
            told = inspect.cleandoc(function.__doc__ or "").splitlines()[0]
            picture = f"{name}-{function.__name__}.png"
            plt.gcf().savefig(folder / picture, dpi=90, bbox_inches="tight")
            plt.close("all")
            lines += ["", f"### `lsdx.figures.{name}.{function.__name__}`", "", told, ""]
            lines += [f"![{told}]({picture})"]
    _write(folder / "figures.md", lines)


class Notes(Directive):
    """The Notes of a function's docstring, of `lsdx.analysis` or `lsdx.kernels`."""

    required_arguments = 1
    option_spec = {"of": directives.unchanged}  # noqa: RUF012  as docutils has it

    def run(self) -> list[nodes.Node]:
        from numpydoc.docscrape import FunctionDoc

        package = self.options.get("of", "lsdx.analysis")
        function = functions(package)[self.arguments[0]]
        return _parsed(self, list(FunctionDoc(function)["Notes"]))


class AccessorMethod(Directive):
    """One method of ``ds.lsd``: its signature and docstring, under the name that users write."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        from numpydoc.docscrape_sphinx import SphinxDocString

        import lsdx  # noqa: F401  registers the accessor
        from lsdx.accessor import LsdAccessor

        (name,) = self.arguments
        method = getattr(LsdAccessor, name)
        signature = inspect.signature(method)
        kept = list(signature.parameters.values())[1:]  # without self
        plain = [p.replace(annotation=inspect.Parameter.empty) for p in kept]
        shown = signature.replace(parameters=plain, return_annotation=inspect.Signature.empty)
        text = str(SphinxDocString(inspect.getdoc(method) or "", config={}))
        head = [f".. py:function:: ds.lsd.{name}{shown}", ""]
        body = [f"   {line}" if line else "" for line in text.splitlines()]
        return _parsed(self, head + body)


def _parsed(directive: Directive, lines: list[str]) -> list[nodes.Node]:
    lines = as_written("\n".join(lines)).split("\n")
    node = nodes.Element()
    source = directive.state_machine.document.current_source
    directive.state.nested_parse(StringList(lines, source), 0, node, match_titles=True)
    return node.children


TABLE = re.compile(r"^( *)=+(?:  +=+)+\n(?:.*\S.*\n)+?\1=+(?:  +=+)+(?=\n\n|\n?\Z)", re.MULTILINE)


def as_written(text: str) -> str:
    """Show a table as it is written, where text runs from one of its columns into the next."""

    def shown(match: re.Match[str]) -> str:
        border, *rows = match[0].split("\n")
        margins = [i for i in range(len(border)) if border.lstrip()[:1] and border[i] == " "]
        if all(row.strip("=- ") == "" or not any(row[i : i + 1].strip() for i in margins)
               for row in rows):  # fmt: skip
            return match[0]
        return f"{match[1]}::\n\n" + "\n".join(f"   {line}" for line in (border, *rows))

    return TABLE.sub(shown, text)


def _mathml(tex: str, block: bool) -> str:
    from docutils.utils.math.latex2mathml import tex2mathml

    return tex2mathml(tex, as_block=block)


def inline_math(self, node) -> None:
    """Write a formula in a line of text."""
    self.body.append(_mathml(node.astext(), block=False))
    raise nodes.SkipNode


def display_math(self, node) -> None:
    """Write a formula of its own."""
    self.body.append(f'<div class="math">{_mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode


FROM_NETWORK = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"'](?:https?:)?//[^\"']+"
    r"|<link\b[^>]*\bhref=[\"'](?:https?:)?//[^\"']+"
)


PICTURES = {"index": 1, "tour": 2, "cookbook": 10}


def check_pages(app, exception) -> None:
    """Fail a build whose pages lack pictures, or would load anything from the network."""
    if exception is not None or app.builder.format != "html":
        return
    for name, number in PICTURES.items():
        page = (Path(app.outdir) / f"{name}.html").read_text(encoding="utf-8")
        if page.count("_images/") < number:
            raise RuntimeError(f"{name}: expected {number} pictures")
    found = {
        f"{page.relative_to(app.outdir)}: {escape(hit)}"
        for page in Path(app.outdir).rglob("*.html")
        for hit in FROM_NETWORK.findall(page.read_text(encoding="utf-8"))
    }
    if found:
        raise RuntimeError("pages load from the network:\n" + "\n".join(sorted(found)))
