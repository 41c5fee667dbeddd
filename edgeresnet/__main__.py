"""``python -m edgeresnet``."""

import sys

from edgeresnet.cli import main

sys.exit(main())
