"""The data dictionary: every store and variable, written from the declarations."""

from __future__ import annotations

from lsdx.schema import SCHEMAS, Schema

_HEAD = """# Stores

Built stores lie in this folder unless another is named. `lsdx info` lists them, `lsdx verify`
checks every byte, `lsdx gc` removes what no catalog names.

| path | what it is |
|---|---|
| `catalog.json` | names what is current; replaced in one step; nothing else makes a store current |
| `parts/<recipe>/<eid>-<digest>/` | one session's part, `<noun>.zarr`, and its manifest |
| `flat/<recipe>-<digest>/` | all sessions put together, which the openers read, likewise |
| `tags/<name>.json` | catalogs kept by `lsdx tag` |
| `report.json` | the report of the last build |
| `demo/` | the simulated cohort, where it has been used |
| `tmp/`, `*.lock` | work in progress; locks |

Text is `""` where unknown, float64 is NaN, times are NaT. Units are SI or CF names. Coordinates
are marked *c*; what depends on the whole cohort or on the lab's tables is marked *j* (joined when
sessions are put together). This page is generated: `lsdx dictionary > stores/README.md`.
"""


def data_dictionary() -> str:
    """Write the data dictionary of all stores as Markdown.

    Examples
    --------
    >>> data_dictionary().startswith("# Stores")
    True
    """
    return _HEAD + "".join(_section(schema) for schema in SCHEMAS.values())


def _section(schema: Schema) -> str:
    lines = [f"\n## {schema.name} (version {schema.version})\n", schema.doc, ""]
    lines += ["| variable | dims | type | units | | meaning |", "|---|---|---|---|---|---|"]
    for v in schema.variables:
        marks = " ".join(m for m, on in (("c", v.coord), ("j", v.cohort)) if on)
        doc = v.doc
        if v.values:
            doc += " One of: " + ", ".join(f"`{x}`" if x else "blank" for x in v.values) + "."
        dtype = {"ticks": "uint32 ticks of 10 us", "counts": "uint8/16/32, reads as float"}
        lines.append(
            f"| `{v.name}` | {', '.join(v.dims)} | {dtype.get(v.dtype, v.dtype)} "
            f"| {v.units} | {marks} | {doc} |"
        )
    return "\n".join(lines) + "\n"
