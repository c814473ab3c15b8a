"""A test of real time that failed while the host took the machine away is told as skipped, no other is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

TESTS = """
import conftest, pytest

@pytest.mark.real_time
@pytest.mark.parametrize("share", [0.4, 0.0])
def test_deadline(share):
    setattr(conftest.Theft, "_stolen_so_far_s", lambda self: share * 1e6)
    assert False, "frames lost"

def test_other():
    conftest.Theft._stolen_so_far_s = lambda self: 1e6
    assert False, "wrong"
"""
SETTINGS = "[pytest]\nmarkers =\n  real_time: keeps deadlines\npythonpath = .\n"


def test_only_what_failed_in_real_time_on_a_taken_machine_is_skipped(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_them.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    assert "2 failed, 1 skipped" in said
    assert "the host took" in said
    assert "(frames lost" in said
