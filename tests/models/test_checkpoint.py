from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from bailando.errors import InputError
from bailando.models.checkpoint import DancerCheckpoint, load_checkpoint, save_checkpoint
from bailando.models.code_movement import CodeMovement
from tests.export.factory import small_checkpoint


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "dancer.pt"
    save_checkpoint(path, small_checkpoint())
    return path


def altered(path: Path, **changes: Any) -> Path:
    content = torch.load(path, weights_only=True)
    torch.save(content | changes, path)
    return path


def test_checkpoint_reads_back_equal(saved: Path) -> None:
    before, after = small_checkpoint(), load_checkpoint(saved)
    assert after.gpt.config == before.gpt.config
    assert after.upper_vqvae.config == before.upper_vqvae.config
    for name, tensor in before.gpt.state_dict().items():
        assert torch.equal(after.gpt.state_dict()[name], tensor), name
    for name in ("features", "skeleton", "styles", "style_shares", "start_codes", "sampling", "provenance"):
        assert getattr(after, name) == getattr(before, name), name
    assert not after.gpt.training
    assert [p.name for p in saved.parent.iterdir()] == ["dancer.pt"]


def test_residual_codes_read_back_equal(saved: Path) -> None:
    before, after = small_checkpoint().residual, load_checkpoint(saved).residual
    assert before is not None
    assert after is not None
    assert after.config == before.config
    for name, tensor in before.state_dict().items():
        assert torch.equal(after.state_dict()[name], tensor), name


def test_the_critic_of_codes_reads_back_equal(saved: Path) -> None:
    before, after = small_checkpoint(), load_checkpoint(saved)
    assert before.movement is not None
    assert after.movement is not None
    assert (after.movement.config, after.groove) == (before.movement.config, before.groove)
    for name, tensor in before.movement.state_dict().items():
        assert torch.equal(after.movement.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("groove", "message"),
    [
        (None, "give both or neither"),
        ({"strength": 5.0}, "damaged"),
        ({"strength": -5.0, "restraint": 0.0, "lead_frames": 2.0, "sure": 0.5}, "strength is -5.0"),
        ({"strength": "5", "restraint": 0.0, "lead_frames": 2.0, "sure": 0.5}, "damaged"),
    ],
)
def test_a_critic_with_no_fitting_groove_is_refused(saved: Path, groove: object, message: str) -> None:
    content = torch.load(saved, weights_only=True)
    torch.save(content | {"groove": groove}, saved)
    with pytest.raises(InputError, match=message):
        load_checkpoint(saved)


def test_a_critic_of_other_codes_is_refused() -> None:
    checkpoint = small_checkpoint()
    assert checkpoint.movement is not None
    other = CodeMovement(dataclasses.replace(checkpoint.movement.config, codes=5))
    with pytest.raises(InputError, match="movement does not fit"):
        dataclasses.replace(checkpoint, movement=other)


def test_a_dancer_of_version_3_has_no_critic_of_codes(saved: Path) -> None:
    content = torch.load(saved, weights_only=True)
    del content["groove"]
    configs = {name: value for name, value in content["configs"].items() if name != "movement"}
    torch.save(content | {"version": 3, "configs": configs}, saved)
    older = load_checkpoint(saved)
    assert (older.movement, older.groove) == (None, None)


def test_a_dancer_of_version_1_has_no_residual_codes(saved: Path) -> None:
    content = torch.load(saved, weights_only=True)
    configs = {name: value for name, value in content["configs"].items() if name != "residual"}
    assert load_checkpoint(altered(saved, version=1, configs=configs)).residual is None


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_dancer_leaves_its_style_open(saved: Path, version: int) -> None:
    content = torch.load(saved, weights_only=True)
    del content["style_shares"]
    torch.save(content | {"version": version}, saved)
    assert load_checkpoint(saved).style_shares == (1.0, 0.0)


class _Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("/tmp/bailando-attack-ran"),))


def test_pickled_code_does_not_run(saved: Path) -> None:
    content = torch.load(saved, weights_only=True)
    content["attack"] = _Attack()
    torch.save(content, saved, pickle_module=pickle)
    with pytest.raises(InputError, match="cannot be loaded safely"):
        load_checkpoint(saved)
    assert not Path("/tmp/bailando-attack-ran").exists()


@pytest.mark.parametrize("data", [b"", b"not a checkpoint", pickle.dumps({"format": "bailando-dancer"})])
def test_foreign_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "foreign.pt"
    path.write_bytes(data)
    with pytest.raises(InputError, match="is no checkpoint"):
        load_checkpoint(path)


def test_truncated_file_is_refused(saved: Path) -> None:
    data = saved.read_bytes()
    saved.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="cut short"):
        load_checkpoint(saved)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "nothing.pt")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "no dancer checkpoint"),
        ({"version": 5}, "has version 5, expected 4"),
        ({"styles": ["salsa", "open"]}, "'open' first"),
        ({"styles": ["open"]}, "1 styles named, the model has 2"),
        ({"style_shares": [0.5, 0.2]}, "no shares of 2 styles"),
        ({"style_shares": [1.0]}, "no shares of 2 styles"),
        ({"style_shares": [1.5, -0.5]}, "no shares of 2 styles"),
        ({"start_codes": []}, "start_codes are missing"),
        ({"start_codes": [[0, 99]]}, "outside codebooks of 16"),
        ({"sampling": {"temperature": 1.0}}, "sampling has keys"),
        ({"state": {}}, "is damaged"),
        ({"configs": {"gpt": {"layers": 3}}}, "is damaged"),
    ],
)
def test_inconsistent_content_is_refused(saved: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_checkpoint(altered(saved, **changes))
    assert "\n" not in str(caught.value)


def test_weights_of_a_diverged_training_are_refused(saved: Path) -> None:
    state = torch.load(saved, weights_only=True)["state"]
    state["gpt"]["norm.weight"][0] = float("nan")
    with pytest.raises(InputError, match=r"norm\.weight is not finite"):
        load_checkpoint(altered(saved, state=state))


def test_failed_write_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    checkpoint: DancerCheckpoint = dataclasses.replace(small_checkpoint(), start_codes=((5, 5),))
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(saved, checkpoint)
    assert saved.read_bytes() == before
