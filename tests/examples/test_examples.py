"""What can be said of examples whose programs do not run here: their files are well formed."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bailando.engine.sinks import ChannelMap
from bailando.engine.sinks.presets import PRESETS
from bailando.engine.sinks.vmc import BONES
from bailando.motion.skeleton import PARENTS

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    "program", ["unity", "unreal", "touchdesigner", "max", "puredata", "godot", "blender", "resolume"]
)
def test_every_page_says_whether_it_was_run_and_fits_a_page(program: str) -> None:
    text = (EXAMPLES / program / "README.md").read_text()
    assert re.search(r"\*\*(Not run\s+here|Run here)\.?\*\*", text)
    assert "bailando-live" in text
    assert len(text.splitlines()) <= 50
    assert f"({program}/README.md)" in (EXAMPLES / "README.md").read_text()


def test_pages_name_presets_that_exist() -> None:
    pages = " ".join(page.read_text() for page in EXAMPLES.rglob("*.md"))
    assert set(re.findall(r"--to ([a-z0-9]+)", pages)) <= set(PRESETS)


def test_every_line_of_the_map_file_is_a_map() -> None:
    lines = [
        line.split("#", 1)[0].strip() for line in (EXAMPLES / "resolume/maps.txt").read_text().splitlines()
    ]
    maps = [ChannelMap.parse(line) for line in lines if line]
    assert len(maps) == 5
    assert all(entry.address.startswith("/composition/") for entry in maps)


def test_max_patch_connects_objects_and_outlets_that_exist() -> None:
    patcher = json.loads((EXAMPLES / "max/bailando.maxpat").read_text())["patcher"]
    boxes = {entry["box"]["id"]: entry["box"] for entry in patcher["boxes"]}
    assert len(patcher["lines"]) == 8
    for line in patcher["lines"]:
        (source, outlet), (target, inlet) = line["patchline"]["source"], line["patchline"]["destination"]
        assert outlet < boxes[source]["numoutlets"]
        assert inlet < boxes[target]["numinlets"]
    assert {word for word in boxes["obj-2"]["text"].split() if word.startswith("/")} == {
        "/bailando/beat",
        "/bailando/level",
        "/bailando/joint/left_wrist/pos",
    }


@pytest.mark.parametrize("path", ["unity/BailandoReceiver.cs", "godot/bailando_receiver.gd"])
def test_tables_of_bones_and_parents_are_ours(path: str) -> None:
    text = (EXAMPLES / path).read_text()
    parents = re.search(r"-1, 0, 0, 0, [\d, \n]+", text)
    assert parents is not None
    assert tuple(int(word) for word in parents[0].replace(",", " ").split()) == PARENTS
    bones = re.findall(r"HumanBodyBones\.(\w+)", text) or re.findall(
        r'"(\w+)"', text.split("BONES:")[1].split("]")[1]
    )
    assert tuple(bones[: len(BONES)]) == BONES


@pytest.mark.skipif(importlib.util.find_spec("gdtoolkit") is None, reason="gdtoolkit is not installed")
def test_godot_script_is_godot_4_s_language() -> None:
    command = [sys.executable, "-m", "gdtoolkit.parser", str(EXAMPLES / "godot/bailando_receiver.gd")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
