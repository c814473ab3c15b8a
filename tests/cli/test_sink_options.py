"""The destinations of bailando-live on its command line."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from vrm_factory import vrm_bytes

from bailando.cli.sink_options import PROGRAMS, add_sink_options, open_sinks, output_help
from bailando.engine.sinks.presets import PRESETS
from bailando.errors import BailandoError
from bailando.motion.skeleton import Skeleton
from tests.engine.udp_receiver import decode, receiver

SONG = Path(__file__).parents[1] / "data" / "music" / "panic_on_meadow.ogg"


def names(*arguments: str) -> list[str]:
    parser = argparse.ArgumentParser()
    add_sink_options(parser.add_argument_group())
    return [sink.name for sink in open_sinks(parser.parse_args(arguments), Skeleton.default())]


def test_without_any_word_vmc_and_osc_go_to_this_machine() -> None:
    assert names() == ["vmc 127.0.0.1:39539", "osc 127.0.0.1:9000"]


def test_defaults_can_be_left_out() -> None:
    assert names("--no-vmc") == ["osc 127.0.0.1:9000"]
    assert names("--no-vmc", "--no-osc") == []


def test_a_named_program_takes_the_place_of_the_defaults() -> None:
    assert names("--to", "vseeface") == ["vmc 127.0.0.1:39539"]
    assert names("--to", "unity@10.0.0.2", "--osc", "10.0.0.3:7000") == [
        "osc 10.0.0.2:9000",
        "osc 10.0.0.3:7000",
    ]


def test_several_destinations_of_every_kind() -> None:
    wanted = ["--vmc", "127.0.0.1:1", "--vmc", "127.0.0.1:2", "--osc", "127.0.0.1:3,fps=30"]
    wanted += ["--vrchat", "127.0.0.1", "--livelink", "127.0.0.1:5"]
    assert names(*wanted) == [
        "vmc 127.0.0.1:1",
        "vmc 127.0.0.1:2",
        "osc 127.0.0.1:3 at 30 fps",
        "vrchat 127.0.0.1:9000",
        "livelink 127.0.0.1:5",
    ]


def test_maps_come_from_a_file_too(tmp_path: Path) -> None:
    maps = tmp_path / "maps.txt"
    maps.write_text("# for the second layer\nbeat=/layer/2/flash\n\nlevel=/layer/2/size:0:0.5  # loud\n")
    assert len(names("--no-vmc", "--map", str(maps), "--map", "bpm=/tempo:60:180")) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--map", "nowhere.txt"], "NAME=/address"),
        (["--map", "tempo=/a"], "unknown number 'tempo'"),
        (["--axes", "maya"], "choose one of smpl"),
        (["--units", "mm"], "m or cm"),
        (["--bundle", "huge"], "mtu"),
        (["--fps", "1000"], "1 to 240"),
        (["--vrm", "none.vrm"], "none.vrm"),
        (["--to", "notch"], "vseeface"),
        (["--vmc", "127.0.0.1:9,flat"], "'flat'"),
    ],
)
def test_mistakes_are_named(arguments: list[str], words: str) -> None:
    with pytest.raises(BailandoError, match=words):
        names(*arguments)


def test_help_names_every_program_and_fits_a_screen() -> None:
    assert PROGRAMS.split() == list(PRESETS)
    lines = output_help().splitlines()
    assert len(lines) <= 50
    assert max(len(line) for line in lines) <= 100
    assert output_help().split("examples:")[1].count("bailando-live ") == 3


@pytest.mark.real_time
def test_live_run_sends_to_all_of_them(bundle_path: Path, tmp_path: Path) -> None:
    avatar = tmp_path / "avatar.vrm"
    avatar.write_bytes(vrm_bytes(0))
    with receiver() as vmc, receiver() as osc, receiver() as vrchat, receiver() as livelink:
        command = [
            sys.executable,
            "-m",
            "bailando.cli.live",
            "--input",
            str(SONG),
            "--model",
            str(bundle_path),
        ]
        command += ["--vmc", f"127.0.0.1:{vmc.port}", "--vrm", str(avatar)]
        command += ["--osc", f"127.0.0.1:{osc.port},axes=unreal,fps=30,flat"]
        command += [
            "--vrchat",
            f"127.0.0.1:{vrchat.port},bundle=single",
            "--livelink",
            f"127.0.0.1:{livelink.port}",
        ]
        command += ["--duration", "1", "--delay", "300", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(vmc.waiting()) == 60
        frames = [m.params[0] for d in osc.waiting() for m in decode(d) if m.address == "/bailando/frame"]
        assert frames == list(range(30))
        assert len(vrchat.waiting()) == 60
        assert len(livelink.waiting()) == 60
