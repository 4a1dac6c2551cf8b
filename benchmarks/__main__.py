"""Run the benchmarks: ``python -m benchmarks [--quick]``."""

from __future__ import annotations

import argparse
import sys

from benchmarks.opening import importing, opening
from benchmarks.spikes import counting, grouping

BENCHMARKS = (grouping, counting, importing, opening)


def main() -> int:
    """Run every benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, for a smoke test")
    quick = parser.parse_args().quick
    if quick:
        sys.stdout.write("QUICK: small sizes; the ratios mean nothing\n")
    sys.stdout.write("| job | lsdx | other way | ratio |\n|---|---|---|---|\n")
    for benchmark in BENCHMARKS:
        sys.stdout.write(benchmark(quick).row() + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
