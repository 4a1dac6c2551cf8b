"""Keypoints of the left camera at full rate."""

from lsdx.assemble.pose import assemble_pose
from lsdx.builders.recipe import Recipe

recipe = Recipe(
    store="pose",
    assemble=assemble_pose,
    inputs=("behavior",),
    parameters={"camera": "left"},
)
