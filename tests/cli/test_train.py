from __future__ import annotations

from pathlib import Path

import pytest
from swings import swinging, write_clicks

from bailando.cli.train import main
from bailando.engine.groove import GrooveSpec
from bailando.models.checkpoint import load_checkpoint
from bailando.training.dataset import Dataset


def test_one_command_makes_a_dancer_of_motion_and_music(tmp_path: Path) -> None:
    from bailando.motion.bvh import write_bvh

    motion, music, data, run = (tmp_path / name for name in ("motion", "music", "data", "run"))
    motion.mkdir()
    music.mkdir()
    for number in range(3):
        write_bvh(motion / f"swing_{number}.bvh", swinging(160, phase=float(number)))
    write_clicks(music / "song.wav", 0.5, 12.0, 0)
    folders = ["--motion", str(motion), "--music", str(music), "--data", str(data), "-o", str(run)]
    assert main(["all", "--preset", "tiny", "--name", "swinger", *folders]) == 0
    dancer = load_checkpoint(run / "dancer.pt")
    assert dancer.provenance.name == "swinger"
    assert dancer.styles == Dataset(data).styles
    assert [source["name"] for source in dancer.provenance.data] == ["motion", "music"]
    assert 1 <= len(dancer.start_codes) <= 48
    assert dancer.movement is not None
    assert dancer.groove == GrooveSpec(strength=8.0, restraint=0.02, lead_frames=2.0, sure=0.7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vqvae", "--data", "nowhere", "-o", "run"], "no data set at nowhere"),
        (["prepare", "-o", "data"], "no motion given"),
        (["gpt", "--preset", "grand", "--data", "nowhere", "-o", "run"], "no preset 'grand'"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
