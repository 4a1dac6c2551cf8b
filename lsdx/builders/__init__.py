"""Recipe to lazy Dataset, validated, written, verified, published."""

from lsdx.builders.recipe import Recipe
from lsdx.builders.report import Report
from lsdx.builders.run import build

__all__ = ["Recipe", "Report", "build"]
