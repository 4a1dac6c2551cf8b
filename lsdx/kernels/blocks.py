"""A measure of single units in whole intervals of time, in blocks of them, and in draws."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np

from lsdx.kernels.binning import count_in_intervals, count_spikes
from lsdx.kernels.complexity import equal_rate_bits, thinned_lempel_ziv
from lsdx.kernels.metrics import METRICS, measures_of_spikes
from lsdx.kernels.resampling import THINNINGS, kept_spikes, stream_keys, thinning_keys
from lsdx.kernels.trains import Trains


@dataclass(frozen=True)
class Plan:
    """What is compared and how, the same for all units.

    Parameters
    ----------
    metrics : tuple of str
        Of `lsdx.kernels.metrics.METRICS`.
    streams : tuple of tuple of int
        What thinning is keyed by: one number a phase, for each epoch.
    method : {"block", "isi_shuffle"}
    block, window : int
        Ticks.
    second : int
        Ticks a second.
    n_permutations : int
    settle : int or None
        Draws that reach the statistic, after which no more are made.
    surrogates : int
        Shuffles of bits.
    match_rates : bool
        Whether spikes are thinned to the lower of the rates.
    seed : int
    n_null : int
        Draws of the null that are returned.
    n_far : int
        Ways whose distances are returned; 0 where q is worked out from p alone.
    """

    metrics: tuple[str, ...]
    streams: tuple[tuple[int, ...], ...]
    method: str
    block: int
    window: int
    second: int
    n_permutations: int
    settle: int | None
    surrogates: int
    match_rates: bool
    seed: int
    n_null: int
    n_far: int


def equal_blocks(begin: np.ndarray, end: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut the time that two phases have in common into equal blocks of about one length.

    Parameters
    ----------
    begin, end : ndarray of int64 (n_units, 2, n_epochs)
        Ticks of the phases.
    block : int
        About how many ticks a block has.

    Returns
    -------
    number, length : ndarray of int64 (n_units, n_epochs)
        Blocks a phase, 0 where one was not observed; ticks of each.

    Examples
    --------
    >>> begin, end = np.array([[[0], [1000]]]), np.array([[[600], [1450]]])
    >>> [v.tolist() for v in equal_blocks(begin, end, 100)]
    [[[4]], [[112]]]
    """
    common = (end - begin).min(axis=1)
    number = np.where(common > 0, np.maximum(np.rint(common / block), 1), 0).astype(np.int64)
    return number, common // np.maximum(number, 1)


def n_draws_of(method: str, n_blocks: int, n_permutations: int) -> int:
    """Count the draws of the null: of blocks no more than there are ways but the true one.

    Examples
    --------
    >>> n_draws_of("block", 3, 999), n_draws_of("isi_shuffle", 3, 999)
    (19, 999)
    """
    n_ways = comb(2 * n_blocks, n_blocks)
    return min(n_ways - 1, n_permutations) if method == "block" else n_permutations


def n_distinct_ways(n_blocks: int, n_permutations: int) -> int:
    """Count the ways to deal blocks; without mirror images where all ways are made.

    Examples
    --------
    >>> n_distinct_ways(3, 999), n_distinct_ways(10, 999)
    (10, 1000)
    """
    n_ways = comb(2 * n_blocks, n_blocks)
    return n_ways // 2 if n_ways <= n_permutations + 1 else n_permutations + 1


@dataclass(frozen=True)
class Measure:
    """One measure of some units' trains in intervals of one length, or in blocks.

    Parameters
    ----------
    name : str
        Of `lsdx.kernels.metrics.METRICS`.
    trains : Trains
    keys : ndarray of uint64 (n_units,)
        Of random numbers.
    streams : tuple of int
        Of both phases; with ``keys``, what thinning is keyed by.
    plan : Plan
    n_thinnings : int
        Of what is thinned window by window.
    """

    name: str
    trains: Trains
    keys: np.ndarray
    streams: tuple[int, ...]
    plan: Plan
    n_thinnings: int = THINNINGS

    def of_intervals(self, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Return the measure in each interval, (n_units, n_intervals)."""
        metric = METRICS[self.name]
        if metric.of_spikes:
            found = measures_of_spikes([self.name], self.trains, begin, end, self.plan.second)
            return found[self.name]
        if metric.needs == "bits":
            bits = thinned_lempel_ziv(
                self._windows(begin, end),
                thinning_keys(self.keys, self.plan.seed, self.streams),
                n_thinnings=self.n_thinnings,
                n_shuffles=self.plan.surrogates,
                seed=self.plan.seed,
                mean=self._mean,
            )
            return np.asarray(bits[1])
        return self._of_counts(self._windows(begin, end))

    def in_blocks(
        self, begin: np.ndarray, end: np.ndarray, number: int, length: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the measure in each block of the first, then of the second interval.

        Where a block is too short for it, the windows or bits that it is made of come second,
        (n_units, n_blocks, n_windows).
        """
        first = begin[..., None] + np.arange(number) * length
        starts = first.reshape(len(begin), 2 * number)
        undefined = np.full(starts.shape, np.nan)
        if METRICS[self.name].needs == "bits":
            bits, n_bits = self._bits(begin, end)
            n = int(min(n_bits.min(), (number * length + 1) // self.plan.window)) // number
            parts = bits[..., : n * number].reshape(*starts.shape, n)
            if n < 200:
                return undefined, parts
            return self._ratio(parts, np.full(starts.shape, n)), None
        if METRICS[self.name].needs == "windows":
            parts = self._windows(starts, starts + length)
            return (self._of_counts(parts), None) if parts.shape[-1] > 1 else (undefined, parts)
        return self.of_intervals(starts, starts + length), None

    def of_parts(self, parts: np.ndarray) -> np.ndarray:
        """Return the measure of blocks put together, from (n_units, n_blocks, n_windows)."""
        if METRICS[self.name].needs == "bits":
            bits = parts.reshape(len(parts), 1, -1)
            return self._ratio(bits, np.full(bits.shape[:2], bits.shape[-1]))[:, 0]
        # blocks that did not follow one another have no successive windows
        apart = np.pad(parts, ((0, 0), (0, 0), (0, 1)), constant_values=np.nan)
        return self._of_counts(apart.reshape(len(parts), -1))

    def at_equal_rates(self, begin: np.ndarray, end: np.ndarray, thinning: int) -> Trains:
        """Return trains whose spikes of either interval are thinned to the lower of the rates."""
        rate = count_in_intervals(self.trains, begin, end) / (end - begin)
        keep = rate.min(axis=1, keepdims=True) / np.where(rate > 0, rate, 1.0)
        keys = stream_keys(thinning_keys(self.keys, self.plan.seed, self.streams), thinning)
        return self.trains.kept(kept_spikes(self.trains, (begin, end), keep, keys))

    def _windows(self, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        # a length of one tick less than a whole number is whole, as lsdx.clock.n_bins says
        bins = (end - begin + (self.plan.window > 1)) // self.plan.window
        length = int(bins.max(initial=0))
        shape = bins, self.plan.window, length
        counts = count_spikes(self.trains, begin, *shape, dtype=np.float32)
        counts[np.arange(length) >= bins[..., None]] = np.nan
        return counts

    def _of_counts(self, counts: np.ndarray) -> np.ndarray:
        return np.asarray(METRICS[self.name].kernel(counts))

    def _bits(self, begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        keys = thinning_keys(self.keys, self.plan.seed, self.streams)
        return equal_rate_bits(self._windows(begin, end), stream_keys(keys, 0), mean=self._mean)

    @property
    def _mean(self) -> float | None:
        """Spikes a window that bits are thinned to: the lowest, or as many as there are."""
        return None if self.plan.match_rates else np.inf

    def _ratio(self, bits: np.ndarray, n_bits: np.ndarray) -> np.ndarray:
        found = METRICS[self.name].kernel(
            bits.reshape(n_bits.size, bits.shape[-1]),
            n_bits.reshape(-1),
            n_shuffles=self.plan.surrogates,
            seed=self.plan.seed,
        )
        return np.asarray(found[1].reshape(bits.shape[:-1]))
