"""Regularised linear discriminants, for many codes of the same trials at once.

A trial is a row; ``code`` says which class each is of, from 0. Several codes of the same trials,
such as permutations, are rows of ``codes`` (n_codes, n_trials), and share one factorisation.
"""

from __future__ import annotations

import numpy as np

LEAST_SHRINKAGE = 1e-6  # two units that are copies have no inverse without any


def ledoit_wolf_shrinkage(x: np.ndarray) -> float:
    """Return how far the covariance is best shrunk to a multiple of the identity.

    Parameters
    ----------
    x : ndarray (n_trials, n_units)
        Centred columns.

    Returns
    -------
    float
        From 0 to 1.

    Notes
    -----
    Ledoit and Wolf 2004, J. Multivar. Anal. 88:365, as `sklearn.covariance.ledoit_wolf_shrinkage`
    computes it.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(500, 20))
    >>> ledoit_wolf_shrinkage(x) > 0.9, ledoit_wolf_shrinkage(x + x[:, :1]) < 0.1
    (True, True)
    """
    n, p = x.shape
    gram = (x.T @ x if p <= n else x @ x.T) / n
    mean = np.trace(gram) / p
    norm = (gram**2).sum()
    far = norm - p * mean**2
    noise = (((x**2).sum(axis=1) ** 2).sum() / n - norm) / n
    return float(min(max(noise, 0.0), far) / far) if far > 0 else 0.0


def predict(
    learned: np.ndarray, codes: np.ndarray, tested: np.ndarray, n_classes: int
) -> np.ndarray:
    """Predict the class of trials by regularised linear discriminants.

    Parameters
    ----------
    learned : ndarray (n_learned, n_units)
        Counts of the trials that are learned from.
    codes : ndarray of int (n_codes, n_learned)
        Each of a trial of each class at least.
    tested : ndarray (n_tested, n_units)
    n_classes : int

    Returns
    -------
    ndarray of int (n_codes, n_tested)

    Notes
    -----
    Of units standardised by the trials that are learned from, with means m_c and total covariance
    S, shrunk to ``(1 - s) S + s I`` by `ledoit_wolf_shrinkage`, which needs no labels: the class
    of the largest ``m_c' W x - m_c' W m_c / 2``, where the inverse of W is the shrunk covariance
    within classes, ``(1 - s) (S - sum p_c m_c m_c') + s I``. Classes are as likely as one
    another. W follows from the inverse of the total one by Woodbury's identity, so that all codes
    share one factorisation.

    Examples
    --------
    >>> x, code = np.array([[0.0], [1.0], [5.0], [6.0]]), np.array([[0, 0, 1, 1]])
    >>> predict(x, code, np.array([[2.0], [4.0]]), 2).tolist()
    [[0, 1]]
    """
    import scipy.linalg

    z, t, shrink = _standardised(learned, tested)
    n, p = z.shape
    is_class = codes[:, None, :] == np.arange(n_classes)[:, None]
    number = is_class.sum(axis=2, keepdims=True)
    share = (number / n).transpose(0, 2, 1)
    of_class = is_class / np.maximum(number, 1)
    if p <= n:
        means = of_class @ z
        total = (1 - shrink) * (z.T @ z) / n + shrink * np.eye(p)
        solved = scipy.linalg.solve(total, means.reshape(-1, p).T, assume_a="pos")
        solved = solved.T.reshape(means.shape)
        along, between = solved @ t.T, solved @ means.transpose(0, 2, 1)
    else:
        dual = (1 - shrink) * (z @ z.T) / n + shrink * np.eye(n)
        q = of_class @ scipy.linalg.solve(dual, z @ np.vstack([z, t]).T, assume_a="pos")
        along, between = q[..., n:], q[..., :n] @ of_class.transpose(0, 2, 1)
    both = np.concatenate([along, between], axis=2)
    both = np.linalg.solve(np.eye(n_classes) - (1 - shrink) * between * share, both)
    middle = np.diagonal(both[..., len(tested) :], axis1=1, axis2=2)
    return np.asarray(np.argmax(both[..., : len(tested)] - middle[..., None] / 2, axis=1))


def weights(x: np.ndarray, code: np.ndarray) -> np.ndarray:
    """Return the weights that tell class 1 from class 0, learned from all trials.

    Parameters
    ----------
    x : ndarray (n_trials, n_units)
    code : ndarray of int (n_trials,)
        0 and 1.

    Returns
    -------
    ndarray of float64 (n_units,)
        Change of the log odds of class 1 with one standard deviation of the unit.

    Examples
    --------
    >>> x, code = np.array([[0.0], [2.0], [2.0], [4.0]]), np.array([0, 0, 1, 1])
    >>> weights(x, code).round(6).tolist()
    [2.828424]
    """
    z, _, shrink = _standardised(x, x[:0])
    means = np.stack([z[code == c].mean(axis=0) for c in (0, 1)])
    off = z - means[code]
    within = (1 - shrink) * (off.T @ off) / len(z) + shrink * np.eye(z.shape[1])
    return np.asarray(np.linalg.solve(within, means[1] - means[0]))


def _standardised(learned: np.ndarray, tested: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return both by mean and sd of what is learned from, and the shrinkage."""
    learned = np.asarray(learned, dtype=np.float64)
    mean, sd = learned.mean(axis=0), learned.std(axis=0)
    scale = np.where(sd > 1e-9, sd, np.inf)  # a constant unit says nothing
    z, t = (learned - mean) / scale, (tested - mean) / scale
    varied = np.isfinite(scale)
    shrink = max(ledoit_wolf_shrinkage(z[:, varied]), LEAST_SHRINKAGE) if varied.any() else 1.0
    return z, t, shrink


def balanced_accuracy(codes: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the mean over classes of the share that is predicted right.

    Parameters
    ----------
    codes, predicted : ndarray of int (n_codes, n_trials)
    n_classes : int

    Returns
    -------
    ndarray of float64 (n_codes,)
        ``1 / n_classes`` by chance, however many trials each class has.

    Examples
    --------
    >>> balanced_accuracy(np.array([[0, 0, 0, 1]]), np.array([[0, 0, 0, 0]]), 2).tolist()
    [0.5]
    """
    recalls = []
    for c in range(n_classes):
        mine = codes == c
        right = (mine & (predicted == c)).sum(axis=1)
        recalls.append(right / np.maximum(mine.sum(axis=1), 1))
    return np.asarray(np.mean(recalls, axis=0))
