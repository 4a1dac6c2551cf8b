"""Motion of synthetic videos, whose frames are known."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from sklearn.decomposition import PCA

from lsdx.errors import ArgumentError, MissingPackage, SourceError
from lsdx.video import motion_components, motion_energy

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write frames (n, height, width) uint8; FFV1 in grey loses nothing."""

    def written(
        frames: np.ndarray,
        name: str = "a.mkv",
        codec: str = "ffv1",
        pix_fmt: str = "gray",
        **options: str,
    ) -> Path:
        path = tmp_path / name
        with av.open(path, "w") as file:
            stream = file.add_stream(codec, rate=30, options=options)
            stream.height, stream.width = frames.shape[1:]
            stream.pix_fmt = pix_fmt
            for grey in frames:
                file.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="gray")))
            file.mux(stream.encode())
        return path

    return written


def noise(n: int, height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, height, width), dtype=np.uint8)


def expected_motion(frames: np.ndarray, bin_px: int = 1) -> np.ndarray:
    """Work out |difference| of squares slowly, in float64, without frame 0."""
    n, height, width = (frames.shape[0], *(s // bin_px for s in frames.shape[1:]))
    squares = np.array(
        [
            [
                [
                    f[y * bin_px : (y + 1) * bin_px, x * bin_px : (x + 1) * bin_px].mean()
                    for x in range(width)
                ]
                for y in range(height)
            ]
            for f in frames.astype(float)
        ]
    )
    assert squares.shape == (n, height, width)
    return np.abs(np.diff(squares, axis=0))


@pytest.fixture
def walks() -> np.ndarray:
    """Draw 300 frames in which three patches flicker, over a little noise."""
    rng = np.random.default_rng(3)
    frames = np.full((300, 32, 40), 120.0)
    frames[:, 4:12, 4:12] += rng.normal(0, 30, (300, 1, 1))
    frames[:, 16:28, 8:16] += rng.normal(0, 15, (300, 1, 1))
    frames[:, 4:28, 28:36] += rng.normal(0, 7, (300, 1, 1))
    frames += rng.normal(0, 1, frames.shape)
    return frames.round().clip(0, 255).astype(np.uint8)


# motion energy


def test_falling_brightness_has_positive_energy(write: Write) -> None:
    levels = np.array([250, 200, 199, 3, 255], dtype=np.uint8)
    path = write(np.broadcast_to(levels[:, None, None], (5, 16, 16)))
    found = motion_energy(path)
    np.testing.assert_array_equal(found, [np.nan, 50, 1, 196, 252])
    assert found.dtype == np.float32
    assert found.dims == ("time",)
    np.testing.assert_array_equal(found.time, np.arange(5))
    assert found.attrs["units"] == "grey levels"
    assert found.attrs["frame_rate"] == 30
    assert found.attrs["file"] == "a.mkv"


@pytest.mark.parametrize("name", ["a.mkv", "a.avi"])
def test_energy_is_the_mean_absolute_difference(write: Write, name: str) -> None:
    frames = noise(20)
    found = motion_energy(write(frames, name))
    np.testing.assert_allclose(found[1:], expected_motion(frames).mean((1, 2)), rtol=1e-6)


def test_a_region_of_interest_is_columns_then_rows(write: Write) -> None:
    frames = noise(8)
    found = motion_energy(write(frames), roi=(20, 3, 7, 11))
    part = expected_motion(frames[:, 3:14, 20:27])
    np.testing.assert_allclose(found[1:], part.mean((1, 2)), rtol=1e-6)
    assert found.attrs["roi"] == [20, 3, 7, 11]


def test_times_of_the_frames_become_the_time_axis(write: Write) -> None:
    times = np.array([3.0, 3.05, 3.0667, 4.0])
    found = motion_energy(write(noise(4)), times=times)
    np.testing.assert_array_equal(found.time, times)
    np.testing.assert_array_equal(found.frame, [0, 1, 2, 3])
    assert found.time.attrs["units"] == "s"


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options"),
    [
        ("a.mkv", "ffv1", "gray", {}),
        ("a.avi", "ffv1", "gray", {}),
        ("a.mp4", "libx264", "yuv420p", {"g": "12", "bf": "3", "b-adapt": "0"}),
        ("a.avi", "mpeg4", "yuv420p", {"g": "12", "bf": "2"}),
        ("a.h264", "libx264", "yuv420p", {"g": "12"}),
    ],
)
def test_a_window_holds_the_values_of_the_whole(
    write: Write, walks: np.ndarray, name: str, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    """Whatever frames can be decoded by themselves: seeking changes no value."""
    path = write(walks[:100], name, codec, pix_fmt, **options)
    times = 7 + np.arange(100) / 30 + np.random.default_rng(0).uniform(0, 0.01, 100)
    whole = motion_energy(path, times=times)
    assert np.isfinite(whole[1:]).all()
    windows = [(0, 1), (11, 30), (25, 60), (98, 100), *((i, i + 1) for i in range(1, 50))]
    for first, last in windows:
        part = motion_energy(path, times=times, start=times[first], stop=times[last - 1] + 1e-6)
        np.testing.assert_array_equal(part.frame, np.arange(first, last))
        np.testing.assert_array_equal(part, whole[first:last])
        np.testing.assert_array_equal(part, motion_energy(path, start=first, stop=last))


def test_times_that_go_back_choose_their_frames(write: Write) -> None:
    path = write(noise(5))
    whole = motion_energy(path)
    found = motion_energy(path, times=[0.0, 3.0, 1.0, 1.5, 5.0], start=1, stop=4)
    np.testing.assert_array_equal(found.frame, [1, 2, 3])
    np.testing.assert_array_equal(found, whole[1:4])
    found = motion_energy(path, times=[2.0, 9.0, 1.0, 1.5, 5.0], start=1, stop=4)
    np.testing.assert_array_equal(found.frame, [0, 2, 3])
    np.testing.assert_array_equal(found, whole[[0, 2, 3]])


def test_colours_are_read_in_grey(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(path, "w") as file:
        stream = file.add_stream("ffv1", rate=30, width=16, height=16, pix_fmt="bgr0")
        for level in (200, 90):
            colour = np.full((16, 16, 3), level, dtype=np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(colour, format="rgb24")))
        file.mux(stream.encode())
    assert motion_energy(path)[1] == pytest.approx(110, abs=1)


# components


@pytest.mark.parametrize("bin_px", [1, 3, 4])
def test_components_are_those_of_a_full_pca(write: Write, bin_px: int) -> None:
    """As many frames as are kept: nothing is dropped."""
    frames = noise(40, 24, 33)
    motion = expected_motion(frames, bin_px)
    full = PCA(n_components=5, svd_solver="full").fit(motion.reshape(39, -1))
    found = motion_components(write(frames), n_components=5, bin_px=bin_px)
    flat = found.components.values.reshape(5, -1)
    cosine = (flat * full.components_).sum(axis=1)
    np.testing.assert_allclose(np.abs(cosine), 1, atol=1e-4)
    np.testing.assert_allclose(found.explained_variance, full.explained_variance_ratio_, rtol=1e-5)
    scores = full.transform(motion.reshape(39, -1)) * np.sign(cosine)
    np.testing.assert_allclose(found.scores[1:], scores, atol=0.02 * scores.std())
    np.testing.assert_allclose(found.mean_motion, motion.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.motion_energy[1:], motion.mean((1, 2)), rtol=1e-5)
    assert np.isnan(found.scores[0]).all()
    assert np.isnan(found.motion_energy[0])


def test_what_is_dropped_between_chunks_hardly_matters(write: Write, walks: np.ndarray) -> None:
    """Six chunks of 53 frames; motion has more dimensions than are kept."""
    motion = expected_motion(walks, 2).reshape(299, -1)
    full = PCA(n_components=3, svd_solver="full").fit(motion)
    found = motion_components(write(walks), n_components=3, bin_px=2)
    assert found.attrs["n_kept"] == 53
    cosine = (found.components.values.reshape(3, -1) * full.components_).sum(axis=1)
    np.testing.assert_allclose(np.abs(cosine), 1, atol=1e-4)
    np.testing.assert_allclose(found.explained_variance, full.explained_variance_ratio_, rtol=1e-4)
    assert (found.explained_variance <= full.explained_variance_ratio_ + 1e-6).all()


def test_explained_variance_is_the_share_of_the_scores(write: Write, walks: np.ndarray) -> None:
    found = motion_components(write(walks), n_components=8, bin_px=4)
    total = expected_motion(walks, 4).reshape(299, -1).var(axis=0).sum()
    scores = found.scores[1:].values.astype(float)
    np.testing.assert_allclose(found.explained_variance, scores.var(axis=0) / total, rtol=1e-4)
    assert (np.diff(found.explained_variance) <= 0).all()
    products = np.corrcoef(scores.T) - np.eye(8)
    assert np.abs(products).max() < 1e-3


def test_patches_come_back_as_components(write: Write, walks: np.ndarray) -> None:
    found = motion_components(write(walks), n_components=3, bin_px=4)
    flat = found.components.values.reshape(3, -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(3), atol=1e-5)
    assert (flat[np.arange(3), np.abs(flat).argmax(axis=1)] > 0).all()
    patches = [(slice(1, 3), slice(1, 3)), (slice(4, 7), slice(2, 4)), (slice(1, 7), slice(7, 9))]
    for component, patch in zip(found.components.values, patches, strict=True):
        assert (component[patch] ** 2).sum() > 0.95
    np.testing.assert_array_equal(found.x, 2 + 4 * np.arange(10))
    np.testing.assert_array_equal(found.y, 2 + 4 * np.arange(8))


def test_components_of_a_region_and_a_window(write: Write, walks: np.ndarray) -> None:
    path = write(walks)
    times = np.arange(300) / 30
    found = motion_components(
        path, n_components=2, bin_px=4, roi=(4, 8, 22, 21), times=times, start=2.0, stop=4.0
    )
    motion = expected_motion(walks[59:120, 8:29, 4:26], 4)
    np.testing.assert_allclose(found.mean_motion, motion.mean(0), rtol=1e-5)
    np.testing.assert_array_equal(found.frame, np.arange(60, 120))
    np.testing.assert_array_equal(found.time, times[60:120])
    np.testing.assert_array_equal(found.x, 4 + 2 + 4 * np.arange(5))
    np.testing.assert_array_equal(found.y, 8 + 2 + 4 * np.arange(5))
    assert np.isfinite(found.scores).all()


def test_a_still_video_has_no_variance(write: Write) -> None:
    frames = np.broadcast_to(noise(1), (10, 24, 32))
    found = motion_components(write(frames), n_components=2)
    assert np.isnan(found.explained_variance).all()
    np.testing.assert_array_equal(found.scores[1:], 0)
    np.testing.assert_array_equal(found.motion_energy[1:], 0)


def test_the_same_file_gives_the_same_bytes(write: Write, walks: np.ndarray) -> None:
    path = write(walks)
    first, second = (motion_components(path, n_components=3) for _ in range(2))
    assert first.identical(second)


def test_memory_does_not_grow_with_the_video(write: Write) -> None:
    def peak(path: Path) -> int:
        tracemalloc.start()
        motion_components(path, n_components=2, bin_px=1)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    short, long = (write(noise(n, 64, 64), f"{n}.mkv") for n in (110, 550))
    motion_components(short, n_components=2)  # imports are not counted
    all_frames = 549 * 64 * 64 * 4
    assert peak(long) - peak(short) < all_frames / 10


# errors


@pytest.mark.parametrize("function", [motion_energy, motion_components])
def test_what_is_no_video_is_named(
    function: Callable[..., object], write: Write, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=r"none\.mp4: expected a video file, found none"):
        function(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(SourceError, match=r"text\.mp4: expected a video that FFmpeg reads"):
        function(tmp_path / "text.mp4")
    whole = write(noise(30), "whole.mp4", "libx264", "yuv420p").read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"half\.mp4: expected a video that FFmpeg reads"):
        function(tmp_path / "half.mp4")
    with av.open(tmp_path / "sound.wav", "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), dtype=np.int16), "s16", "mono")
        sound.sample_rate = 8000
        file.mux(stream.encode(sound))
    with pytest.raises(SourceError, match=r"sound\.wav: expected a video stream, found none"):
        function(tmp_path / "sound.wav")


def test_a_frame_that_cannot_be_decoded_is_named(write: Write) -> None:
    path = write(noise(12), "whole.mkv", "mjpeg", "yuvj420p")
    with av.open(path) as file:
        packets = [bytes(packet) for packet in file.demux() if packet.size]
    content = path.read_bytes()
    assert content.count(packets[7]) == 1
    path.write_bytes(content.replace(packets[7], bytes(len(packets[7]))))
    with pytest.raises(SourceError, match=r"whole\.mkv: expected frames that can be decoded.* 7"):
        motion_energy(path)
    assert np.isfinite(motion_energy(path, start=1, stop=6)).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"roi": (0, 0, 33, 24)}, "roi: expected x, y, width, height inside 32 x 24 px"),
        ({"roi": (0, 20, 8, 8)}, "roi: expected x, y, width, height inside 32 x 24 px"),
        ({"roi": (-1, 0, 8, 8)}, "roi: expected a whole number of at least 0"),
        ({"roi": (0, 0, 0, 8)}, "roi: expected a whole number of at least 1"),
        ({"roi": (0, 0, 8)}, "roi: expected x, y, width, height"),
        ({"roi": 8}, "roi: expected x, y, width, height"),
        ({"times": np.arange(9.0)}, r"times: expected 10 times, .*, found shape \(9,\)"),
        ({"times": np.full(10, np.nan)}, "times: expected finite times, found 10 that are not"),
        (
            {"start": 10},
            r"start and stop: expected frames between 0 and 9, found none in \[10, inf",
        ),
        ({"start": 5, "stop": 5}, r"expected frames between 0 and 9, found none in \[5, 5\)"),
    ],
)
@pytest.mark.parametrize("function", [motion_energy, motion_components])
def test_wrong_arguments_are_named(
    function: Callable[..., object], write: Write, wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        function(write(noise(10)), **wrong)
    assert str(caught.value).startswith(f"{function.__name__}, ")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_components": 10}, "n_components: expected at most 9, found 10, with 9 frames"),
        (
            {"n_components": 5, "bin_px": 12},
            "at most 4, found 5, with 9 frames .* and 2 x 2 squares",
        ),
        ({"n_components": 1, "bin_px": 25}, "at most 0"),
        ({"n_components": 0}, "n_components: expected a whole number of at least 1"),
        ({"bin_px": 0}, "bin_px: expected a whole number of at least 1"),
    ],
)
def test_too_many_components_are_refused(write: Write, wrong: dict[str, int], message: str) -> None:
    path = write(np.ascontiguousarray(noise(10)[:, :24, :24]))
    with pytest.raises(ArgumentError, match=message):
        motion_components(path, **wrong)


def test_one_frame_has_no_motion(write: Write) -> None:
    path = write(noise(1))
    np.testing.assert_array_equal(motion_energy(path), [np.nan])
    with pytest.raises(ArgumentError, match="at most 0"):
        motion_components(path, n_components=1)


def test_without_pyav_the_command_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(noise(2))
    monkeypatch.setitem(sys.modules, "av", None)
    for function in (motion_energy, motion_components):
        with pytest.raises(MissingPackage, match=r"pip install 'lsdx\[video\]'"):
            function(path)
