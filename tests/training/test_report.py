"""The report's page: what it says, that it needs nothing else, and that a browser runs it."""

from __future__ import annotations

import argparse
import base64
import importlib.util
import json
import math
from pathlib import Path

import chromium
import numpy as np
import pytest
from dance_material import swaying, write_clicks
from export.factory import small_checkpoint

from bailando.errors import ConfigError, InputError
from bailando.models.checkpoint import save_checkpoint
from bailando.motion.motion import save_npz
from bailando.training import report_content
from bailando.training.report import ReportOptions, add_report_command, gather, run_report

needs_plotly = pytest.mark.skipif(
    importlib.util.find_spec("plotly") is None, reason="plotly is not installed: pip install bailando[train]"
)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a VQ-VAE with a checkpoint and an evaluation."""
    folder = tmp_path_factory.mktemp("run")
    lines = [
        {
            "step": step,
            "learning_rate": 1e-3 / step,
            "skipped": 1,
            "total": 3.0 / step,
            "velocity": 0.1 / step,
            "gradient_norm": 2.0,
            "upper_perplexity": 9.0,
            "held_out_score": math.inf if step == 10 else 60.0 - step,
            "held_out_upper_mm": 50.0,
        }
        for step in (10, 20, 30)
    ]
    (folder / "vqvae.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    save_checkpoint(folder / "dancer.pt", small_checkpoint())
    figures = {"bas_music": 0.5, "foot_skate_ratio": 0.125, "fid_k": None}
    evaluation = {"tables": {"</script> pairs": {"ground truth": figures, "model": figures}}}
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    return folder


def test_every_logged_column_is_drawn_once_with_its_kind(run_folder) -> None:
    stage = gather(ReportOptions(run_folder))["stages"][0]
    drawn = {chart["title"]: [line["name"] for line in chart["lines"]] for chart in stage["charts"]}
    assert drawn == {
        "Loss": ["total"],
        "Held-out reconstruction error, mm": ["body", "upper"],
        "Codebook perplexity": ["upper"],
        "Learning rate": ["learning rate"],
        "Gradient norm before clipping": ["gradient norm"],
        "Parts of the loss": ["velocity"],
    }
    assert "1 not finite" in stage["note"]


def test_residual_books_have_short_names(tmp_path: Path) -> None:
    line = {"step": 10, "held_out_upper_residual_1_perplexity": 9.0, "held_out_upper_perplexity": 8.0}
    (tmp_path / "residual.jsonl").write_text(json.dumps(line) + "\n")
    (stage,) = gather(ReportOptions(tmp_path))["stages"]
    assert stage["title"] == "Residual codes"
    assert [line["name"] for line in stage["charts"][0]["lines"]] == ["upper 1", "upper held out"]


def test_infinite_scores_leave_a_gap(run_folder) -> None:
    charts = gather(ReportOptions(run_folder))["stages"][0]["charts"]
    error = next(chart for chart in charts if chart["title"].startswith("Held-out"))
    assert error["lines"][0]["values"] == [None, 40.0, 30.0]


def test_steps_done_again_after_a_resume_count_once(tmp_path) -> None:
    lines = [{"step": 1, "total": 3.0}, {"step": 2, "total": 9.0}, {"step": 2, "total": 2.0}]
    log = tmp_path / "gpt.jsonl"
    log.write_text("\n".join(map(json.dumps, lines)) + '\n{"step": 3, "tot')
    assert [record["total"] for record in report_content.read_log(log)] == [3.0, 2.0]


def test_a_damaged_line_within_a_log_is_an_error(tmp_path) -> None:
    log = tmp_path / "gpt.jsonl"
    log.write_text('nonsense\n{"step": 2}\n')
    with pytest.raises(InputError, match="line 1 is no record"):
        report_content.read_log(log)


def test_figures_come_in_the_units_of_the_evaluation(run_folder) -> None:
    table = gather(ReportOptions(run_folder))["tables"][0]
    rows = {row["label"].strip(): row["cells"] for row in table["rows"]}
    assert table["columns"] == ["ground truth", "model"]
    assert rows == {"BAS over music beats": ["0.500"] * 2, "foot-skate ratio, %": ["12.5"] * 2}


def test_the_wall_shows_every_code_of_both_books_with_the_other_half_still(run_folder) -> None:
    upper, lower = gather(ReportOptions(run_folder))["codebooks"]
    size = small_checkpoint().upper_vqvae.config.codebook_size
    for book in (upper, lower):
        assert sorted(code["code"] for code in book["codes"]) == list(range(size))
        joints = np.frombuffer(base64.b64decode(book["joints"]), "<i2").reshape(size, 8, 24, 3)
        if book is upper:
            feet = joints[:, :, [7, 8]] - joints[:, :, :1]
            assert np.abs(feet - feet[0, 0]).max() <= 1
            assert np.ptp(joints[:, -1, 20], axis=0).max() > 5


def test_sizes_add_up_to_the_parameters_of_the_dancer(run_folder) -> None:
    checkpoint = small_checkpoint()
    halves = checkpoint.upper_vqvae, checkpoint.lower_vqvae
    models = (*halves, checkpoint.residual, checkpoint.gpt, checkpoint.movement)
    parameters = sum(parameter.numel() for model in models for parameter in model.parameters())
    sizes = {part["name"]: part["parameters"] for part in gather(ReportOptions(run_folder))["sizes"]}
    assert sum(count for name, count in sizes.items() if "codebook" not in name) == parameters


def test_a_dance_is_cut_to_the_seconds_asked_for_and_has_its_songs_beats(run_folder, tmp_path) -> None:
    save_npz(tmp_path / "dance.npz", swaying())
    song = write_clicks(tmp_path / "songs" / "one.wav", seconds=8)
    options = ReportOptions(run_folder, dance=tmp_path / "dance.npz", song=song, seconds=3)
    dance = gather(options)["dance"]
    assert dance["frames"] == 180
    assert np.diff(dance["beats"]).tolist() == pytest.approx([30] * (len(dance["beats"]) - 1), abs=1)
    assert dance["audio"].startswith("data:audio/ogg;base64,")


def test_a_folder_without_logs_is_no_run(tmp_path) -> None:
    with pytest.raises(InputError, match=r"no <stage>\.jsonl"):
        gather(ReportOptions(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bundle": Path("b")}, "--song"),
        ({"bundle": Path("b"), "dance": Path("d")}, "choose one"),
        ({"seconds": 0}, "0 s of dance"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message) -> None:
    with pytest.raises(ConfigError, match=message):
        ReportOptions(Path("run"), **options)


@needs_plotly
def test_nothing_in_the_data_ends_the_script_that_holds_it(run_folder, tmp_path) -> None:
    page = run_report(ReportOptions(run_folder, output=tmp_path / "page.html")).read_text()
    held = page.split('id="content">')[1].split("</script>")[0]
    assert json.loads(held)["tables"][0]["title"] == "</script> pairs"


@needs_plotly
@pytest.mark.skipif(chromium.EXECUTABLE is None, reason="no Chromium: apt-get install chromium")
def test_a_browser_draws_the_page_without_the_network(run_folder, tmp_path) -> None:
    save_npz(tmp_path / "dance.npz", swaying())
    parser = argparse.ArgumentParser()
    add_report_command(parser.add_subparsers(required=True))
    page, dance = str(tmp_path / "page.html"), str(tmp_path / "dance.npz")
    arguments = parser.parse_args(["report", str(run_folder), "-o", page, "--dance", dance])
    arguments.work(arguments)
    with chromium.Chromium(1000, 800) as browser:
        browser.open(f"file://{page}")
        assert browser.evaluate("document.documentElement.dataset.ready") == "true"
        assert browser.evaluate("document.querySelectorAll('.main-svg').length") >= 7
        assert browser.evaluate("document.querySelectorAll('#codes figure').length") == 16
        loaded = "performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length"
        assert browser.evaluate(loaded) == 0
        bright = """(() => { const c = document.getElementById('dancer'), d = c.getContext('2d')
            .getImageData(0, 0, c.width, c.height).data; let n = 0;
            for (let i = 0; i < d.length; i += 4) n += d[i] > 200 && d[i + 3] > 200; return n; })()"""
        assert browser.evaluate(bright) > 500
