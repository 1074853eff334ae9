"""`python -m coldframe` is the same as `coldframe`."""

import sys

from coldframe.cli import main

sys.exit(main())
