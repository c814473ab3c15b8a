"""Set before anything is tested, for all tests."""

from __future__ import annotations

import os
import time
from collections.abc import Generator

import psutil
import pytest

# Commands that tests start must run the installed package, as the tests do, and not the source folder
# that happens to be the working directory.
os.environ["PYTHONSAFEPATH"] = "1"

# Share of the cores' time from which on what failed in real time says nothing of the code.
STOLEN_SHARE = 0.03


class Theft:
    """What a hypervisor takes from this machine, from now on."""

    def __init__(self) -> None:
        self._stolen_s, self._since_s = self._stolen_so_far_s(), time.monotonic()

    def share(self) -> float:
        """Return the part of all cores' time that was taken, 0 where the system does not tell."""
        passed_s = max(time.monotonic() - self._since_s, 1e-3) * (os.cpu_count() or 1)
        return (self._stolen_so_far_s() - self._stolen_s) / passed_s

    @staticmethod
    def _stolen_so_far_s() -> float:
        return float(getattr(psutil.cpu_times(), "steal", 0.0))


THEFT = pytest.StashKey[Theft]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[THEFT] = Theft()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count tests of real time as skipped that failed while the host took the machine away."""
    report = yield
    if report.when == "call" and report.failed and item.get_closest_marker("real_time"):
        share = item.stash[THEFT].share()
        if share > STOLEN_SHARE:
            said = str(call.excinfo.value if call.excinfo else "").strip().splitlines()
            reason = (
                f"Skipped: the host took {share:.0%} of the machine meanwhile ({''.join(said[:1])[:120]})"
            )
            path, line, _ = item.location
            report.outcome, report.longrepr = "skipped", (path, (line or 0) + 1, reason)
    return report
