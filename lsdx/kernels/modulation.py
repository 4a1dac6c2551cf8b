"""How much a measure changes between two conditions."""

from __future__ import annotations

import numpy as np


def modulation_index(a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """Return the modulation index of two rates, or of other measures that are not negative.

    Parameters
    ----------
    a, b : array_like of float
        Before and after.

    Returns
    -------
    ndarray of float64
        ``(b - a) / (b + a)``, from -1 to 1; NaN where both are 0 or one is NaN.

    Examples
    --------
    >>> modulation_index([10.0, 30.0, 0.0], [30.0, 10.0, 0.0]).tolist()
    [0.5, -0.5, nan]
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    total = a + b
    return np.asarray((b - a) / np.where(total == 0, np.nan, total))
