"""Recipe to lazy Dataset, validated, written, verified, published."""

from lsdx.build.recipe import Recipe
from lsdx.build.report import Report
from lsdx.build.run import build

__all__ = ["Recipe", "Report", "build"]
