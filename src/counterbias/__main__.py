"""Run the command line as ``python -m counterbias``."""

from __future__ import annotations

import sys

from counterbias.cli import main

sys.exit(main())
