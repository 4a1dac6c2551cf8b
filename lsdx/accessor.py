"""``ds.lsd``: each method is one function of `lsdx.analysis`, whose first argument is ``ds``.

A method is declared once, by the name of its function; signature and docstring are those of the
function, which is imported when the method is first looked at.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any

import xarray as xr

_FIRST = re.compile(r"(Parameters\n-{10}\n)\S[^\n]*\n(?:[ \t]+[^\n]*\n|\n(?=[ \t]))*")
_NONE_LEFT = re.compile(r"Parameters\n-{10}\n\n")


class _Method:
    """A function ``"module:name"`` of `lsdx.analysis`, or ``"export.module:name"``, as a method.

    ``needs`` names variables or dimensions, ``"dim:name"`` a dimension alone; where an object has
    none of them, ``dir`` does not list the method.
    """

    def __init__(self, function: str, *needs: str) -> None:
        self.function, self.needs = function, needs

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> Any:
        module, _, name = self.function.partition(":")
        home = "lsdx" if module.startswith("export.") else "lsdx.analysis"
        function = getattr(importlib.import_module(f"{home}.{module}"), name)
        setattr(owner, self.name, _as_method(function, self.name, owner))
        return getattr(owner if instance is None else instance, self.name)


def _as_method(function: Callable[..., Any], name: str, owner: type) -> Callable[..., Any]:
    @functools.wraps(function)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self._object, *args, **kwargs)

    parameters = list(inspect.signature(function).parameters.values())
    first = parameters[0].replace(name="self", annotation=inspect.Parameter.empty)
    signature = inspect.signature(function).replace(parameters=[first, *parameters[1:]])
    method.__signature__ = signature  # type: ignore[attr-defined]
    method.__name__, method.__qualname__ = name, f"{owner.__name__}.{name}"
    told = _FIRST.sub(r"\1", inspect.cleandoc(function.__doc__ or ""), count=1)
    method.__doc__ = _NONE_LEFT.sub("", told)
    return method


class _Accessor:
    """What both accessors are made of: an object, and methods that it can use."""

    _methods: dict[str, tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        found = {n: v.needs for n, v in vars(cls).items() if isinstance(v, _Method)}
        cls._methods = found

    def __init__(self, obj: Any) -> None:
        self._object = obj

    def _can(self) -> list[str]:
        """List the methods whose needs the object meets."""
        known = {*map(str, self._object.dims), *map(str, getattr(self._object, "variables", ()))}
        known |= {f"dim:{d}" for d in self._object.dims}
        return [n for n, needs in self._methods.items() if not needs or known & set(needs)]

    def __dir__(self) -> list[str]:
        not_offered = set(self._methods) - set(self._can())
        return [n for n in super().__dir__() if n not in not_offered]

    def __repr__(self) -> str:
        sizes = ", ".join(f"{d} ({n:,})" for d, n in self._object.sizes.items())
        kind = type(self._object).__name__
        return f"lsdx methods of this {kind} over {sizes or 'nothing'}: {', '.join(self._can())}"


@xr.register_dataset_accessor("lsd")
class LsdAccessor(_Accessor):
    """Selections and measures of a Dataset of lsdx."""

    select = _Method("selection:select", "unit", "session", "event", "insertion")
    quantify = _Method("selection:quantify")
    unit_table = _Method("selection:unit_table", "unit")
    bin = _Method("binning:bin_spikes", "spike_time")
    sliding = _Method("binning:sliding", "spike_time")
    dimensionality = _Method("dimensionality:dimensionality", "counts")
    components = _Method("subspaces:components", "counts")
    subspaces = _Method("subspaces:subspaces", "counts")
    predict = _Method("prediction:predict", "counts")
    communication = _Method("communication:communication", "counts")
    subspace_curve = _Method("subspace_curve:subspace_curve", "counts")
    similarity = _Method("similarity:similarity", "counts")
    time_similarity = _Method("similarity:time_similarity", "counts")
    population_complexity = _Method("population_complexity:population_complexity", "counts")
    correlations = _Method("coupling:correlations", "counts")
    population_coupling = _Method("coupling:population_coupling", "counts")
    coherence = _Method("coherence:coherence", "counts")
    states = _Method("states:states", "counts")
    decode = _Method("decoding:decode", "spike_time")
    smooth = _Method("matrices:smooth", "counts")
    trials = _Method("trials:trials", "counts", "spike_time")
    design_matrix = _Method("matrices:design_matrix", "counts")
    rates = _Method("counts:rates", "n_spikes")
    cv = _Method("intervals:cv", "spike_time")
    cv2 = _Method("intervals:cv2", "spike_time")
    lv = _Method("intervals:lv", "spike_time")
    lvr = _Method("intervals:lvr", "spike_time")
    fano_factor = _Method("counts:fano_factor", "counts")
    allan_factor = _Method("counts:allan_factor", "counts")
    lempel_ziv = _Method("complexity:lempel_ziv", "counts")
    unit_metrics = _Method("single_units:unit_metrics", "spike_time")
    quality_metrics = _Method("quality:quality_metrics", "spike_time")
    autocorrelation_timescale = _Method("courses:autocorrelation_timescale", "counts")
    changepoint = _Method("courses:changepoint", "spike_time")
    modulation = _Method("modulation:modulation", "spike_time")
    proportions = _Method("proportions:proportions", "p")
    psth = _Method("events:psth", "spike_time")
    to_pynapple = _Method("export.series:to_pynapple", "spike_time")
    to_nwb = _Method("export.nwb:to_nwb", "spike_time")
    speed = _Method("pose:speed", "keypoints")
    pupil_diameter = _Method("pose:pupil_diameter", "keypoints")
    blinks = _Method("pose:blinks", "keypoints")
    pupil_course = _Method("pose:pupil_course", "keypoints")
    bin_behavior = _Method("pose:bin_behavior", "keypoints")
    bouts = _Method("behavior:bouts", "behavior")
    quiescence = _Method("behavior:quiescence", "behavior")
    triggered = _Method("behavior:triggered", "behavior")
    in_frame_widths = _Method("behavior:in_frame_widths", "behavior")
    compare_conditions = _Method("cohort:compare_conditions", "dim:session", "dim:unit")
    paired_contrast = _Method("cohort:paired_contrast", "dim:session", "dim:unit")
    dose_response = _Method("cohort:dose_response", "dim:session", "dim:unit")
    order_effect = _Method("cohort:order_effect", "dim:session", "dim:unit")
    equivalence = _Method("cohort:equivalence", "dim:session", "dim:unit")
    power = _Method("power:power", "dim:session", "dim:unit")
    hierarchical_bootstrap = _Method("resampled:hierarchical_bootstrap", "dim:session", "dim:unit")
    cluster_test = _Method("resampled:cluster_test", "dim:session", "dim:unit")
    describe = _Method("describing:describe", "estimate")
    attrition = _Method("attrition:attrition", "dim:unit")
    confounds = _Method("attrition:confounds", "dim:unit")

    def _repr_html_(self) -> str:
        """Show the dataset with its labels: many variables collapse them otherwise."""
        with xr.set_options(display_expand_coords=True):
            return f"<p>{self!r}</p>{self._object._repr_html_()}"


@xr.register_dataarray_accessor("lsd")
class LsdArrayAccessor(_Accessor):
    """Selections of a DataArray of lsdx."""

    select = _Method("selection:select", "unit", "session", "event", "insertion")
    compare_conditions = _Method("cohort:compare_conditions", "dim:session", "dim:unit")
    paired_contrast = _Method("cohort:paired_contrast", "dim:session", "dim:unit")
    dose_response = _Method("cohort:dose_response", "dim:session", "dim:unit")
    order_effect = _Method("cohort:order_effect", "dim:session", "dim:unit")
    equivalence = _Method("cohort:equivalence", "dim:session", "dim:unit")
    power = _Method("power:power", "dim:session", "dim:unit")
    hierarchical_bootstrap = _Method("resampled:hierarchical_bootstrap", "dim:session", "dim:unit")
    cluster_test = _Method("resampled:cluster_test", "dim:session", "dim:unit")
