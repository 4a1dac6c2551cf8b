"""``python -m lsdx`` is the ``lsdx`` command."""

import sys

from lsdx.cli import main

sys.exit(main())
