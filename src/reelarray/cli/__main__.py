"""`python -m reelarray.cli`: `reel` of this interpreter."""

import sys

from . import main

sys.exit(main())
