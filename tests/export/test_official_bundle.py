from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from bailando.cli.export import main as export_main
from bailando.cli.generate import main as generate_main
from bailando.engine.dancer import Dancer
from bailando.engine.performance import Performance
from bailando.errors import ExportError
from bailando.export.official import load_gpt, load_vqvae
from bailando.export.official_bundle import OfficialOptions, OfficialResult, export_official
from bailando.export.official_graphs import official_decoder_graph, official_gpt_graph
from bailando.export.official_measure import FULL_LOOKAHEAD, choose_lookahead, truncation_errors
from bailando.export.official_models import LOWER_JOINTS
from bailando.export.official_pickle import read_official
from bailando.export.official_sampling import generate_greedily
from bailando.export.report import official_lines
from bailando.motion.motion import load_npz
from bailando.music.audio import load_mono

DATA = Path(__file__).parents[1] / "data"
SONG = DATA / "music/panic_on_meadow.ogg"
VQVAE, GPT = DATA / "official/sep_vqvae_root_tiny.pt", DATA / "official/cc_motion_gpt_tiny.pt"
MUSIC_TRANSFORMER = DATA / "official/cc_motion_gpt_music_trans_tiny.pt"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The bundle that the command makes of the published layout, and what it prints."""
    import contextlib
    import io

    path = tmp_path_factory.mktemp("official") / "bundle"
    printed = io.StringIO()
    arguments = ["--official-vqvae", str(VQVAE), "--official-gpt", str(GPT), "-o", str(path)]
    with contextlib.redirect_stdout(printed):
        assert export_main(arguments) == 0
    return path, printed.getvalue()


@pytest.fixture(scope="module")
def plus_plus(tmp_path_factory: pytest.TempPathFactory) -> OfficialResult:
    """A bundle of the Bailando++ layout, with one block where the fixtures have several."""
    folder = tmp_path_factory.mktemp("plus_plus")
    vqvae = _shrunk(VQVAE, r"decoders_root|\.model\.\d\.[01]\.model\.[12]\.", folder / "v.pt")
    gpt = _shrunk(MUSIC_TRANSFORMER, r"blocks\.1\.", folder / "g.pt")
    return export_official(vqvae, gpt, folder / "bundle", OfficialOptions(lookahead=2))


def _shrunk(path: Path, left_out: str, to: Path) -> Path:
    checkpoint = read_official(path)
    kept = {name: tensor for name, tensor in checkpoint.tensors.items() if not re.search(left_out, name)}
    torch.save({"model": {f"module.{n}": t for n, t in kept.items()}, "config": checkpoint.config}, to)
    return to


@pytest.mark.parametrize("shift", [None, 15])
def test_music_transformer_steps_as_the_published_procedure(shift: int | None) -> None:
    model = load_gpt(MUSIC_TRANSFORMER)
    music = torch.from_numpy(np.load(DATA / "official/gpt_music_window_tiny.npz")["music60"])
    codes, steps = (torch.tensor([3]), torch.tensor([5])), 62
    expected = generate_greedily(model, music, *codes, steps=steps, shift=shift)
    graph = official_gpt_graph(model, shift=shift)
    state, style, tokens = graph.state, torch.zeros(1, dtype=torch.int64), music.reshape(1, -1, 440)
    for step in range(steps):
        heard = tokens[:, step : step + 11].flatten(1)
        inputs = {"music": heard, "upper_code": codes[0], "lower_code": codes[1], "style": style}
        outputs, state = graph.call(inputs, state)
        codes = outputs["upper_logits"].argmax(-1), outputs["lower_logits"].argmax(-1)
        assert [int(code) for code in codes] == [int(half[0, step + 1]) for half in expected]


def test_bailando_plus_plus_dances_live(plus_plus: OfficialResult) -> None:
    dancer = Dancer.open(plus_plus.bundle.path)
    manifest = dancer.manifest
    assert (manifest.lookahead_tokens, manifest.music_lead_tokens) == (2, 8)
    assert manifest.features["kind"] == "published-55"
    assert manifest.validation["published_sampling_identical"]
    approximations = manifest.validation["approximations"]
    assert "exactly as published" in approximations["music_note"]
    if "groups" in approximations["features"]:
        groups = approximations["features"]["groups"]
        assert min(groups[name]["correlation"] for name in ("mfcc", "mfcc_delta", "onset")) > 0.9
    assert any("8: motion comes 1.33 s" in line for line in official_lines(plus_plus))
    samples = load_mono(SONG, 24000)[: 24000 * 4]
    dances = []
    for size in (777, 24000):
        performance = Performance(dancer, dancer.session())
        blocks = np.split(samples, range(size, len(samples), size))
        chunks = [chunk for block in blocks for chunk in performance.feed(block)] + performance.finish()
        dances.append(np.concatenate([chunk.rotations for chunk in chunks]))
    assert len(dances[0]) >= 4 * 60
    assert np.isfinite(dances[0]).all()
    np.testing.assert_array_equal(dances[0], dances[1])


@pytest.mark.parametrize("shift", [None, 15])
def test_step_graph_samples_as_the_published_procedure(shift: int | None) -> None:
    model = load_gpt(GPT)
    music = torch.from_numpy(np.load(DATA / "official/gpt_tiny.npz")["music"])
    codes = torch.tensor([3]), torch.tensor([5])
    expected = generate_greedily(model, music, *codes, steps=90, shift=shift)
    graph = official_gpt_graph(model, shift=shift)
    state, style = graph.state, torch.zeros(1, dtype=torch.int64)
    for step in range(90):
        inputs = {"music": music[:, step], "upper_code": codes[0], "lower_code": codes[1], "style": style}
        outputs, state = graph.call(inputs, state)
        codes = outputs["upper_logits"].argmax(-1), outputs["lower_logits"].argmax(-1)
        assert [int(code) for code in codes] == [int(half[0, step + 1]) for half in expected]


@pytest.mark.parametrize("lookahead", [8, FULL_LOOKAHEAD])
def test_step_graph_decodes_as_offline_up_to_its_lookahead(lookahead: int) -> None:
    vqvae, tokens = load_vqvae(VQVAE), 56
    upper, lower = torch.randint(0, 32, (2, 2, tokens), generator=torch.Generator().manual_seed(0))
    graph = official_decoder_graph(vqvae, lookahead, batch=2)
    state = graph.state
    for newest in range(tokens):
        outputs, state = graph.call({"upper_code": upper[:, newest], "lower_code": lower[:, newest]}, state)
        if newest < lookahead or 8 < newest - lookahead < 24:
            continue
        first = 8 * (newest - lookahead)
        raw = vqvae.decode_raw(upper[:, : newest + 1], lower[:, : newest + 1])[:, first : first + 8]
        expected = raw.reshape(2, 8, 24, 3)[:, :, list(LOWER_JOINTS)].flatten(2)
        torch.testing.assert_close(outputs["lower_pose"], expected, atol=1e-5, rtol=0)


def test_less_future_costs_more_and_the_choice_keeps_the_bound() -> None:
    codes = torch.randint(0, 32, (2, 1, 60), generator=torch.Generator().manual_seed(1))
    errors = truncation_errors(load_vqvae(VQVAE), codes[0], codes[1])
    assert errors[FULL_LOOKAHEAD] < 1e-5 < errors[8] < errors[1] < errors[0]
    chosen = choose_lookahead(errors)
    assert errors[chosen] <= 0.02 < max(error for n, error in errors.items() if n < chosen)


def test_command_prints_and_records_what_is_approximate(made: tuple[Path, str]) -> None:
    path, printed = made
    manifest = Dancer.open(path).manifest
    assert f"look-ahead {manifest.lookahead_tokens} tokens" in printed
    assert "greedy codes as the published sampling's" in printed
    errors = manifest.validation["truncation_over_deviation"]
    assert errors[str(manifest.lookahead_tokens)] <= 0.02
    approximations = manifest.validation["approximations"]
    assert "zero" in approximations["rhythm"]
    if "groups" in approximations["features"]:
        assert approximations["features"]["groups"]["mfcc"]["correlation"] > 0.9
    assert export_main(["verify", str(path)]) == 0


def test_generate_dances_it_to_the_end_and_live_is_the_same(made: tuple[Path, str], tmp_path: Path) -> None:
    path, _ = made
    output = tmp_path / "dance.npz"
    assert generate_main([str(SONG), "-o", str(output), "--model", str(path), "--quiet"]) == 0
    motion = load_npz(output)
    samples = load_mono(SONG, 24000)
    assert motion.frame_count == -(-len(samples) * 60 // 24000)
    assert np.isfinite(motion.positions).all()
    dancer = Dancer.open(path)
    live = Performance(dancer, dancer.session())
    blocks = np.split(samples, range(777, len(samples), 777))
    chunks = [chunk for block in blocks for chunk in live.feed(block)] + live.finish()
    rotations = np.concatenate([chunk.rotations for chunk in chunks])[: motion.frame_count]
    # q and -q are one rotation; files keep the sign continuous.
    same = np.abs(np.sum(rotations * motion.rotations, axis=-1))
    np.testing.assert_allclose(same, 1.0, atol=1e-5)
    assert [chunk.first_frame for chunk in chunks] == list(range(0, 8 * len(chunks), 8))


def test_chunks_come_as_late_as_the_manifest_says_and_snapshots_restore(made: tuple[Path, str]) -> None:
    dancer = Dancer.open(made[0])
    performance = Performance(dancer, dancer.session())
    random = np.random.default_rng(0)
    tokens = [random.normal(0, 0.1, 3200).astype(np.float32) for _ in range(dancer.delay_tokens + 4)]
    counts = [len(performance.feed(token)) for token in tokens]
    assert sum(counts[: dancer.delay_tokens - 1]) == 0
    assert sum(counts) == len(tokens) - dancer.delay_tokens + 1
    session, music = performance.session, random.normal(0, 1, 438).astype(np.float32)
    snapshot = session.snapshot()
    first = session.step(music)
    session.restore(snapshot)
    again = session.step(music)
    np.testing.assert_array_equal(first.rotations, again.rotations)
    assert (first.first_frame, first.upper_code) == (again.first_frame, again.upper_code)


def test_what_cannot_be_exported_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["-o", str(tmp_path / "b")]
    pairs: list[list[str]] = [
        ["--official-vqvae", str(VQVAE)],
        ["--official-vqvae", str(VQVAE), "--official-gpt", str(VQVAE)],
        ["--official-vqvae", str(VQVAE), "--official-gpt", str(GPT), "--precision", "fp16"],
        [],
    ]
    for arguments in pairs:
        assert export_main([*arguments, *output]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("values", [{"lookahead": 26}, {"lookahead": -1}, {"shift": 0}, {"shift": 28}])
def test_options_out_of_range_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ExportError, match="expected"):
        OfficialOptions(**values)
