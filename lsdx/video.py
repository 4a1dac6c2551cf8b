"""Motion from a video file: the energy of each frame, and the components of its motion.

For sessions whose record holds a video but no motion energy. Frames are decoded one after another
with PyAV (``pip install 'lsdx[video]'``), so memory does not grow with the length of the video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from lsdx.arguments import whole_number
from lsdx.errors import ArgumentError, SourceError, located, missing_package

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    Roi = tuple[int, int, int, int]

_SPARE = 50  # components kept beyond those asked for, while chunks are joined


@dataclass(frozen=True)
class _Video:
    """A video file: its name, time stamps of frames in units of the file, size in px, frames/s."""

    path: Path
    where: str
    n_frames: int
    stamps: np.ndarray | None
    height: int
    width: int
    frame_rate: float


def motion_energy(
    path: str | Path,
    *,
    roi: Roi | None = None,
    times: ArrayLike | None = None,
    start: float | None = None,
    stop: float | None = None,
) -> xr.DataArray:
    """Return how much each frame differs from the one before it.

    Parameters
    ----------
    path : str or Path
        A video file of any format that FFmpeg reads.
    roi : tuple of int, optional
        Region of interest (x, y, width, height) in px; x counts columns from the left, y rows from
        the top. Without it, the whole frame.
    times : array_like of float (n_frames,), optional
        Times of all frames of the file in s, on the spike clock. Without them, frames have numbers.
    start, stop : float, optional
        Frames whose time (or number) lies in [start, stop) are returned. A value does not depend
        on them: the first frame in the window is compared with the one before the window.

    Returns
    -------
    DataArray
        Over time (n,) float32, in grey levels from 0 to 255. NaN at frame 0 of the file. ``time``
        holds the times that were given (float64, s) or frame numbers (int64), ``frame`` the
        numbers. ``attrs`` name the file, the region and the frame rate of the file (1/s).

    Raises
    ------
    MissingPackage
        If PyAV is not installed.
    SourceError
        If the file is missing, no video, has no frames, or breaks off.
    ArgumentError
        If the region is not inside the frame, there are not as many times as frames, a time is not
        finite, or no frame lies in the window.

    Notes
    -----
    ``energy[i] = mean over the region of |frame[i] - frame[i - 1]|``, frames in grey. Differences
    are absolute before they could wrap around: a frame that gets darker has positive energy. Where
    frames were dropped, the difference is over the longer interval; it is not divided by it.
    FFmpeg fills in what is damaged within a frame, without a word: such frames have high energy.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import av
    >>> import numpy as np
    >>> path = Path(tempfile.mkdtemp()) / "falling.mkv"
    >>> with av.open(path, "w") as file:
    ...     stream = file.add_stream("ffv1", rate=30, width=16, height=16, pix_fmt="gray")
    ...     for level in (200, 190, 170):
    ...         frame = av.VideoFrame.from_ndarray(np.full((16, 16), level, "u1"), format="gray")
    ...         file.mux(stream.encode(frame))
    ...     file.mux(stream.encode())
    >>> motion_energy(path, times=[5.0, 5.03, 5.07]).values.tolist()
    [nan, 10.0, 20.0]
    """
    video = _open(path, "motion_energy")
    chosen, time = _window(video, times, start, stop, "motion_energy")
    region = _region(video, roi, "motion_energy")
    energy = np.full(chosen.size, np.nan, dtype=np.float32)
    for i, a, b in _pairs(video, chosen, lambda frame: frame[region]):
        energy[i] = (np.maximum(a, b) - np.minimum(a, b)).mean()  # |a - b| that never wraps
    return xr.DataArray(
        energy,
        dims="time",
        coords=_coords(chosen, time),
        name="motion_energy",
        attrs={
            "long_name": "mean absolute difference to the frame before",
            "units": "grey levels",
            **_told(video, region),
        },
    )


def motion_components(
    path: str | Path,
    *,
    n_components: int = 100,
    bin_px: int = 4,
    roi: Roi | None = None,
    times: ArrayLike | None = None,
    start: float | None = None,
    stop: float | None = None,
) -> xr.Dataset:
    """Return the principal components of the motion in a video, in bounded memory.

    Parameters
    ----------
    path, roi, times, start, stop
        As of `motion_energy`.
    n_components : int
        How many components.
    bin_px : int
        Frames are averaged over squares of ``bin_px`` x ``bin_px`` px first. Rows and columns that
        fill no square, at the bottom and on the right, are left out.

    Returns
    -------
    Dataset
        ``components`` (component, y, x) float32, each of length 1; ``scores`` (time, component)
        float32, in grey levels; ``explained_variance`` (component,) float64, the share of the total
        variance from 0 to 1, NaN if nothing moves; ``mean_motion`` (y, x) float32 and
        ``motion_energy`` (time,) float32, in grey levels. ``x`` and ``y`` are the centres of the
        squares in px of the whole frame. Scores and energy are NaN at frame 0 of the file.

    Raises
    ------
    MissingPackage
        If PyAV is not installed.
    SourceError, ArgumentError
        As of `motion_energy`; also if there are more components than frames with a frame before
        them, or than squares.

    Notes
    -----
    ``motion[i] = |squares[i] - squares[i - 1]|``. Energy is its mean over the squares, which is at
    most that of `motion_energy`, as noise of single pixels is averaged before. Components are
    those of ``motion - mean_motion``.

    The file is decoded twice. The first time, a basis grows chunk by chunk: the leading singular
    vectors of the basis so far, times their singular values, and of the next frames (Levy &
    Lindenbaum 2000, IEEE Trans Image Process 9:1371), 50 more than asked for. What lies beyond
    those is dropped with each chunk: this is what is approximate. Then all frames are projected,
    and the components turned within the basis, so that scores are uncorrelated and
    ``explained_variance`` is the share that the scores do have of the total.
    Where ``n_components`` + 50 reaches the number of frames or squares, the answer is exact.
    Nothing is random. The largest weight of each component is positive.

    Memory is about 50 x (``n_components`` + 50) bytes a square, beside the scores.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import av
    >>> import numpy as np
    >>> path = Path(tempfile.mkdtemp()) / "blinking.mkv"
    >>> with av.open(path, "w") as file:
    ...     stream = file.add_stream("ffv1", rate=30, width=16, height=16, pix_fmt="gray")
    ...     for level in (0, 10, 30, 35, 35):
    ...         grey = np.zeros((16, 16), "u1")
    ...         grey[:8, :8] = level
    ...         file.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="gray")))
    ...     file.mux(stream.encode())
    >>> found = motion_components(path, n_components=1, bin_px=8)
    >>> found.components.values[0].tolist(), found.explained_variance.values.round(6).tolist()
    ([[1.0, 0.0], [0.0, 0.0]], [1.0])
    """
    name = "motion_components"
    bin_px = whole_number(bin_px, f"{name}, bin_px", least=1)
    n_components = whole_number(n_components, f"{name}, n_components", least=1)
    video = _open(path, name)
    chosen, time = _window(video, times, start, stop, name)
    region = _region(video, roi, name)
    n_y, n_x = ((s.stop - s.start) // bin_px for s in region)
    n_rows = int((chosen > 0).sum())
    most = min(n_rows, n_y * n_x)
    if n_components > most:
        found = f"{n_rows} frames with a frame before them and {n_y} x {n_x} squares"
        raise ArgumentError(
            located(f"{name}, n_components", f"at most {most}", f"{n_components}, with {found}")
        )
    n_kept = min(n_components + _SPARE, most)

    sizes = [n_kept] * -(-n_rows // n_kept)
    total, energies = np.zeros(n_y * n_x), []
    centre, basis = None, None
    for chunk in _motion(video, chosen, region, bin_px, sizes):
        energies.append(chunk.mean(axis=1, dtype=np.float64))
        total += chunk.sum(axis=0, dtype=np.float64)
        centre = chunk.mean(axis=0) if centre is None else centre
        chunk -= centre
        basis = _joined(basis, chunk, n_kept)
    mean = (total / n_rows).astype(np.float32)
    kept = np.linalg.qr(np.asarray(basis).T)[0].T

    squares, projected = 0.0, []
    for chunk in _motion(video, chosen, region, bin_px, sizes):
        chunk -= mean
        squares += float(np.square(chunk, dtype=np.float64).sum())
        projected.append((chunk @ kept.T).astype(np.float64))
    scores = np.concatenate(projected)
    variance, turn = np.linalg.eigh(scores.T @ scores)
    turn = turn[:, ::-1][:, :n_components]
    components = turn.T @ kept
    largest = np.abs(components).argmax(axis=1)
    sign = np.where(components[np.arange(n_components), largest] < 0, -1.0, 1.0)
    all_scores = np.full((chosen.size, n_components), np.nan, dtype=np.float32)
    all_scores[chosen > 0] = scores @ (turn * sign)
    energy = np.full(chosen.size, np.nan, dtype=np.float32)
    energy[chosen > 0] = np.concatenate(energies)
    share = np.maximum(variance[::-1][:n_components], 0.0)
    share = share / squares if squares > 0 else np.full(n_components, np.nan)

    rows, columns = region
    shape = (n_y, n_x)
    grey = {"units": "grey levels"}
    return xr.Dataset(
        {
            "components": (
                ("component", "y", "x"),
                (components * sign[:, None]).astype(np.float32).reshape(-1, *shape),
                {"long_name": "principal components of motion", "units": "1"},
            ),
            "scores": (
                ("time", "component"),
                all_scores,
                {"long_name": "motion of each frame along each component", **grey},
            ),
            "explained_variance": (
                "component",
                share,
                {"long_name": "share of the total variance", "units": "1"},
            ),
            "mean_motion": (("y", "x"), mean.reshape(shape), {"long_name": "mean motion", **grey}),
            "motion_energy": ("time", energy, {"long_name": "mean motion over squares", **grey}),
        },
        coords={
            **_coords(chosen, time),
            "component": np.arange(n_components),
            "y": ("y", rows.start + (np.arange(n_y) + 0.5) * bin_px, {"units": "px"}),
            "x": ("x", columns.start + (np.arange(n_x) + 0.5) * bin_px, {"units": "px"}),
        },
        attrs={**_told(video, region), "bin_px": bin_px, "n_kept": n_kept},
    )


def _av(name: str) -> Any:
    try:
        import av
    except ImportError as error:
        raise missing_package(name, "av", "video") from error
    return av


def _open(path: str | Path, name: str) -> _Video:
    """Count the frames of a file and read their time stamps, without decoding them."""
    av = _av(name)
    path = Path(path)
    where = f"{name}, {path}"
    if not path.is_file():
        raise SourceError(located(where, "a video file", "none"))
    try:
        with av.open(str(path)) as file:
            if not file.streams.video:
                raise SourceError(located(where, "a video stream", "none"))
            stream = file.streams.video[0]
            packets = [(p.pts, p.size) for p in file.demux(stream) if not p.is_discard]
            height, width, rate = stream.height, stream.width, stream.average_rate
    except av.FFmpegError as error:
        raise SourceError(located(where, "a video that FFmpeg reads", str(error))) from error
    numbers = [pts for pts, size in packets if size]  # the last one is empty
    if not numbers:
        raise SourceError(located(where, "frames", "none"))
    stamps = None
    if None not in numbers and len(set(numbers)) == len(numbers):
        stamps = np.sort(np.array(numbers, dtype=np.int64))
    return _Video(path, where, len(numbers), stamps, height, width, float(rate) if rate else np.nan)


def _region(video: _Video, roi: Roi | None, name: str) -> tuple[slice, slice]:
    """Return the rows and columns of the region of interest."""
    if roi is None:
        return slice(0, video.height), slice(0, video.width)
    where = f"{name}, roi"
    inside = f"x, y, width, height inside {video.width} x {video.height} px"
    try:
        x, y, width, height = roi
    except (TypeError, ValueError):
        raise ArgumentError(located(where, inside, repr(roi))) from None
    x, y = (whole_number(v, where, least=0) for v in (x, y))
    width, height = (whole_number(v, where, least=1) for v in (width, height))
    if x + width > video.width or y + height > video.height:
        raise ArgumentError(located(where, inside, repr(roi)))
    return slice(y, y + height), slice(x, x + width)


def _window(
    video: _Video, times: ArrayLike | None, start: float | None, stop: float | None, name: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the numbers of the frames that are asked for, and their times."""
    seconds = None
    if times is not None:
        seconds = np.asarray(times, dtype=np.float64)
        where = f"{name}, times"
        if seconds.shape != (video.n_frames,):
            do = "Give a time for every frame of the file, also with start and stop."
            expected = f"{video.n_frames} times, as many as {video.path.name} has frames"
            raise ArgumentError(located(where, expected, f"shape {seconds.shape}", do))
        if not np.isfinite(seconds).all():
            n = int((~np.isfinite(seconds)).sum())
            raise ArgumentError(located(where, "finite times", f"{n} that are not"))
    values = np.arange(video.n_frames) if seconds is None else seconds
    low, high = -np.inf if start is None else start, np.inf if stop is None else stop
    chosen = np.flatnonzero((values >= low) & (values < high))
    if not chosen.size:
        span = f"none in [{low:g}, {high:g})"
        expected = f"frames between {values.min():g} and {values.max():g}"
        raise ArgumentError(located(f"{name}, start and stop", expected, span))
    return chosen, None if seconds is None else seconds[chosen]


def _frames(video: _Video, first: int, last: int) -> Iterator[np.ndarray]:
    """Decode the frames from number ``first`` to number ``last``, (height, width) uint8 in grey."""
    av = _av("video")
    expected = first
    try:
        with av.open(str(video.path)) as file:
            for frame, number in _decoded(video, file, first):
                if number < first:
                    continue
                if number != expected:
                    break
                yield frame.to_ndarray(format="gray")
                expected += 1
                if expected > last:
                    return
    except av.FFmpegError as error:
        found = f"{error} at frame {expected}"
        raise SourceError(located(video.where, "frames that can be decoded", found)) from error
    wanted = f"frame {expected} of {video.n_frames}"
    raise SourceError(located(video.where, wanted, "none that can be decoded"))


def _decoded(video: _Video, file: Any, first: int) -> Iterator[tuple[Any, int]]:
    """Yield frames and their numbers from a key frame at or before ``first``, or from the start.

    Some formats seek by the order of decoding, and end up behind the frame that was sought: then
    seek further back. What comes before the key frame may lack the frames that it is made from.
    """
    stream = file.streams.video[0]
    stream.thread_type = "AUTO"
    if video.stamps is None:
        yield from zip(file.decode(stream), count(), strict=False)
        return
    for back in (0, 50, 500, first):
        file.seek(int(video.stamps[max(first - back, 0)]), stream=stream)
        reached = back >= first
        for frame in file.decode(stream):
            number = int(np.searchsorted(video.stamps, frame.pts))
            if not reached and frame.key_frame:
                if number > first:
                    break
                reached = True
            if reached:
                yield frame, number
        if reached:
            return


def _pairs(
    video: _Video, chosen: np.ndarray, prepare: Callable[[np.ndarray], np.ndarray]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield, for each frame asked for, its place among them, the frame before it, and itself.

    Frame 0 of the file is left out: there is none before it.
    """
    first, last = max(int(chosen[0]) - 1, 0), int(chosen[-1])
    place = np.full(last + 1, -1)
    place[chosen] = np.arange(chosen.size)
    before = None
    for number, decoded in enumerate(_frames(video, first, last), start=first):
        frame = prepare(decoded)
        if before is not None and place[number] >= 0:
            yield int(place[number]), before, frame
        before = frame


def _motion(
    video: _Video, chosen: np.ndarray, region: tuple[slice, slice], bin_px: int, sizes: list[int]
) -> Iterator[np.ndarray]:
    """Yield the motion of squares in chunks of so many frames, (n_frames, n_squares) float32."""
    pairs = _pairs(video, chosen, lambda frame: _squares(frame[region], bin_px))
    for size in sizes:
        yield np.stack([np.abs(b - a).ravel() for _, a, b in islice(pairs, size)])


def _joined(basis: np.ndarray | None, rows: np.ndarray, n_kept: int) -> np.ndarray:
    """Return the leading right singular vectors of both together, times their singular values."""
    if basis is not None:
        rows = np.concatenate((basis, rows))
    _, turn = np.linalg.eigh((rows @ rows.T).astype(np.float64))
    leading: np.ndarray = turn[:, ::-1][:, :n_kept].T.astype(np.float32) @ rows
    return leading


def _squares(frame: np.ndarray, bin_px: int) -> np.ndarray:
    """Average a frame over squares, float32; loops over the px of one square.

    Examples
    --------
    >>> _squares(np.array([[0, 2, 9], [4, 6, 9]], dtype=np.uint8), 2).tolist()
    [[3.0]]
    """
    height, width = (n // bin_px * bin_px for n in frame.shape)
    rows = sum(frame[i:height:bin_px, :width].astype(np.uint32) for i in range(bin_px))
    total = sum(np.asarray(rows)[:, j::bin_px] for j in range(bin_px))
    return np.asarray(total, dtype=np.float32) / np.float32(bin_px**2)


def _coords(chosen: np.ndarray, time: np.ndarray | None) -> dict[str, Any]:
    if time is None:
        axis = ("time", chosen, {"long_name": "number of the frame", "units": "1"})
    else:
        axis = ("time", time, {"long_name": "time of the frame", "units": "s"})
    return {"time": axis, "frame": ("time", chosen, {"long_name": "number of the frame"})}


def _told(video: _Video, region: tuple[slice, slice]) -> dict[str, Any]:
    rows, columns = region
    roi = [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]
    return {
        "file": video.path.name,
        "roi": roi,
        "frame_width": video.width,
        "frame_height": video.height,
        "frame_rate": video.frame_rate,
    }
