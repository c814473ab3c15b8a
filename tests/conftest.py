"""Set before anything is tested, for all tests."""

from __future__ import annotations

import os

# Commands that tests start must run the installed package, as the tests do, and not the source folder
# that happens to be the working directory.
os.environ["PYTHONSAFEPATH"] = "1"
