"""What the doctor finds, on ports and receivers of this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import numpy as np
import pytest

from bailando.engine.calibration_poses import t_pose, wave
from bailando.engine.checkup import Finding, check_listener, check_ports, run_checks, show_poses
from bailando.engine.sinks import Destination, OscSink
from bailando.errors import DeviceError
from bailando.motion.skeleton import JOINT_NAMES, Skeleton
from tests.engine.udp_receiver import decode, receiver

SKELETON = Skeleton.default()


def place(frame_positions: np.ndarray, joint: str) -> np.ndarray:
    return frame_positions[JOINT_NAMES.index(joint)]


def test_t_pose_stands_on_the_floor_with_straight_arms() -> None:
    positions = t_pose(SKELETON, 5).positions
    assert positions[:, 1].min() == pytest.approx(0.0, abs=1e-6)
    span = place(positions, "left_wrist") - place(positions, "right_wrist")
    np.testing.assert_allclose(span / np.linalg.norm(span), (1, 0, 0), atol=1e-6)


def test_wave_moves_the_left_hand_above_the_head_and_nothing_else() -> None:
    frames = [wave(SKELETON, number).positions for number in range(60)]
    left = np.array([place(positions, "left_wrist") for positions in frames])
    assert left[:, 1].min() > place(frames[0], "head")[1]
    assert np.ptp(left[:, 0]) > 0.2
    assert np.ptp([place(positions, "right_wrist") for positions in frames], axis=0).max() == 0
    assert place(frames[0], "right_wrist")[1] < place(frames[0], "pelvis")[1] + 0.2


def test_poses_arrive_one_after_the_other() -> None:
    with receiver() as inbox:
        sink = OscSink(Destination("127.0.0.1", inbox.port))
        (finding,) = show_poses([sink], SKELETON, 0.25)
        messages = [m for datagram in inbox.waiting() for m in decode(datagram)]
    heights = [m.params[1] for m in messages if m.address == "/bailando/joint/left_wrist/pos"]
    assert len(heights) == 30
    assert np.ptp(heights[:15]) == 0
    assert min(heights[15:]) > heights[0] + 0.2
    assert finding.mark == "ok"
    assert "ITS left hand" in finding.advice


def test_listener_on_this_machine_is_seen() -> None:
    with receiver() as inbox:
        assert [f.mark for f in check_listener(Destination("127.0.0.1", inbox.port))] == ["ok"]
    (gone,) = check_listener(Destination("127.0.0.1", inbox.port))
    assert gone.mark == "warning"
    assert "start the receiver" in gone.advice


def test_taken_ports_are_named() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        (finding,) = check_ports([taken], [])
    assert (finding.mark, f"TCP port {taken} is taken" in finding.text) == ("warning", True)
    assert [f.mark for f in check_ports([taken], [])] == ["ok"]


def test_a_check_that_fails_is_a_finding_with_its_advice_and_stops_no_other() -> None:
    def broken() -> Iterator[Finding]:
        raise DeviceError("the card is on fire; take water")
        yield

    findings = list(run_checks([broken, lambda: [Finding("ok", "all well")]]))
    assert findings == [Finding("failure", "the card is on fire", "take water"), Finding("ok", "all well")]
