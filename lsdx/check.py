"""Check built stores against themselves: whether epochs and stimuli are where the spikes are."""

from __future__ import annotations

import os

import numpy as np
import xarray as xr
from tqdm import tqdm

from lsdx.analysis.alignment import alignment
from lsdx.arguments import number_between
from lsdx.errors import StoreNotFound
from lsdx.store.behavior import open_behavior
from lsdx.store.openers import open_epochs, open_events, open_sessions, open_spikes


def check_alignment(
    stores: str | os.PathLike[str] | None = None,
    *,
    tag: str | None = None,
    epochs: xr.Dataset | None = None,
    alpha: float = 0.01,
    n_shifts: int = 999,
    rng: np.random.Generator | int | None = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Check the epochs and events of every session against its spikes.

    Parameters
    ----------
    stores, tag : path and str, optional
        The stores folder, by default the settings'; a catalog kept by ``lsdx tag``, by default the
        current one.
    epochs : Dataset, optional
        Times to check, in the form of `lsdx.open_epochs`; the stored ones by default.
    alpha : float
        The response is there for ``p <= alpha``.
    n_shifts : int
        Of its test.
    rng : Generator or int, optional
    progress : bool
        Show a progress bar, on a terminal only.

    Returns
    -------
    Dataset
        ``verdict``, ``evidence`` and ``note`` over (session, phase, check), ``epoch_verdict``
        over (session, phase, epoch), as `lsdx.analysis.alignment.alignment` explains them.

    Raises
    ------
    StoreNotFound, StoreCorrupt
        If spikes or epochs have not been built, or are damaged. Without events the checks that
        need them are untestable.

    Examples
    --------
    >>> import lsdx
    >>> found = lsdx.check_alignment(n_shifts=99)
    >>> found.verdict.dims, bool((found.verdict == "fail").any())
    (('session', 'phase', 'check'), False)
    """
    spikes = open_spikes(stores, tag=tag)
    known = open_epochs(stores, tag=tag) if epochs is None else epochs
    try:
        events = open_events(stores, tag=tag)
    except StoreNotFound:
        events = None
    n = known.sizes.get("session", 0)
    try:
        sessions = open_sessions(stores, tag=tag)
        for label in ("subject", "condition"):
            values = sessions[label].to_series().astype(object)
            values = values.reindex(known["session"].values, fill_value="")
            known = known.assign_coords({label: ("session", values.to_numpy())})
    except StoreNotFound:  # names of the rows of a picture, no more
        pass
    with tqdm(total=n, unit="session", disable=None if progress else True) as bar:
        return alignment(
            spikes,
            events,
            known,
            alpha=alpha,
            n_shifts=n_shifts,
            rng=rng,
            on_session=lambda _: bar.update(),
        )


def check_cameras(
    stores: str | os.PathLike[str] | None = None,
    *,
    tag: str | None = None,
    alpha: float = 0.01,
) -> xr.Dataset:
    """Check whether the frames of each camera have the right times.

    Parameters
    ----------
    stores : path, optional
        The stores folder; the settings' by default.
    tag : str, optional
        A catalog kept by ``lsdx tag``; the current one by default.
    alpha : float
        The lag of motion energy, or of the wheel, counts for ``lag_p <= alpha``.

    Returns
    -------
    Dataset
        ``verdict`` over (session, camera): ``pass``; ``fail`` for a lag of more than one frame;
        ``untestable`` without times, or where nothing correlates; blank: no camera. ``note`` says
        why it is no pass. ``lag`` in s, ``lag_p`` and ``lag_of`` as `lsdx.open_behavior` has them.

    Raises
    ------
    StoreNotFound, StoreCorrupt
        If behavior has not been built, or is damaged.
    ArgumentError
        If ``alpha`` is not between 0 and 1.

    Examples
    --------
    >>> import lsdx
    >>> sorted(set(lsdx.check_cameras().verdict.values.ravel().tolist()))
    ['', 'pass', 'untestable']
    """
    number_between(alpha, "check_cameras, alpha", 0, 1)
    found = open_behavior(stores, tag=tag)[["lag", "lag_p", "lag_of", "clock", "frame_rate"]]
    found = found.drop_dims([d for d in found.dims if d not in ("session", "camera")])
    late, p, clock = (found[n].values for n in ("lag", "lag_p", "clock"))
    rate, of = found["frame_rate"].values, found["lag_of"].values
    untimed = (clock == "no times") | (clock == "untestable")
    seen = p <= alpha  # NaN: not
    wrong = seen & (np.abs(late) * rate > 1.01)
    verdict = np.select([clock == "", wrong, seen], ["", "fail", "pass"], default="untestable")
    note = np.full(clock.shape, "", dtype=object)
    for at in map(tuple, np.argwhere((verdict == "untestable") | (verdict == "fail"))):
        if wrong[at]:
            frames = late[at] * rate[at]
            note[at] = f"{of[at]} is {frames:+.1f} frames behind what moves (p = {p[at]:.3g})"
        elif untimed[at]:
            note[at] = f"clock: {clock[at]}"
        else:
            note[at] = "nothing to compare with" if np.isnan(p[at]) else "nothing correlates"
    dims = ("session", "camera")
    return found.assign(verdict=(dims, verdict.astype(object)), note=(dims, note))
