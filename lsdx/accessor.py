"""``ds.lsd``: each method forwards to one function of `lsdx.analysis` and does nothing else.

A DataArray has ``select`` alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
        dim: str | None = None,
        region: str | Sequence[str] | None = None,
        quality: str | Sequence[str] | None = None,
        query: str | None = None,
        exclusions: bool = True,
        **labels: Any,
    ) -> xr.Dataset:
        """Keep the units, sessions, events or insertions whose labels match all that is asked.

        Forwards to `lsdx.analysis.selection.select`, where all is said.

        Parameters
        ----------
        dim : str, optional
            Along which dimension; by default the one of these that there is.
        region : str or sequence of str, optional
            Allen acronyms, each with all below it; ``"~VISp"`` leaves out.
        quality : str or sequence of str, optional
            ``"ks2_good"``, ``"ibl_pass"``, ``"bombcell_good"``; all must hold.
        query : str, optional
            A pandas expression over the table of labels.
        exclusions : bool
            Whether what the lab excludes is left out.
        **labels
            Any label or number: a value, a list, ``"~value"``, a range ``(low, high)``.

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
            self._ds,
            dim=dim,
            region=region,
            quality=quality,
            query=query,
            exclusions=exclusions,
            **labels,
        )

    def quantify(self) -> xr.Dataset:
        """Give the dataset with units of measure attached, from each variable's ``units``.

        ``.pint`` of the result converts (``.pint.to("ms")``) and takes them off again
        (``.pint.dequantify()``).

        Returns
        -------
        Dataset
            Of pint quantities; lazy where it was.

        Examples
        --------
        >>> import lsdx
        >>> e = lsdx.open_epochs(demo_stores).lsd.quantify()
        >>> str(e.start.pint.units)
        'second'
        """
        from lsdx.analysis.selection import quantify

        return quantify(self._ds)

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

    def sliding(
        self,
        *,
        width: str | float,
        step: str | float,
        relative_to: str = "administration",
        start: str | float = "-18 min",
        stop: str | float = "30 min",
        bin_width: str | float = "1 s",
        duplicates: str = "keep",
    ) -> xr.Dataset:
        """Count spikes in windows that slide along the recording, lazily.

        Forwards to `lsdx.analysis.binning.sliding`, where all is said.

        Parameters
        ----------
        width, step : str or float
            Length of a window and distance between their starts, such as ``"5 min"``.
        relative_to : str
            ``"administration"``, ``"recording"``, or an epoch such as ``"post/spontaneous"``.
        start, stop : str or float
            From where to where windows lie, relative to that.
        bin_width : str or float
            Of the counts.
        duplicates : {"keep", "drop"}
            Whether spikes that bombcell calls duplicates are counted.

        Returns
        -------
        Dataset
            ``counts`` (unit, window, time), ``share`` (unit, window, stimulus); NaN where the
            injection falls into a window, or it passes an end of the recording: ``note``.

        Raises
        ------
        SelectionError, ConfigError
            Without spikes (``lsdx.open_spikes(units=...)`` supplies them), or for lengths that
            are no whole number of bins.

        Examples
        --------
        >>> import lsdx
        >>> w = lsdx.open_spikes(demo_stores).lsd.sliding(width="5 min", step="2.5 min")
        >>> w.sizes["window"]
        18
        """
        from lsdx.analysis.binning import sliding

        return sliding(
            self._ds,
            width=width,
            step=step,
            relative_to=relative_to,
            start=start,
            stop=stop,
            bin_width=bin_width,
            duplicates=duplicates,
        )

    def dimensionality(
        self,
        *,
        by: str | Sequence[str] = "session",
        scale: Any = "zscore",
        match_units: str | int | None = None,
        match_rates: bool | str = True,
        detrend: str | float | None = "half",
        regress: str | xr.DataArray | None = None,
        min_units: int = 20,
        min_spikes: float = 30,
        draws: int = 10,
        include: Collection[str] = (),
        level: float = 0.8,
        ranks: tuple[int, int] = (11, 500),
        rng: np.random.Generator | int | None = None,
    ) -> xr.Dataset:
        """Measure how many dimensions the activity of each population has, lazily.

        Forwards to `lsdx.analysis.dimensionality.dimensionality`, which says more. By default
        what is compared within a group has the same units, thinned to their lowest rate there:
        compare changes. For levels of groups: ``match_units="min", match_rates="all"``.

        Parameters
        ----------
        by : str or sequence of str
            Labels on ``unit`` that make the groups: ``"session"``, ``["session", "region"]``.
        scale : {"zscore", "center"}, callable or transformer
            What is done to each matrix (n_bins, n_units) first.
        match_units : {"min"}, int or None
            Units of each draw: as many as the smallest group has, a number, or all.
        match_rates : bool or {"all"}
            Whether each draw thins units to their lowest rate; ``"all"``: to one distribution
            of rates in all groups.
        detrend : {"half"}, str, float or None
            Longest period of fluctuations that count; drift beyond it is taken out.
        regress : {"global"}, DataArray or None
            What is taken out of each unit first: what all share, or a covariate.
        min_units : int
            Groups of fewer used units are NaN.
        min_spikes : float
            A unit with fewer spikes in any that is compared is left out of all.
        draws : int
        include : collection of str
            On request: ``"spectrum"``, ``"draws"``; ``"parallel_analysis"``,
            ``"shared_variance"`` of every draw.
        level : float
            Share of the variance of ``n_components``.
        ranks : (int, int)
            Of the fit of ``power_law_slope``.
        rng : Generator or int, optional

        Returns
        -------
        Dataset
            Over the groups, then phase, epoch or window: one variable a measure, its
            ``*_draw_sd``, ``*_unmatched``, ``*_undetrended`` and ``*_surrogate``; ``note`` says
            why a value is NaN, and what to mind.

        Raises
        ------
        SelectionError
            For labels that do not exist, groups across sessions, or an argument out of range.

        Examples
        --------
        >>> import lsdx
        >>> u = lsdx.open_units(demo_stores).lsd.select(condition="saline")
        >>> d = u.lsd.dimensionality(match_units=None, match_rates=False, min_units=10)
        >>> d.participation_ratio.dims
        ('session', 'phase', 'epoch')
        """
        from lsdx.analysis.dimensionality import dimensionality

        return dimensionality(
            self._ds,
            by=by,
            scale=scale,
            match_units=match_units,
            match_rates=match_rates,
            detrend=detrend,
            regress=regress,
            min_units=min_units,
            min_spikes=min_spikes,
            draws=draws,
            include=include,
            level=level,
            ranks=ranks,
            rng=rng,
        )

    def components(
        self,
        *,
        by: str | Sequence[str] = "session",
        n_components: int = 10,
        scale: str = "zscore",
        min_spikes: float = 30,
    ) -> xr.Dataset:
        """Give the principal components of each population, lazily: loadings and scores.

        Forwards to `lsdx.analysis.subspaces.components`, where all is said.

        Parameters
        ----------
        by : str or sequence of str
            Labels on ``unit`` that make the groups.
        n_components : int
        scale : {"zscore", "center"}
        min_spikes : float
            A unit with fewer spikes in any that is compared is left out of all.

        Returns
        -------
        Dataset
            ``loadings`` (unit, ..., component), ``scores`` (groups..., ..., time, component),
            ``explained_variance`` (groups..., ..., component).

        Raises
        ------
        SelectionError
            For labels that do not exist, groups across sessions, or an argument out of range.

        Examples
        --------
        >>> import lsdx
        >>> u = lsdx.open_units(demo_stores)
        >>> u.lsd.components(n_components=2).explained_variance.dims
        ('session', 'phase', 'epoch', 'component')
        """
        from lsdx.analysis.subspaces import components

        return components(
            self._ds, by=by, n_components=n_components, scale=scale, min_spikes=min_spikes
        )

    def subspaces(
        self,
        *,
        between: str = "phase",
        by: str | Sequence[str] = "session",
        n_components: int = 5,
        scale: str = "zscore",
        match_rates: bool = True,
        min_units: int = 20,
        min_spikes: float = 30,
        draws: int = 5,
        rng: np.random.Generator | int | None = None,
    ) -> xr.Dataset:
        """Compare the subspaces of the first components, with what time alone would do, lazily.

        Forwards to `lsdx.analysis.subspaces.subspaces`, where all is said.

        Parameters
        ----------
        between : str
            A dimension of two labels whose subspaces are compared; or ``"window"``, of
            ``sliding``, for windows before and after 0 by their distance in time.
        by : str or sequence of str
            Labels on ``unit`` that make the groups.
        n_components : int
            Dimensions of the subspaces.
        scale : {"zscore", "center"}
        match_rates : bool
            Whether each draw thins each unit to its lowest rate among what is compared.
        min_units : int
            Groups of fewer used units are NaN.
        min_spikes : float
            A unit with fewer spikes in any that is compared is left out of all.
        draws : int
            Draws of spikes.
        rng : Generator or int, optional
            Of the draws.

        Returns
        -------
        Dataset
            ``similarity_within`` and ``similarity_between`` of times of one and of both sides,
            ``similarity_chance``; of two labels ``similarity``, ``principal_angle`` and
            ``pc1_angle`` (degree) too.

        Raises
        ------
        SelectionError
            If ``between`` is no dimension of two labels, or for what `dimensionality` refuses.

        Examples
        --------
        >>> import lsdx
        >>> u = lsdx.open_units(demo_stores)
        >>> u.lsd.subspaces(n_components=2, min_units=10, rng=0).principal_angle.dims
        ('session', 'epoch', 'component')
        """
        from lsdx.analysis.subspaces import subspaces

        return subspaces(
            self._ds,
            between=between,
            by=by,
            n_components=n_components,
            scale=scale,
            match_rates=match_rates,
            min_units=min_units,
            min_spikes=min_spikes,
            draws=draws,
            rng=rng,
        )

    def rates(self) -> xr.DataArray:
        """Give the firing rate of each unit in each epoch, in Hz.

        Forwards to `lsdx.analysis.variability.rates`.

        Returns
        -------
        DataArray
            ``mean_rate``; NaN where not observed.

        Raises
        ------
        SelectionError
            Without ``n_spikes`` and ``duration``.

        Examples
        --------
        >>> import lsdx
        >>> lsdx.open_units(demo_stores).lsd.rates().attrs["units"]
        'Hz'
        """
        from lsdx.analysis.counts import rates

        return rates(self._ds)

    def cv(
        self,
        *,
        phase: str | Sequence[str] | None = None,
        epoch: str | Sequence[str] | None = None,
        duplicates: str = "keep",
    ) -> xr.DataArray:
        """Give the coefficient of variation of each unit's inter-spike intervals, lazily.

        Forwards to `lsdx.analysis.variability.cv`.

        Parameters
        ----------
        phase, epoch : str or sequence of str, optional
            Which epochs; all by default.
        duplicates : {"keep", "drop"}
            Whether spikes that bombcell calls duplicates are counted.

        Returns
        -------
        DataArray
            Over (unit, phase, epoch); NaN for fewer than three spikes.

        Raises
        ------
        SelectionError
            Without spikes (``lsdx.open_spikes(units=...)`` supplies them).

        Examples
        --------
        >>> import lsdx
        >>> lsdx.open_spikes(demo_stores).lsd.cv(phase="pre").dims
        ('unit', 'epoch')
        """
        from lsdx.analysis.intervals import cv

        return cv(self._ds, phase=phase, epoch=epoch, duplicates=duplicates)

    def cv2(
        self,
        *,
        phase: str | Sequence[str] | None = None,
        epoch: str | Sequence[str] | None = None,
        duplicates: str = "keep",
    ) -> xr.DataArray:
        """Give CV2 of each unit's inter-spike intervals, lazily.

        Forwards to `lsdx.analysis.variability.cv2`.

        Parameters
        ----------
        phase, epoch : str or sequence of str, optional
            Which epochs; all by default.
        duplicates : {"keep", "drop"}
            Whether spikes that bombcell calls duplicates are counted.

        Returns
        -------
        DataArray
            Over (unit, phase, epoch); NaN for fewer than three spikes.

        Raises
        ------
        SelectionError
            Without spikes (``lsdx.open_spikes(units=...)`` supplies them).

        Examples
        --------
        >>> import lsdx
        >>> lsdx.open_spikes(demo_stores).lsd.cv2(phase="pre").dims
        ('unit', 'epoch')
        """
        from lsdx.analysis.intervals import cv2

        return cv2(self._ds, phase=phase, epoch=epoch, duplicates=duplicates)

    def lv(
        self,
        *,
        phase: str | Sequence[str] | None = None,
        epoch: str | Sequence[str] | None = None,
        duplicates: str = "keep",
    ) -> xr.DataArray:
        """Give the local variation of each unit's inter-spike intervals, lazily.

        Forwards to `lsdx.analysis.variability.lv`.

        Parameters
        ----------
        phase, epoch : str or sequence of str, optional
            Which epochs; all by default.
        duplicates : {"keep", "drop"}
            Whether spikes that bombcell calls duplicates are counted.

        Returns
        -------
        DataArray
            Over (unit, phase, epoch); NaN for fewer than three spikes.

        Raises
        ------
        SelectionError
            Without spikes (``lsdx.open_spikes(units=...)`` supplies them).

        Examples
        --------
        >>> import lsdx
        >>> lsdx.open_spikes(demo_stores).lsd.lv(phase="pre").dims
        ('unit', 'epoch')
        """
        from lsdx.analysis.intervals import lv

        return lv(self._ds, phase=phase, epoch=epoch, duplicates=duplicates)

    def lvr(
        self,
        *,
        phase: str | Sequence[str] | None = None,
        epoch: str | Sequence[str] | None = None,
        duplicates: str = "keep",
    ) -> xr.DataArray:
        """Give LvR of each unit, local variation revised for refractoriness, lazily.

        Forwards to `lsdx.analysis.variability.lvr`.

        Parameters
        ----------
        phase, epoch : str or sequence of str, optional
            Which epochs; all by default.
        duplicates : {"keep", "drop"}
            Whether spikes that bombcell calls duplicates are counted.

        Returns
        -------
        DataArray
            Over (unit, phase, epoch); NaN for fewer than three spikes.

        Raises
        ------
        SelectionError
            Without spikes (``lsdx.open_spikes(units=...)`` supplies them).

        Examples
        --------
        >>> import lsdx
        >>> lsdx.open_spikes(demo_stores).lsd.lvr(phase="pre").dims
        ('unit', 'epoch')
        """
        from lsdx.analysis.intervals import lvr

        return lvr(self._ds, phase=phase, epoch=epoch, duplicates=duplicates)

    def fano_factor(
        self, *, window: str | float | Sequence[str | float] = ("100 ms", "1 s", "10 s")
    ) -> xr.DataArray:
        """Give the Fano factor of each unit's counts in windows, lazily.

        Forwards to `lsdx.analysis.variability.fano_factor`.

        Parameters
        ----------
        window : str, float or sequence of these
            Lengths of the windows, whole numbers of bins.

        Returns
        -------
        DataArray
            Over (unit, ..., window).

        Raises
        ------
        SelectionError
            Without counts, or for a window that is no whole number of bins.

        Examples
        --------
        >>> import lsdx
        >>> lsdx.open_units(demo_stores).lsd.fano_factor(window="1 s").dims
        ('unit', 'phase', 'epoch', 'window')
        """
        from lsdx.analysis.counts import fano_factor

        return fano_factor(self._ds, window=window)

    def allan_factor(
        self, *, window: str | float | Sequence[str | float] = ("100 ms", "1 s", "10 s")
    ) -> xr.DataArray:
        """Give the Allan factor of each unit's counts in windows, lazily.

        Forwards to `lsdx.analysis.variability.allan_factor`.

        Parameters
        ----------
        window : str, float or sequence of these
            Lengths of the windows, whole numbers of bins.

        Returns
        -------
        DataArray
            Over (unit, ..., window).

        Raises
        ------
        SelectionError
            Without counts, or for a window that is no whole number of bins.

        Examples
        --------
        >>> import lsdx
        >>> lsdx.open_units(demo_stores).lsd.allan_factor(window="1 s").dims
        ('unit', 'phase', 'epoch', 'window')
        """
        from lsdx.analysis.counts import allan_factor

        return allan_factor(self._ds, window=window)

    def lempel_ziv(
        self,
        *,
        window: str | float | Sequence[str | float] = "100 ms",
        rate: float | None = None,
        surrogates: int = 100,
        rng: np.random.Generator | int | None = None,
    ) -> xr.Dataset:
        """Give the Lempel-Ziv complexity of each unit's counts and its ratio to shuffled bits.

        Forwards to `lsdx.analysis.variability.lempel_ziv`, where all is said.

        Parameters
        ----------
        window : str, float or sequence of these
            Lengths of the windows that become bits.
        rate : float, optional
            Hz to which trains are thinned; each unit's lowest by default.
        surrogates : int
            Shuffles of the bits.
        rng : Generator or int, optional

        Returns
        -------
        Dataset
            ``lempel_ziv`` and ``lempel_ziv_ratio``, and their sd over thinnings; NaN for fewer
            than 200 windows.

        Raises
        ------
        SelectionError
            Without counts.

        Examples
        --------
        >>> import lsdx
        >>> u = lsdx.open_units(demo_stores).isel(unit=slice(2))
        >>> list(u.lsd.lempel_ziv(surrogates=2, rng=0))
        ['lempel_ziv', 'lempel_ziv_ratio', 'lempel_ziv_sd', 'lempel_ziv_ratio_sd']
        """
        from lsdx.analysis.complexity import lempel_ziv

        return lempel_ziv(self._ds, window=window, rate=rate, surrogates=surrogates, rng=rng)

    def unit_metrics(
        self,
        *,
        metrics: Sequence[str] = (
            "mean_rate",
            "cv",
            "cv2",
            "lv",
            "lvr",
            "fano_factor",
            "allan_factor",
        ),
        window: str | float | Sequence[str | float] = ("100 ms", "1 s", "10 s"),
        phase: str | Sequence[str] | None = None,
        epoch: str | Sequence[str] | None = None,
        surrogates: int = 100,
        duplicates: str = "keep",
        rng: np.random.Generator | int | None = None,
    ) -> xr.Dataset:
        """Give many measures of each unit in each epoch, lazily.

        Forwards to `lsdx.analysis.variability.unit_metrics`, where all is said.

        Parameters
        ----------
        metrics : sequence of str
            Those that do not exist are refused with a list of those that do.
        window : str, float or sequence of these
            Of ``fano_factor`` and ``allan_factor``.
        phase, epoch : str or sequence of str, optional
            Which epochs; all by default.
        surrogates : int
            Of ``lempel_ziv``.
        duplicates : {"keep", "drop"}
            Whether spikes that bombcell calls duplicates are counted.
        rng : Generator or int, optional
            Of ``lempel_ziv``.

        Returns
        -------
        Dataset
            One variable a measure over (unit, phase, epoch[, window]).

        Raises
        ------
        SelectionError
            For an unknown metric, or without spikes.

        Examples
        --------
        >>> import lsdx
        >>> lsdx.open_spikes(demo_stores).lsd.unit_metrics(metrics=["cv2"]).cv2.dims
        ('unit', 'phase', 'epoch')
        """
        from lsdx.analysis.single_units import unit_metrics

        return unit_metrics(
            self._ds,
            metrics=metrics,
            window=window,
            phase=phase,
            epoch=epoch,
            surrogates=surrogates,
            duplicates=duplicates,
            rng=rng,
        )

    def modulation(
        self,
        *,
        metric: str | Sequence[str] = "mean_rate",
        between: tuple[Any, Any] | None = None,
        relative_to: str = "recording",
        epoch: str | Sequence[str] | None = None,
        method: str = "block",
        block: str | float = "60 s",
        window: str | float = "100 ms",
        n_permutations: int = 999,
        settle: int | None = None,
        family: str | Sequence[str] = (),
        alpha: float = 0.05,
        surrogates: int = 100,
        match_rates: bool = True,
        null: bool = False,
        duplicates: str = "keep",
        rng: np.random.Generator | int | None = None,
    ) -> xr.Dataset:
        """Test whether measures of each unit differ between two phases, or any two windows.

        Forwards to `lsdx.analysis.modulation.modulation`, where all is said: what the test
        finds, and what it cannot tell from a drug.

        Parameters
        ----------
        metric : str or sequence of str
            Of those of ``unit_metrics``.
        between : tuple of two, optional
            Phases, the two that there are by default; or windows, as ``(phase, epoch)`` or
            ``(start, stop)``.
        relative_to : str
            Where 0 of start and stop is: ``"recording"``, ``"administration"``, or an epoch.
        epoch : str or sequence of str, optional
            Which epochs; all by default.
        method : {"block", "isi_shuffle"}
            The second is for reproducing earlier work alone.
        block : str or float
            About how long blocks are.
        window : str or float
            Of what counts in windows.
        n_permutations : int
        settle : int, optional
            Draw no more for a unit once so many reach its statistic.
        family : str or sequence of str
            Labels within which q is worked out.
        alpha : float
            Level of ``share_modulated``.
        surrogates : int
            Of ``lempel_ziv``.
        match_rates : bool
            Whether trains are thinned to the lower of the two phases' rates; rates never are.
        null : bool
            Whether the null distributions are given.
        duplicates : {"keep", "drop"}
            Whether spikes that bombcell calls duplicates are counted.
        rng : Generator or int, optional

        Returns
        -------
        Dataset
            ``value``, ``index``, ``statistic``, ``p``, ``q``, ``p_least``, ``q_least``, ... over
            (unit, epoch, metric), and ``share_modulated`` of each condition.

        Raises
        ------
        SelectionError
            For what does not exist, and for a method that is not valid between phases.

        Examples
        --------
        >>> import lsdx
        >>> m = lsdx.open_spikes(demo_stores).lsd.modulation(epoch="rfm", rng=0)
        >>> m.share_modulated.dims
        ('arm', 'metric')
        """
        from lsdx.analysis.modulation import modulation

        return modulation(
            self._ds,
            metric=metric,
            between=between,
            relative_to=relative_to,
            epoch=epoch,
            method=method,
            block=block,
            window=window,
            n_permutations=n_permutations,
            settle=settle,
            family=family,
            alpha=alpha,
            surrogates=surrogates,
            match_rates=match_rates,
            null=null,
            duplicates=duplicates,
            rng=rng,
        )

    def proportions(
        self,
        *,
        by: str | Sequence[str] = ("region", "condition"),
        alpha: float = 0.05,
        of: str = "p",
        correction: str | None = None,
        draws: int = 1000,
        level: float = 0.95,
        rng: np.random.Generator | int | None = None,
    ) -> xr.Dataset:
        """Give the shares of units that go up, go down, do either or stay, by labels.

        Forwards to `lsdx.analysis.proportions.proportions`, where all is said.

        Parameters
        ----------
        by : str or sequence of str
            Labels on ``unit``.
        alpha : float
            Units with ``p < alpha`` are modulated.
        of : {"p", "q"}
            Which of the two is compared with ``alpha``.
        correction : {None, "max_statistic"}
            Whether each share is tested, corrected for the number of cells; report the contrast
            with saline.
        draws : int
            Of the correction.
        level : float
            Of the interval.
        rng : Generator or int, optional
            Of the correction.

        Returns
        -------
        Dataset
            ``share`` with an interval over mice; the numbers of mice, sessions and units.

        Raises
        ------
        SelectionError
            If this is not what ``modulation`` gives, or a label does not exist.

        Examples
        --------
        >>> import lsdx
        >>> m = lsdx.open_spikes(demo_stores).lsd.modulation(epoch="rfm", rng=0)
        >>> m.lsd.proportions(by="condition").share.dims
        ('condition', 'metric', 'direction')
        """
        from lsdx.analysis.proportions import proportions

        return proportions(
            self._ds,
            by=by,
            alpha=alpha,
            of=of,
            correction=correction,
            draws=draws,
            level=level,
            rng=rng,
        )

    def psth(
        self,
        *,
        events: xr.Dataset | pd.DataFrame | np.ndarray | Sequence[float],
        window: tuple[str | float, str | float] = (-0.4, 1.0),
        bin_width: str | float = "10 ms",
        by: str | Sequence[str] | None = None,
        pool: str | None = None,
        baseline: tuple[str | float, str | float] = (-1.0, 0.0),
        response: tuple[str | float, str | float] = (0.0, 0.3),
        n_shifts: int = 999,
        duplicates: str = "keep",
        rng: np.random.Generator | int | None = None,
    ) -> xr.Dataset:
        """Give peri-event histograms of units or of sites, and test whether they respond.

        Forwards to `lsdx.analysis.events.psth`, where all is said.

        Parameters
        ----------
        events : Dataset, DataFrame or array_like
            Those that count: of `lsdx.open_events`, a table of ``session`` and ``start``, or
            times (s) of one session.
        window : tuple of two str or float
            From where to where around an event.
        bin_width : str or float
        by : str or sequence of str, optional
            Labels of the events; ``"side"`` where they have it.
        pool : str, optional
            A depth such as ``"20 um"``, or a label on ``unit``: what is added up.
        baseline, response : tuple of two str or float
            Where z is scaled, and where the response is looked for.
        n_shifts : int
            Of the test; 0 leaves it out.
        duplicates : {"keep", "drop"}
            Whether spikes that bombcell calls duplicates are counted.
        rng : Generator or int, optional

        Returns
        -------
        Dataset
            ``psth`` (Hz), ``psth_z``, ``response``, ``response_rate`` (Hz), ``p``, ``p_corrected``,
            ``p_least``, ``n_events``, over (unit or site, ...).

        Raises
        ------
        SelectionError, ConfigError
            Without spikes or events, or for times that are no whole number of bins.

        Examples
        --------
        >>> import lsdx
        >>> e = lsdx.open_events(demo_stores)
        >>> gabors = e.isel(event=e.kind == "gabor")
        >>> lsdx.open_spikes(demo_stores).lsd.psth(events=gabors, n_shifts=0).psth.dims
        ('unit', 'side', 'time')
        """
        from lsdx.analysis.events import psth

        return psth(
            self._ds,
            events=events,
            window=window,
            bin_width=bin_width,
            by=by,
            pool=pool,
            baseline=baseline,
            response=response,
            n_shifts=n_shifts,
            duplicates=duplicates,
            rng=rng,
        )

    def autocorrelation_timescale(self, *, max_lag: str | float = "5 s") -> xr.Dataset:
        """Give the time in which the autocorrelation of each unit's counts decays.

        Forwards to `lsdx.analysis.courses.autocorrelation_timescale`, where all is said.

        Parameters
        ----------
        max_lag : str or float
            Longest lag that is fitted.

        Returns
        -------
        Dataset
            ``timescale`` (s), ``r_squared`` and ``note``, why they are NaN, over (unit, ...).

        Raises
        ------
        SelectionError
            Without counts.

        Examples
        --------
        >>> import lsdx
        >>> list(lsdx.open_units(demo_stores).lsd.autocorrelation_timescale())
        ['timescale', 'r_squared', 'note']
        """
        from lsdx.analysis.courses import autocorrelation_timescale

        return autocorrelation_timescale(self._ds, max_lag=max_lag)

    def changepoint(
        self,
        *,
        relative_to: str = "administration",
        start: str | float = "-15 min",
        stop: str | float = "30 min",
        bin_width: str | float = "10 s",
        duplicates: str = "keep",
    ) -> xr.Dataset:
        """Find when each unit's rate changes most around the injection, or another time.

        Forwards to `lsdx.analysis.courses.changepoint`, where all is said.

        Parameters
        ----------
        relative_to : str
            ``"administration"``, ``"recording"``, or an epoch such as ``"post/spontaneous"``.
        start, stop : str or float
            From where to where, from that.
        bin_width : str or float
        duplicates : {"keep", "drop"}
            Whether spikes that bombcell calls duplicates are counted.

        Returns
        -------
        Dataset
            ``time`` (s), ``rate_before``, ``rate_after`` (Hz), ``index``, ``gain`` and ``note``
            over (unit,); the attribute ``gain_null_95``, of constant Poisson rates.

        Raises
        ------
        SelectionError, LsdxError
            Without spikes, or without the package ruptures.

        Examples
        --------
        >>> import lsdx
        >>> s = lsdx.open_spikes(demo_stores).isel(unit=slice(2))
        >>> s.lsd.changepoint().time.sizes
        Frozen({'unit': 2})
        """
        from lsdx.analysis.courses import changepoint

        return changepoint(
            self._ds,
            relative_to=relative_to,
            start=start,
            stop=stop,
            bin_width=bin_width,
            duplicates=duplicates,
        )


@xr.register_dataarray_accessor("lsd")
class LsdArrayAccessor:
    """Selections of a DataArray of lsdx."""

    def __init__(self, array: xr.DataArray) -> None:
        self._array = array

    def select(
        self,
        *,
        dim: str | None = None,
        region: str | Sequence[str] | None = None,
        quality: str | Sequence[str] | None = None,
        query: str | None = None,
        exclusions: bool = True,
        **labels: Any,
    ) -> xr.DataArray:
        """Keep the units, sessions, events or insertions whose labels match all that is asked.

        Forwards to `lsdx.analysis.selection.select`; parameters and errors are those of
        `LsdAccessor.select`.

        Returns
        -------
        DataArray
            Fewer units, same order, still lazy.

        Examples
        --------
        >>> import lsdx
        >>> rates = lsdx.open_units(demo_stores).lsd.rates()
        >>> set(rates.lsd.select(condition="saline").condition.values.tolist())
        {'saline'}
        """
        from lsdx.analysis.selection import select

        return select(
            self._array,
            dim=dim,
            region=region,
            quality=quality,
            query=query,
            exclusions=exclusions,
            **labels,
        )
