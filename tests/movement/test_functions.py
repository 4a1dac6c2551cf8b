"""movement's own functions on a pose of the form that `lsdx.open_pose` gives."""

from __future__ import annotations

import numpy as np
import xarray as xr
from movement.filtering import filter_by_confidence, interpolate_over_time
from movement.kinematics import compute_speed
from movement.validators.datasets import ValidPosesInputs


def test_movement_takes_it_for_a_pose(pose: xr.Dataset) -> None:
    ValidPosesInputs.validate(pose)
    assert pose.position.dims == ValidPosesInputs.DIM_NAMES
    assert pose.attrs["ds_type"] == "poses"
    assert pose.attrs["time_unit"] == "seconds"


def test_points_of_low_confidence_are_filtered(pose: xr.Dataset) -> None:
    least = float(pose.confidence.quantile(0.1))
    found = filter_by_confidence(pose.position, pose.confidence, threshold=least)
    low = (pose.confidence < least).broadcast_like(pose.position).transpose(*found.dims).values
    assert low.any()
    np.testing.assert_array_equal(np.isnan(found.values), low | np.isnan(pose.position.values))
    np.testing.assert_array_equal(found.values[~low], pose.position.values[~low])


def test_gaps_are_filled_by_frames_in_a_line(pose: xr.Dataset) -> None:
    """movement interpolates by frame, not by time: halfway between two frames is their mean."""
    position = pose.position.load().copy()
    position[101] = np.nan
    position[201:206] = np.nan
    found = interpolate_over_time(position, max_gap=2)
    half = (pose.position[100].astype(float) + pose.position[102].astype(float)) / 2
    np.testing.assert_allclose(found[101], half, rtol=1e-5)
    assert np.isnan(found[201:206]).all()


def test_speed_is_that_of_the_frames_times(pose: xr.Dataset) -> None:
    found = compute_speed(pose.position)
    assert found.dims == ("time", "keypoints", "individuals")
    times, position = pose.time.values, pose.position.values.astype(float)
    assert np.ptp(np.diff(times)) > 0  # uneven, else the test would say nothing
    velocity = np.gradient(position, times, axis=0)
    expected = np.sqrt((velocity**2).sum(axis=1))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.nanmax(expected))
