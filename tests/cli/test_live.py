"""bailando-live: what it prints, what it refuses, how it ends."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.osc_packet import OscPacket

from bailando import __version__
from bailando.cli.live import main
from bailando.cli.live_dancers import delay_ms
from bailando.cli.live_options import live_parser
from tests.engine.udp_receiver import decode, receiver

SONG = Path(__file__).parents[1] / "data" / "music" / "panic_on_meadow.ogg"
LIVE = [sys.executable, "-m", "bailando.cli.live"]


def play(
    bundle: Path, *options: str, song: Path = SONG, sends: bool = False
) -> subprocess.CompletedProcess[str]:
    quiet_network = [] if sends else ["--no-vmc", "--no-osc"]
    command = [*LIVE, "--input", str(song), "--model", str(bundle), *quiet_network, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def refused(
    bundle: Path, *options: str, song: Path = SONG, sends: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the command in this process; what escapes from it fails the test."""
    quiet_network = [] if sends else ["--no-vmc", "--no-osc"]
    arguments = ["--input", str(song), "--model", str(bundle), *quiet_network, *options]
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        try:
            code: object = main(arguments)
        except SystemExit as ended:
            code = ended.code
    assert isinstance(code, int)
    return subprocess.CompletedProcess(arguments, code, "", errors.getvalue())


def before_all_others(folder: Path) -> dict[str, str]:
    """Return an environment in which modules of `folder` come before those installed."""
    paths = [str(folder), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def assert_one_line_error(result: subprocess.CompletedProcess[str], *words: str) -> None:
    lines = result.stderr.splitlines()
    assert result.returncode not in (0, 1)
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("bailando-live: error: ")
    for word in words:
        assert word in lines[0]


def test_run_ends_with_a_summary_and_code_zero(bundle_path: Path) -> None:
    result = play(bundle_path, "--duration", "1", "--delay", "300")
    assert (result.returncode, result.stderr) == (0, "")
    assert "-> synthetic" in result.stdout
    assert "60 frames in 1.0 s" in result.stdout


@pytest.mark.parametrize(("delay", "limit"), [("50", "10"), ("90", "50"), ("300", "66")])
def test_the_processor_may_take_as_long_as_the_delay_allows(
    bundle_path: Path, delay: str, limit: str
) -> None:
    result = play(bundle_path, "--duration", "0.2", "--delay", delay)
    assert f" of the {limit} ms a token that it may" in result.stdout


def test_quiet_prints_nothing(bundle_path: Path) -> None:
    result = play(bundle_path, "--duration", "0.5", "--quiet")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_json_and_telemetry_are_json_lines(bundle_path: Path, tmp_path: Path) -> None:
    record = tmp_path / "run.jsonl"
    result = play(bundle_path, "--duration", "2.4", "--json", "--telemetry", str(record))
    printed = [json.loads(line) for line in result.stdout.splitlines()]
    assert printed[-1]["frames"] == 144
    recorded = [json.loads(line) for line in record.read_text().splitlines()]
    assert len(recorded) >= 2
    assert recorded[0]["frames"] < recorded[1]["frames"]
    assert recorded[-1]["frames"] == 144


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_run_well(bundle_path: Path, number: signal.Signals) -> None:
    command = [*LIVE, "--input", str(SONG), "--model", str(bundle_path), "--loop", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as live:
        assert live.stdout is not None
        live.stdout.readline()
        os.kill(live.pid, number)
        _, errors = live.communicate(timeout=20)
    assert (live.returncode, errors) == (0, "")


def test_file_end_ends_the_run(bundle_path: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(8000), 16000)
    result = play(bundle_path, "--delay", "300", song=short)
    assert result.returncode == 0
    assert "30 frames in 0.5 s" in result.stdout


def test_help_fits_a_screen_with_three_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert len(text.splitlines()) <= 66
    assert max(len(line) for line in text.splitlines()) <= 100
    assert text.split("examples:")[1].count("bailando-live ") == 3


def test_three_dancers_have_ports_and_addresses_of_their_own(bundle_path: Path) -> None:
    with receiver() as vmc, receiver() as osc:
        ports = ["--vmc", f"127.0.0.1:{vmc.port}", "--osc", f"127.0.0.1:{osc.port}"]
        result = play(
            bundle_path, "--dancers", "3", "--style", "open,salsa", "--duration", "0.5", *ports, sends=True
        )
        got = [message for data in osc.waiting() for message in decode(data)]
    assert result.returncode == 0
    for number in range(3):
        assert f"vmc 127.0.0.1:{vmc.port + number}" in result.stdout
    roots = {}
    for number in (1, 2, 3):
        prefix = f"/bailando/dancer/{number}"
        numbers = [message.params[0] for message in got if message.address == f"{prefix}/frame"]
        assert numbers == list(range(30))
        roots[number] = next(m.params for m in got if m.address == f"{prefix}/root/pos")
    assert [round(float(str(root[0])), 1) for root in roots.values()] == pytest.approx(
        [-2.5, 0.0, 2.5], abs=0.2
    )


def test_playlist_folder_is_played_to_its_end(bundle_path: Path, tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, np.zeros(4000), 16000)
    command = [*LIVE, "--playlist", str(tmp_path), "--model", str(bundle_path), "--no-vmc", "--no-osc"]
    command += ["--delay", "300", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    last = json.loads(result.stdout.splitlines()[-1])
    assert (result.returncode, last["frames"]) == (0, 30)
    assert last["title"].endswith("b.wav")


def test_control_over_osc_reaches_the_running_dance(bundle_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as desk:
        desk.bind(("127.0.0.1", 0))
        desk.settimeout(10)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [*LIVE, "--input", str(SONG), "--model", str(bundle_path), "--no-vmc", "--no-osc", "--json"]
        with subprocess.Popen([*command, "--control", str(port)], stdout=subprocess.PIPE, text=True) as live:
            assert live.stdout is not None
            live.stdout.readline()
            builder = OscMessageBuilder("/bailando/control/style")
            builder.add_arg("polka")
            desk.sendto(builder.build().dgram, ("127.0.0.1", port))
            answer = OscPacket(desk.recv(4096)).messages[0].message
            live.terminate()
            live.communicate(timeout=20)
    assert "open, salsa, waltz" in answer.params[0]


def test_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"bailando-live {__version__}\n"


def test_ready_within_two_seconds_of_processor_time(bundle_path: Path) -> None:
    started_s = time.perf_counter()
    before = os.times()
    play(bundle_path, "--duration", "0.2", "--quiet")
    after = os.times()
    used_s = after.children_user + after.children_system - before.children_user - before.children_system
    assert used_s < 2.0, f"{used_s:.2f} s of processor time, {time.perf_counter() - started_s:.2f} s in all"


def test_no_such_file(bundle_path: Path, tmp_path: Path) -> None:
    assert_one_line_error(refused(bundle_path, song=tmp_path / "none.mp3"), "none.mp3", "no such file")


def test_text_is_no_audio(bundle_path: Path, tmp_path: Path) -> None:
    text = tmp_path / "song.wav"
    text.write_text("la la la\n" * 100)
    assert_one_line_error(refused(bundle_path, song=text), "no audio")


def test_file_of_no_length(bundle_path: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.wav"
    soundfile.write(empty, np.zeros(0), 44100)
    assert_one_line_error(refused(bundle_path, song=empty), "0 s of audio")


def test_file_of_nan_alone(bundle_path: Path, tmp_path: Path) -> None:
    broken = tmp_path / "nan.wav"
    soundfile.write(broken, np.full(44100, np.nan), 44100, subtype="FLOAT")
    assert_one_line_error(refused(bundle_path, song=broken), "NaN")


def test_some_nan_samples_are_played_as_silence_and_counted(bundle_path: Path, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 12000)
    samples[3000:3100] = np.nan
    path = tmp_path / "some_nan.wav"
    soundfile.write(path, samples, 24000, subtype="FLOAT")
    result = play(bundle_path, "--json", song=path)
    assert result.returncode == 0
    assert json.loads(result.stdout.splitlines()[-1])["replaced_samples"] == 100


def test_missing_portaudio(tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    for options in (["--list-devices"], ["--audio-device", "0"]):
        result = subprocess.run(
            [*LIVE, *options],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=before_all_others(tmp_path),
        )
        assert_one_line_error(result, "PortAudio", "install")


def test_no_such_device(tmp_path: Path) -> None:
    fake = "class PortAudioError(Exception): pass\nclass default: device = (0, 0)\n"
    fake += "def query_hostapis(): return [{'name': 'Fake'}]\n"
    fake += "def query_devices(): return [{'name': 'Microphone', 'hostapi': 0, 'max_input_channels': 1,"
    fake += " 'default_samplerate': 48000.0}]\n"
    (tmp_path / "sounddevice.py").write_text(fake)
    result = subprocess.run(
        [*LIVE, "--audio-device", "mikrofon"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=before_all_others(tmp_path),
    )
    assert_one_line_error(result, "no audio device 'mikrofon'", "Microphone")


def test_unknown_host(bundle_path: Path) -> None:
    result = refused(bundle_path, "--no-osc", "--vmc", "no-such-host.invalid:39539", sends=True)
    assert_one_line_error(result, "no-such-host.invalid")


@pytest.mark.parametrize(
    ("destination", "word"),
    [("127.0.0.1:99999", "65535"), ("127.0.0.1:port", "HOST:PORT"), ("nonsense", "HOST:PORT")],
)
def test_malformed_destination(bundle_path: Path, destination: str, word: str) -> None:
    assert_one_line_error(refused(bundle_path, "--osc", destination, "--no-vmc", sends=True), word)


def test_destination_where_nobody_listens_does_not_stop_the_show(bundle_path: Path) -> None:
    result = play(bundle_path, "--no-osc", "--vmc", "127.0.0.1:9", "--duration", "0.5", sends=True)
    assert result.returncode == 0


def test_corrupt_bundle(bundle_path: Path, tmp_path: Path) -> None:
    corrupt = tmp_path / "corrupt"
    corrupt.mkdir()
    for file in bundle_path.iterdir():
        data = bytearray(file.read_bytes())
        if file.suffix == ".onnx":
            data[len(data) // 2] ^= 0xFF
        (corrupt / file.name).write_bytes(bytes(data))
    assert_one_line_error(refused(corrupt), "sha256")


def test_foreign_zip(tmp_path: Path) -> None:
    foreign = tmp_path / "holiday.zip"
    with zipfile.ZipFile(foreign, "w") as archive:
        archive.writestr("photo.jpg", b"not a bundle")
    assert_one_line_error(refused(foreign), "no bundle")


def test_missing_bundle(tmp_path: Path) -> None:
    assert_one_line_error(refused(tmp_path / "nowhere"), "no bundle at")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--style", "polka"], "open, salsa, waltz"),
        (["--temperature", "-1"], "temperature"),
        (["--energy", "7"], "energy"),
        (["--groove", "7"], "groove"),
        (["--groove", "0.5"], "has none to change"),
        (["--delay", "1"], "delay"),
        (["--seed", "-3"], "seed"),
        (["--seed", "many"], "--help"),
        (["--demo"], "not allowed"),
        (["--silence-threshold", "3"], "silence threshold"),
        (["--loop", "--at-end", "next"], "exclude"),
        (["--dancers", "0"], "1 to 32"),
        (["--latency-test"], "--audio-out"),
        (["--control", "99999"], "65535"),
    ],
)
def test_option_out_of_range(bundle_path: Path, options: list[str], word: str) -> None:
    assert_one_line_error(refused(bundle_path, *options), word)


def test_each_further_dancer_adds_to_the_default_delay_alone() -> None:
    def delay(*given: str) -> float:
        return delay_ms(live_parser().parse_args(["--demo", *given]))

    assert [delay("--dancers", str(count)) for count in (1, 2, 8)] == [60, 68, 116]
    assert delay("--dancers", "8", "--delay", "40") == 40
