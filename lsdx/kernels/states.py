"""Hidden Markov models of scores: states, how long they last, how many there are.

``x`` is an ndarray (n_bins, d), z-scored; ``lengths`` are those of the runs of bins that follow one
another. ``hmm`` is `hmmlearn.hmm.GaussianHMM`, or a class that is called alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lsdx.kernels.folds import blocked_folds

BINS_PER_STATE = 10  # at least
TOLERANCE, LONG = 1e-3, 300  # gain of the last step of a fit; most steps
_SHORT, _FOLD, _FOLD_TOLERANCE = 20, 60, 0.05  # steps of a first look, and of a fit in a fold
_POLISHED, _FOLD_STARTS = 3, 2
_WINDOWS = (5, 1, 15)  # bins whose mean is where a state starts
_STAY = 0.9
# pseudo-bins: they keep a state of few bins from a variance of 0, and transitions from 0
_VARIANCE_BINS, _MEAN_BINS, _MOVES = 2.0, 0.01, 0.1


@dataclass(frozen=True)
class Model:
    """A hidden Markov model: ``mean`` and ``variance`` (k, d), ``transition`` (k, k)."""

    mean: np.ndarray
    variance: np.ndarray
    transition: np.ndarray
    log_likelihood: float = np.nan
    converged: bool = False


def fit_states(
    hmm: Any, x: np.ndarray, lengths: Sequence[int], n_states: int, starts: int, path: Sequence[int]
) -> Model:
    """Fit a hidden Markov model of normal scores from several random starts; the likeliest wins.

    Parameters
    ----------
    hmm, x, lengths
        See the module.
    n_states, starts : int
    path : sequence of int
        Seed of the starts.

    Returns
    -------
    Model

    Notes
    -----
    Expectation and maximization (Rabiner 1989, Proc. IEEE 77:257) with a variance for each score
    and state. Every start takes 20 steps; the best three go on until a step gains less than 0.001
    (Biernacki et al. 2003, Comput. Stat. Data Anal. 41:561). A run starts in any state alike.
    """
    rng = np.random.default_rng(path)
    first = [_start(x, n_states, _WINDOWS[i % len(_WINDOWS)], rng) for i in range(starts)]
    if n_states == 1:
        first = first[:1]
    return _best(hmm, x, lengths, first, _POLISHED, LONG, TOLERANCE)


def held_out(
    hmm: Any,
    x: np.ndarray,
    observed: np.ndarray,
    max_states: int,
    n_folds: int,
    gap: int,
    path: Sequence[int],
) -> np.ndarray:
    """Return the log-likelihood per bin of blocks of time that a model was not fitted to.

    Parameters
    ----------
    hmm
        See the module.
    x : ndarray (n_bins, d)
    observed : ndarray of bool (n_bins,)
    max_states, n_folds, gap : int
        The gap in bins.
    path : sequence of int
        Seed.

    Returns
    -------
    ndarray of float64 (max_states, n_folds)
        NaN for more states than a tenth of the bins, and where two numbers in a row were worse
        than the best by more than a standard error. No rows without bins enough.

    Notes
    -----
    In a fold the model of k states starts from that of k - 1 states of the same fold with one
    more, and twice at random.
    """
    folds = blocked_folds(observed, n_folds, gap=gap)
    if not folds.enough:
        return np.empty((0, n_folds))
    parts = []
    for i in range(n_folds):
        train, test = folds.train(i), folds.test(i)
        parts.append((x[train], run_lengths(train), x[test], run_lengths(test)))
    most = min(max_states, min(len(p[0]) for p in parts) // BINS_PER_STATE)
    found = np.full((max_states, n_folds), np.nan)
    models: list[Model | None] = [None] * n_folds
    for k in range(1, most + 1):
        for i, (train, length, test, test_length) in enumerate(parts):
            rng = np.random.default_rng([*path, i, k])
            starts = 1 if k == 1 else _FOLD_STARTS
            first = [_start(train, k, _WINDOWS[s % len(_WINDOWS)], rng) for s in range(starts)]
            before = models[i]
            if before is not None:
                first.append(_with_one_more(before, train, rng))
            model = _best(hmm, train, length, first, 1, _FOLD, _FOLD_TOLERANCE)
            found[k - 1, i] = log_likelihood(hmm, model, test, test_length) / len(test)
            models[i] = model
        if k > 2 and not _as_good(found[:k])[-2:].any():
            break
    return found


def choose_number(found: np.ndarray) -> int:
    """Return the smallest number of states within one standard error of the best.

    Parameters
    ----------
    found : ndarray (max_states, n_folds)
        Held-out log-likelihoods per bin.

    Returns
    -------
    int
        From 1.

    Notes
    -----
    The standard error over folds of the difference from the best: folds differ from one another
    far more than numbers of states do (the rule of Breiman et al. 1984, Classification and
    Regression Trees, for pairs).

    Examples
    --------
    >>> choose_number(np.array([[-3.0, -3.2], [-1.1, -1.0], [-1.0, -1.05], [np.nan, np.nan]]))
    2
    """
    return int(np.argmax(_as_good(found))) + 1


def _as_good(found: np.ndarray) -> np.ndarray:
    """Return which numbers are within one standard error of the best."""
    behind = found[int(np.nanargmax(found.mean(axis=1)))] - found
    error = behind.std(axis=1, ddof=1) / np.sqrt(found.shape[1])
    return np.asarray(behind.mean(axis=1) <= error)


def run_lengths(bins: np.ndarray) -> list[int]:
    """Return the lengths of runs of bins that follow one another.

    Examples
    --------
    >>> run_lengths(np.array([3, 4, 5, 9]))
    [3, 1]
    """
    return [len(r) for r in np.split(bins, np.flatnonzero(np.diff(bins) > 1) + 1) if len(r)]


def log_likelihood(hmm: Any, model: Model, x: np.ndarray, lengths: Sequence[int]) -> float:
    """Return the log-likelihood of bins under a model, in nats, each run starting anew."""
    return float(_as_hmm(hmm, model, "log").score(x, lengths))


def most_likely_states(hmm: Any, model: Model, x: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    """Return the most likely sequence of states, from 0, ndarray of int (n_bins,): Viterbi 1967."""
    return np.asarray(_as_hmm(hmm, model, "log").predict(x, lengths))


def stationary(transition: np.ndarray) -> np.ndarray:
    """Return the shares of time that a Markov chain spends in its states.

    Examples
    --------
    >>> stationary(np.array([[0.9, 0.1], [0.3, 0.7]])).round(6).tolist()
    [0.75, 0.25]
    """
    k = len(transition)
    system = np.vstack([transition.T - np.eye(k), np.ones(k)])
    share = np.linalg.lstsq(system, np.r_[np.zeros(k), 1.0], rcond=None)[0]
    return np.asarray(np.maximum(share, 0) / np.maximum(share, 0).sum())


def entropy(share: np.ndarray) -> np.ndarray:
    """Return the entropy of shares along the last axis, in bits.

    Examples
    --------
    >>> float(entropy(np.array([0.5, 0.25, 0.25, 0.0])))
    1.5
    """
    used = np.where(share > 0, share, 1.0)
    return np.asarray(0.0 - np.sum(used * np.log2(used), axis=-1))


def entropy_rate(transition: np.ndarray) -> float:
    """Return the entropy of the next state of a Markov chain, given the last, in bits.

    Parameters
    ----------
    transition : ndarray (k, k)
        Rows sum to 1.

    Returns
    -------
    float

    Notes
    -----
    ``-sum_i pi_i sum_j P_ij log2 P_ij`` with the stationary shares ``pi`` (Cover and Thomas 2006,
    eq. 4.27).

    Examples
    --------
    >>> round(entropy_rate(np.array([[0.5, 0.5], [0.5, 0.5]])), 12)
    1.0
    """
    return float(stationary(transition) @ entropy(transition))


def runs_of(state: np.ndarray, bins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the state and the length of each run of one state, and of bins that follow another.

    Examples
    --------
    >>> [v.tolist() for v in runs_of(np.array([0, 0, 1, 1]), np.array([4, 5, 6, 9]))]
    [[0, 1, 1], [2, 1, 1]]
    """
    new = (np.diff(state) != 0) | (np.diff(bins) > 1)
    first = np.r_[0, np.flatnonzero(new) + 1]
    return state[first], np.diff(np.r_[first, len(state)])


def match_states(
    first: Model, first_share: np.ndarray, other: Model, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give the states of a model the numbers of the states of another that they are nearest to.

    Parameters
    ----------
    first, other : Model
    first_share, share : ndarray (k,)
        Occupancy of their states.

    Returns
    -------
    number : ndarray of int (k,)
        For each state of ``other``; those without a partner follow by occupancy.
    distance : ndarray of float64 (k,)
        From the mean of the partner, in pooled sd; NaN without one.

    Notes
    -----
    The pairs of the least sum of distances (Kuhn 1955, Nav. Res. Logist. Q. 2:83). The pooled
    variance of a score is the mean of the variances within the states of both, by occupancy.
    """
    from scipy.optimize import linear_sum_assignment

    pooled = (first_share @ first.variance + share @ other.variance) / 2
    apart = first.mean[:, None] - other.mean
    cost = np.sqrt((apart**2 / pooled).sum(axis=-1))
    mine, theirs = linear_sum_assignment(cost)
    number = np.full(len(share), -1)
    distance = np.full(len(share), np.nan)
    number[theirs], distance[theirs] = mine, cost[mine, theirs]
    alone = np.flatnonzero(number < 0)
    alone = alone[np.argsort(-share[alone], kind="stable")]
    number[alone] = len(first_share) + np.arange(alone.size)
    return number, distance


@dataclass
class _Monitor:
    """Stops a fit when a step gains too little; hmmlearn's own calls the last step converged."""

    tol: float
    n_iter: int
    iter: int = 0
    history: list[float] = field(default_factory=list)
    small: bool = False

    def _reset(self) -> None:
        self.iter, self.small = 0, False
        self.history.clear()

    def report(self, log_prob: float) -> None:
        self.small = bool(self.history) and log_prob - self.history[-1] < self.tol
        self.history.append(log_prob)
        self.iter += 1

    @property
    def converged(self) -> bool:
        return self.small


def _as_hmm(hmm: Any, model: Model, implementation: str, n_iter: int = 1, tol: float = 0.0) -> Any:
    k = len(model.mean)
    made = hmm(
        k,
        covariance_type="diag",
        n_iter=n_iter,
        init_params="",
        params="tmc",
        implementation=implementation,
        transmat_prior=1 + _MOVES,
        means_prior=0.0,
        means_weight=_MEAN_BINS,
        covars_prior=_VARIANCE_BINS,
        covars_weight=1 + _VARIANCE_BINS,
    )
    made.monitor_ = _Monitor(tol, n_iter)
    made.startprob_ = np.full(k, 1 / k)
    made.transmat_, made.means_, made.n_features = model.transition, model.mean, model.mean.shape[1]
    made.covars_ = model.variance
    return made


def _improved(
    hmm: Any, x: np.ndarray, lengths: Sequence[int], model: Model, n_iter: int, tol: float
) -> Model:
    try:  # three times as fast
        made = _as_hmm(hmm, model, "scaling", n_iter, tol).fit(x, lengths)
    except ValueError:  # a bin too far from all states for its likelihood to be a number above 0
        made = _as_hmm(hmm, model, "log", n_iter, tol).fit(x, lengths)
    variance = np.diagonal(made.covars_, axis1=1, axis2=2).copy()
    monitor = made.monitor_
    return Model(made.means_, variance, made.transmat_, monitor.history[-1], monitor.converged)


def _best(
    hmm: Any,
    x: np.ndarray,
    lengths: Sequence[int],
    first: Sequence[Model],
    kept: int,
    n_iter: int,
    tol: float,
) -> Model:
    looked = [_improved(hmm, x, lengths, m, _SHORT, tol) for m in first]
    looked.sort(key=lambda m: -m.log_likelihood)
    fitted = [
        m if m.converged else _improved(hmm, x, lengths, m, n_iter - _SHORT, tol)
        for m in looked[:kept]
    ]
    return max(fitted, key=lambda m: m.log_likelihood)


def _start(x: np.ndarray, k: int, window: int, rng: np.random.Generator) -> Model:
    """Return states at means of short windows, each chosen far from those before (k-means++)."""
    from scipy.ndimage import uniform_filter1d

    smooth = uniform_filter1d(x, min(window, len(x)), axis=0, mode="nearest")
    means = smooth[[rng.integers(len(x))]]
    for _ in range(k - 1):
        means = np.vstack([means, smooth[_far(smooth, means, rng)]])
    moves = np.full((k, k), (1 - _STAY) / max(k - 1, 1))
    np.fill_diagonal(moves, _STAY if k > 1 else 1.0)
    return Model(means, np.ones_like(means), moves)


def _with_one_more(model: Model, x: np.ndarray, rng: np.random.Generator) -> Model:
    from scipy.ndimage import uniform_filter1d

    k = len(model.mean) + 1
    smooth = uniform_filter1d(x, min(_WINDOWS[0], len(x)), axis=0, mode="nearest")
    mean = np.vstack([model.mean, smooth[_far(smooth, model.mean, rng)]])
    moves = np.full((k, k), (1 - _STAY) / (k - 1))
    moves[:-1, :-1] = model.transition * _STAY
    moves[:-1, -1] = 1 - _STAY
    moves[-1, -1] = _STAY
    return Model(mean, np.vstack([model.variance, np.ones(x.shape[1])]), moves)


def _far(x: np.ndarray, means: np.ndarray, rng: np.random.Generator) -> int:
    nearest = ((x[:, None] - means) ** 2).sum(axis=-1).min(axis=1)
    total = nearest.sum()
    return int(rng.choice(len(x), p=nearest / total) if total > 0 else rng.integers(len(x)))
