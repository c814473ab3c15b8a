"""Evaluation on dances made so that the right table is known."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from dance_material import swaying, write_clicks, write_dances, write_dataset
from engine.synthetic_bundle import groove_arrays, write_synthetic_bundle

from bailando.errors import ConfigError, InputError
from bailando.training import evaluate_material
from bailando.training.evaluate import EvaluateOptions, add_evaluate_command, run_evaluate
from bailando.training.metrics.figures import Dance, clip_features, cut_clips, set_figures


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


def test_truth_on_its_beats_scores_above_chance_and_the_mean_pose_scores_nothing(dataset, capsys) -> None:
    table = run_evaluate(EvaluateOptions(data=dataset))["tables"]["held-out pairs"]
    truth, mean_pose = table["ground truth"], table["mean pose"]
    assert truth["bas_music"] > 0.75 > 0.4 > truth["bas_music_random_phase"]
    assert truth["bas_share"] == pytest.approx(1)
    assert truth["phase_lock"] > 0.95
    assert abs(truth["preferred_phase"]) < 0.05
    assert (mean_pose["bas_music"], mean_pose["joint_speed_m_s"], mean_pose["jitter_m_s3"]) == (0, 0, 0)
    assert mean_pose["phase_lock"] is None
    assert "BAS over music beats" in capsys.readouterr().out


def test_random_clips_come_from_the_training_side_and_differ_by_seed(dataset) -> None:
    truth = evaluate_material.truth_of_dataset(dataset)
    assert [dance.name for dance in truth.judged] == ["c", "d"]
    assert [dance.name for dance in truth.others] == ["a", "b"]
    sums = [
        sum(
            float(dance.positions.sum()) for dance in evaluate_material.random_clips(truth.music, truth, seed)
        )
        for seed in (0, 0, 3)
    ]
    assert sums[0] == sums[1] != sums[2]


def test_mean_pose_stands_with_the_bones_of_the_body(dataset) -> None:
    pose = evaluate_material.truth_of_dataset(dataset).mean_pose
    ours = np.linalg.norm(pose[18] - pose[16])
    body = swaying().positions[0]
    assert ours == pytest.approx(np.linalg.norm(body[18] - body[16]), rel=1e-4)


def test_a_bundle_dances_to_the_held_out_pairs(dataset, tmp_path) -> None:
    bundle = write_synthetic_bundle(tmp_path / "bundle")
    report = tmp_path / "figures.json"
    result = run_evaluate(EvaluateOptions(bundle=bundle, data=dataset, json=report))
    model = result["tables"]["held-out pairs"]["model"]
    assert model["dances"] == 2
    assert model["minutes"] == pytest.approx(0.2)
    assert 1 < model["upper_perplexity"] <= 16
    assert set(result["tables"]["held-out pairs"]) == {
        "ground truth",
        "model",
        "random clip",
        "mean pose",
        "other song",
    }
    assert json.loads(report.read_text()) == result


def test_each_repeat_is_another_dance_to_the_same_music(dataset, tmp_path, monkeypatch) -> None:
    seeds, dance_to = [], evaluate_material.dance_to
    monkeypatch.setattr(
        evaluate_material, "dance_to", lambda *given: seeds.append(given[1:3]) or dance_to(*given)
    )
    bundle = write_synthetic_bundle(tmp_path / "bundle")
    result = run_evaluate(EvaluateOptions(bundle=bundle, data=dataset, repeats=2, seed=5))
    assert [(music.name, seed) for music, seed in seeds] == [("c", 5), ("d", 6), ("c", 7), ("d", 8)]
    assert result["tables"]["held-out pairs"]["model"]["dances"] == 4


def test_a_dancer_is_judged_with_and_without_its_groove(dataset, tmp_path) -> None:
    bundle = write_synthetic_bundle(tmp_path / "bundle", groove=groove_arrays())
    plain = write_synthetic_bundle(tmp_path / "plain")

    def figures(path: Path, groove: float = 1.0) -> dict[str, float]:
        result = run_evaluate(EvaluateOptions(bundle=path, data=dataset, groove=groove))
        return result["tables"]["held-out pairs"]["model"]

    assert figures(bundle, 0.0) == figures(plain) != figures(bundle)


def test_a_dance_to_paired_music_begins_after_the_music_heard_before(dataset, tmp_path) -> None:
    from bailando.engine.dancer import Dancer

    dancer = Dancer.open(write_synthetic_bundle(tmp_path / "bundle"))
    music = evaluate_material.truth_of_dataset(dataset).music[0]
    dance = evaluate_material.dance_to(dancer, music, 0)
    assert len(dance.positions) == music.frames
    assert len(dance.upper_codes) == music.frames // 8


def test_folders_of_dances_and_songs_alone_are_judged(tmp_path) -> None:
    songs = tmp_path / "songs"
    for name in ("one", "two"):
        write_clicks(songs / f"{name}.wav")
    dances = write_dances(tmp_path / "dances", ["one", "two"], first_beat=15.3)
    truth = write_dances(tmp_path / "truth", ["x_one_1", "x_two_1"], first_seed=5)
    alone = run_evaluate(EvaluateOptions(dances=dances, songs=songs))["tables"]["dances"]
    assert set(alone) == {"model", "other song"}
    assert alone["model"]["fid_k"] is None
    # the clicks come at frame 15, 45, ...: where these dances pause
    assert alone["model"]["phase_lock"] > 0.8
    assert abs(alone["model"]["preferred_phase"]) < 0.15
    beside = run_evaluate(EvaluateOptions(dances=dances, songs=songs, truth=truth))["tables"]["dances"]
    assert beside["model"]["fid_k"] > 0
    # the true dances pause half a beat away from the clicks
    assert abs(beside["ground truth"]["preferred_phase"]) > 0.35


def test_a_dance_without_its_song_is_an_error(tmp_path) -> None:
    songs = write_clicks(tmp_path / "songs" / "one.wav").parent
    dances = write_dances(tmp_path / "dances", ["another"])
    with pytest.raises(InputError, match="another has no song"):
        run_evaluate(EvaluateOptions(dances=dances, songs=songs))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing to evaluate"),
        ({"bundle": Path("b")}, "no music"),
        ({"bundle": Path("b"), "dances": Path("d")}, "choose one"),
        ({"data": Path("a"), "truth": Path("t")}, "choose one"),
        ({"dances": Path("d"), "checkpoint": Path("c")}, "--data"),
        ({"data": Path("a"), "clip_seconds": 0.1}, "clips of 0.1 s"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message) -> None:
    with pytest.raises(ConfigError, match=message):
        EvaluateOptions(**options)


def test_the_command_runs_from_the_command_line(dataset, tmp_path, capsys) -> None:
    parser = argparse.ArgumentParser()
    add_evaluate_command(parser.add_subparsers(required=True))
    arguments = parser.parse_args(["evaluate", "--data", str(dataset), "--json", str(tmp_path / "x.json")])
    arguments.work(arguments)
    assert json.loads((tmp_path / "x.json").read_text())["settings"]["data"] == str(dataset)
    assert "foot-skate ratio" in capsys.readouterr().out


def test_the_truth_is_at_no_distance_from_itself_and_a_loop_repeats_to_its_end() -> None:
    codes = np.tile(np.arange(5), 9)
    beats = np.arange(0, 360, 30)
    bodies = [swaying(seed=seed).positions for seed in range(3)]
    dances = [Dance("loop", body, beats, codes, codes) for body in bodies]
    clips = cut_clips(dances, 120)
    figures = set_figures(dances, clips, clip_features(clips), codebook_size=10)
    assert figures["fid_k"] == pytest.approx(0, abs=1e-4)
    assert figures["fid_g"] == pytest.approx(0, abs=1e-4)
    assert figures["upper_usage"] == 0.5
    assert figures["longest_repeat_s"] == pytest.approx(40 * 8 / 60)


def test_clips_begin_an_eighth_apart_and_a_limit_spreads_them() -> None:
    positions = np.zeros((480, 24, 3))
    positions[:, 0, 0] = np.arange(480)
    dances = [Dance("x", positions, np.zeros(0))]
    assert [clip[0, 0, 0] for clip in cut_clips(dances, 120)] == list(range(0, 361, 15))
    assert [clip[0, 0, 0] for clip in cut_clips(dances, 120, limit=3)] == [0, 180, 360]
