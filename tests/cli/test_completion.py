"""Completion scripts, loaded by a real shell."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

from bailando.cli.completion import SHELLS, main

pytestmark = pytest.mark.skipif(importlib.util.find_spec("shtab") is None, reason="shtab is not installed")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("command", "typed", "expected"),
    [
        ("bailando-live", "--audio-d", "--audio-device"),
        ("bailando-generate", "--form", "--format"),
        ("bailando-doctor", "--no-a", "--no-audio"),
    ],
)
def test_bash_completes_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, typed: str, expected: str
) -> None:
    assert main(["bash", "--for", command]) == 0
    script = tmp_path / "completion.bash"
    script.write_text(capsys.readouterr().out)
    ask = f"""source {script}
COMP_WORDS=({command} {typed}); COMP_CWORD=1; COMP_LINE="{command} {typed}"; COMP_POINT=${{#COMP_LINE}}
$(complete -p {command} | sed 's/.*-F \\([^ ]*\\) .*/\\1/') {command} {typed} {command}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout.split() == [expected], done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([shell]) == 0
    assert "telemetry" in capsys.readouterr().out
