"""Files paced as a sound card, and devices by name, without a sound card."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bailando._native import now_ns
from bailando.engine import devices
from bailando.engine.devices import InputDevice, find_input_device, list_input_devices
from bailando.engine.sources import FileSource
from bailando.errors import DeviceError, InputError
from tests.engine.fake_portaudio import FakePortAudio

DEVICES = [
    InputDevice(0, "HDA Intel PCH: ALC257 Analog", "ALSA", 2, 44100, False),
    InputDevice(3, "USB Audio CODEC", "ALSA", 2, 48000, True),
    InputDevice(5, "pulse", "ALSA", 32, 44100, False),
]


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "tone.wav"
    samples = np.sin(np.arange(4800) * 0.05).astype(np.float32)
    soundfile.write(path, np.stack([samples, samples], axis=1), 48000, subtype="FLOAT")
    return path


def test_file_blocks_come_when_they_have_sounded_and_hold_the_whole_file(wav: Path) -> None:
    source = FileSource(wav)
    source.start()
    blocks, early = [], 0
    given = 0
    while (block := source.read()) is not None:
        given += len(block)
        early += now_ns() < source.origin_ns + given * 1_000_000_000 // 48000
        blocks.append(block)
    source.close()
    assert early == 0
    np.testing.assert_allclose(np.concatenate(blocks), np.sin(np.arange(4800) * 0.05), atol=1e-6)


def test_looped_file_starts_again(wav: Path) -> None:
    source = FileSource(wav, "loop")
    source.start()
    blocks = [source.read() for _ in range(11)]
    source.stop()
    assert source.read() is None
    source.close()
    np.testing.assert_array_equal(blocks[10], blocks[0])


def test_stop_wakes_a_waiting_reader(wav: Path) -> None:
    source = FileSource(wav)
    source.start()
    source.origin_ns += 60_000_000_000
    source.stop()
    assert source.read() is None
    source.close()


def test_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        FileSource(tmp_path / "none.wav")


@pytest.mark.parametrize(("wanted", "index"), [("3", 3), ("usb", 3), ("PULSE", 5), ("intel", 0)])
def test_device_is_found_by_index_or_part_of_its_name(wanted: str, index: int) -> None:
    assert find_input_device(wanted, DEVICES).index == index


def test_unknown_device_lists_near_names() -> None:
    with pytest.raises(DeviceError, match=r"no audio device 'USB Audio CODE2'; near it: .*USB Audio CODEC"):
        find_input_device("USB Audio CODE2", DEVICES)


def test_unknown_index_is_not_taken_for_a_name() -> None:
    with pytest.raises(DeviceError, match="no audio device '4'"):
        find_input_device("4", DEVICES)


def test_no_device_at_all_is_said() -> None:
    with pytest.raises(DeviceError, match="no device that records was found"):
        find_input_device("usb", [])


def test_missing_portaudio_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr("builtins.__import__", _failing_import(refuse))
    with pytest.raises(DeviceError, match="apt install libportaudio2"):
        list_input_devices()


def _failing_import(refuse: object) -> object:
    real = __import__

    def importing(name: str, *arguments: object, **keywords: object) -> object:
        if name == "sounddevice":
            return refuse()  # type: ignore[operator]
        return real(name, *arguments, **keywords)  # type: ignore[arg-type]

    return importing


def test_device_blocks_reach_the_reader_as_mono(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakePortAudio()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    source = devices.DeviceSource("micro")
    before_ns = now_ns()
    source.start()
    assert abs(source.origin_ns - (before_ns - 10_000_000)) < 1_000_000_000
    np.testing.assert_array_equal(source.read(), np.full(5 * 480, 0.25, np.float32))
    fake.play(np.stack([np.zeros(100), np.ones(100)], axis=1).astype(np.float32))
    np.testing.assert_array_equal(source.read(), np.full(100, 0.5, np.float32))
    source.stop()
    assert source.read() is None
    source.close()


def test_samples_that_the_ring_lost_are_counted_and_replaced_by_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakePortAudio()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    source = devices.DeviceSource("micro")
    source.start()
    fake.play(np.ones((2 * 48000, 2), np.float32))
    heard = 0
    while heard < 5 * 480 + 2 * 48000:
        block = source.read()
        assert block is not None
        heard += len(block)
    assert source.report().lost_samples > 0
    assert heard == 5 * 480 + 2 * 48000
    source.stop()
    source.close()


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_mono_and_many_channels_become_one(monkeypatch: pytest.MonkeyPatch, channels: int) -> None:
    fake = FakePortAudio(channels=channels)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    source = devices.DeviceSource("micro")
    source.start()
    np.testing.assert_array_equal(source.read(), np.full(5 * 480, 0.25, np.float32))
    assert fake.opened[-1]["channels"] == min(channels, 2)
    source.close()


def test_device_that_gives_no_more_sound_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakePortAudio()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    source = devices.DeviceSource("micro")
    source.start()
    source.read()
    with pytest.raises(DeviceError, match="gives no sound any more"):
        source.read()
    source.close()


def test_default_device_is_what_the_system_says_now() -> None:
    assert find_input_device("default", DEVICES).index == 3


def test_device_that_does_not_open_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakePortAudio(fails=True))
    source = devices.DeviceSource("micro")
    with pytest.raises(DeviceError, match="does not open") as caught:
        source.start()
    assert "\n" not in str(caught.value)
