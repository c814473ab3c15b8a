"""bailando-doctor and the door to all commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailando import __version__
from bailando.cli.doctor import main as doctor
from bailando.cli.umbrella import COMMANDS, main
from tests.engine.udp_receiver import receiver


def test_report_has_findings_with_advice(bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with receiver() as inbox:
        options = ["--model", str(bundle_path), "--no-audio", "--pose", "0.1", "--no-osc"]
        doctor([*options, "--vmc", f"127.0.0.1:{inbox.port}"])  # how fast a busy machine is, is not tested
        assert len(inbox.waiting()) >= 12
    text = capsys.readouterr().out
    for words in (f"bailando {__version__}", "timer wakes", "a token takes", "port 8060", "-> look: upright"):
        assert words in text
    assert " findings, " in text.splitlines()[-1]


def test_failure_gives_another_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--model", str(tmp_path / "none"), "--no-audio", "--pose", "0", "--no-osc", "--no-vmc"]
    assert doctor(options) == 1
    assert "[FAIL] no bundle at" in capsys.readouterr().out


def test_help_fits_a_screen_with_three_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        doctor(["--help"])
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 50
    assert text.split("examples:")[1].count("bailando-doctor ") == 3


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"completion"}))
def test_every_command_is_behind_the_door(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"bailando-{command}" in capsys.readouterr().out


def test_door_tells_its_commands_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in COMMANDS)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"bailando {__version__}\n"


def test_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generat"]) == 2
    assert capsys.readouterr().err == "bailando: error: unknown command 'generat'; did you mean generate?\n"
