"""Completion scripts, loaded by real shells."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

from bailando.cli.completion import PARSERS, SHELLS, main

pytestmark = pytest.mark.skipif(importlib.util.find_spec("shtab") is None, reason="shtab is not installed")


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script of all commands."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    script = tmp_path_factory.mktemp("completion") / "completion.bash"
    with pytest.MonkeyPatch.context() as patch, script.open("w") as stream:
        patch.setattr("sys.stdout", stream)
        assert main(["bash"]) == 0
    return script


def completed(script: Path, *words: str) -> list[str]:
    """Return what bash offers in place of the last word."""
    ask = f"""source {script}
COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; COMP_LINE="{" ".join(words)}"
COMP_POINT=${{#COMP_LINE}}
$(complete -p {words[0]} | sed 's/.*-F \\([^ ]*\\) .*/\\1/') {words[0]} {words[-1]} {words[-2]}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, timeout=20, check=False)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("bailando-live --audio-d", "--audio-device"),
        ("bailando-live --live", "--livelink"),
        ("bailando-generate --form", "--format"),
        ("bailando-doctor --no-a", "--no-audio"),
        ("bailando-export --official-v", "--official-vqvae"),
        ("bailando-train eval", "evaluate"),
        ("bailando-train prepare --joint", "--joint-map"),
        ("bailando-bench run --q", "--quick"),
        ("bailando gen", "generate"),
        ("bailando live --tele", "--telemetry"),
        ("bailando train gpt --pre", "--preset"),
    ],
)
def test_bash_completes_commands_and_options(bash_script: Path, typed: str, expected: str) -> None:
    assert completed(bash_script, *typed.split()) == [expected]


def test_bash_completes_names_of_files(bash_script: Path, tmp_path: Path) -> None:
    (tmp_path / "dancer.pt").touch()
    assert completed(bash_script, "bailando-export", f"{tmp_path}/dan") == [f"{tmp_path}/dancer.pt"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_has_a_completion_for_every_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zsh"]) == 0
    script = tmp_path / "completion.zsh"
    script.write_text(capsys.readouterr().out)
    ask = f'autoload -U compinit; compinit -D; eval "$(cat {script})"; print -l ${{(k)_comps[(I)bailando*]}}'
    done = subprocess.run(["zsh", "-f", "-c", ask], capture_output=True, text=True, timeout=30, check=False)
    assert set(done.stdout.split()) == set(PARSERS), done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script_for_one_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([shell, "--for", "bailando-live"]) == 0
    script = capsys.readouterr().out
    assert "telemetry" in script
    assert "overwrite" not in script
