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
        """Keep the units whose labels match all that is asked.

        Forwards to `lsdx.analysis.selection.select`, where all is said.

        Parameters
        ----------
        region : str or sequence of str, optional
            Allen acronyms, each with all below it; ``"~VISp"`` leaves out.
        quality : str or sequence of str, optional
            ``"ks2_good"``, ``"ibl_pass"``, ``"bombcell_good"``; all must hold.
        query : str, optional
            A pandas expression over the unit table.
        exclusions : bool
            Whether units that the lab excludes are left out.
        **labels
            Any label or quality number: a value, a list, ``"~value"``, a range ``(low, high)``.

        Returns
        -------
        Dataset
            Fewer units, same order, still lazy; ``attrs["selection"]`` says what was applied.

        Raises
        ------
        SelectionError
            For a label, a region or a value that does not exist.

        Examples
        --------
        >>> import lsdx
        >>> u = lsdx.open_units(demo_stores)
        >>> u.lsd.select(region="VIS", probe="probe00").sizes["unit"] < u.sizes["unit"]
        True
        """
        from lsdx.analysis.selection import select

        return select(
            self._ds, region=region, quality=quality, query=query, exclusions=exclusions, **labels
        )

    def unit_table(self) -> pd.DataFrame:
        """Give one row a unit, with every label and quality number.

        Forwards to `lsdx.analysis.selection.unit_table`.

        Returns
        -------
        DataFrame
            Indexed by unit id.

        Examples
        --------
        >>> import lsdx
        >>> "region" in lsdx.open_units(demo_stores).lsd.unit_table()
        True
        """
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
        """Count spikes in the bins of epochs, or of any intervals, lazily.

        Forwards to `lsdx.analysis.binning.bin_spikes`, where all is said.

        Parameters
        ----------
        bin_width : str or float
            Such as ``"10 ms"`` (a plain number is seconds); a whole number of 10 us.
        phase, epoch : str or sequence of str, optional
            Which epochs; all by default.
        intervals : optional
            Instead of epochs: (n, 2) starts and stops in s, or a Dataset of ``start``, ``stop``.
        duplicates : {"keep", "drop"}
            Whether spikes that bombcell calls duplicates are counted.

        Returns
        -------
        Dataset
            ``counts`` (unit, ..., time) float32, ``n_spikes``, ``duration`` (s); NaN where not
            observed.

        Raises
        ------
        SelectionError, ConfigError
            Without spikes (``lsdx.open_spikes(units=...)`` supplies them), or for a wrong width,
            epoch or interval.

        Examples
        --------
        >>> import lsdx
        >>> lsdx.open_spikes(demo_stores).lsd.bin("1 s", phase="pre").counts.dims
        ('unit', 'epoch', 'time')
        """
        from lsdx.analysis.binning import bin_spikes

        return bin_spikes(
            self._ds,
            bin_width,
            phase=phase,
            epoch=epoch,
            intervals=intervals,
            duplicates=duplicates,
        )
