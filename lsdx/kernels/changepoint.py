"""The largest step of a series: how large it is by chance."""

from __future__ import annotations

import numpy as np


def largest_gain_by_chance(n_bins: int, least: int = 2) -> float:
    """Return the gain that the best split of normal values exceeds in one of 20 series.

    Parameters
    ----------
    n_bins : int
        Independent values of variance 1.
    least : int
        Values on either side of a split, at least.

    Returns
    -------
    float
        The gain is the squared step of the mean times ``n_before * n_after / n_bins``.

    Notes
    -----
    ``b^2`` where ``b phi(b) int nu(b / sqrt(n t (1 - t))) / (t (1 - t)) dt + 2 (1 - Phi(b))`` is
    .05 (James, James & Siegmund 1987, Biometrika 74:71).

    Examples
    --------
    >>> round(largest_gain_by_chance(270), 1)
    10.1
    """
    from scipy.integrate import quad
    from scipy.optimize import brentq
    from scipy.stats import norm

    def overshoot(x: float) -> float:
        half = x / 2
        return float((norm.cdf(half) - 0.5) / (half * (half * norm.cdf(half) + norm.pdf(half))))

    def excess(b: float) -> float:
        # of the logit of t, whose density is 1 / (t (1 - t))
        end = np.log(n_bins / least - 1)
        sides, _ = quad(lambda s: overshoot(2 * b * np.cosh(s / 2) / np.sqrt(n_bins)), -end, end)
        return float(b * norm.pdf(b) * sides + 2 * norm.sf(b)) - 0.05

    return float(brentq(excess, 1, 9)) ** 2
