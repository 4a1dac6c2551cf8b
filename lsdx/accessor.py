"""``ds.lsd``: each method forwards to one function of `lsdx.analysis` and does nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import xarray as xr

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@xr.register_dataset_accessor("lsd")
class LsdAccessor:
    """Selections and measures of a Dataset of lsdx."""

    def __init__(self, ds: xr.Dataset) -> None:
        self._ds = ds

    def select(
        self,
        *,
        region: str | Sequence[str] | None = None,
        quality: str | Sequence[str] | None = None,
        query: str | None = None,
        exclusions: bool = True,
        **labels: Any,
    ) -> xr.Dataset:
        """Keep the units whose labels match; see `lsdx.analysis.selection.select`."""
        from lsdx.analysis.selection import select

        return select(
            self._ds, region=region, quality=quality, query=query, exclusions=exclusions, **labels
        )

    def unit_table(self) -> pd.DataFrame:
        """Give one row a unit; see `lsdx.analysis.selection.unit_table`."""
        from lsdx.analysis.selection import unit_table

        return unit_table(self._ds)

    def bin(
        self,
        bin_width: str | float,
        *,
        phase: str | Sequence[str] | None = None,
        epoch: str | Sequence[str] | None = None,
        intervals: xr.Dataset | np.ndarray | Sequence[Sequence[float]] | None = None,
        duplicates: str = "keep",
    ) -> xr.Dataset:
        """Count spikes in bins; see `lsdx.analysis.binning.bin_spikes`."""
        from lsdx.analysis.binning import bin_spikes

        return bin_spikes(
            self._ds,
            bin_width,
            phase=phase,
            epoch=epoch,
            intervals=intervals,
            duplicates=duplicates,
        )
