"""The pacer: frames of the engine to native deadlines."""

from __future__ import annotations

import pytest

from bailando._native import now_ns
from bailando.engine.pacer import FRAME_PERIOD_NS, Pacer, frame_due_ns
from bailando.engine.sinks import Destination, OscSink, PacketSink, VmcSink
from bailando.errors import OutputError
from tests.engine.frame_factory import make_frame, rest_offsets_m
from tests.engine.udp_receiver import decode, receiver

SECOND_NS = 1_000_000_000
LEAD_NS = 300_000_000  # time enough to queue on a loaded machine


def test_due_times_are_exact_after_ten_hours() -> None:
    number = 10 * 3600 * 60
    assert frame_due_ns(5, number) == 5 + 10 * 3600 * SECOND_NS
    assert {frame_due_ns(0, n + 1) - frame_due_ns(0, n) for n in range(60)} == {16_666_666, 16_666_667}
    assert FRAME_PERIOD_NS == 16_666_667


def test_each_sink_gets_what_it_would_send_itself() -> None:
    with receiver() as vmc_inbox, receiver() as osc_inbox:
        sinks: list[PacketSink] = [
            VmcSink(Destination("127.0.0.1", vmc_inbox.port), rest_offsets_m()),
            OscSink(Destination("127.0.0.1", osc_inbox.port), axes="unreal"),
        ]
        pacer = Pacer(sinks)
        origin_ns = now_ns() + LEAD_NS
        for number in range(3):
            assert pacer.submit(make_frame(number, bpm=120.0), frame_due_ns(origin_ns, number))
        pacer.start()
        assert pacer.finish()
        for sink, inbox in zip(sinks, (vmc_inbox, osc_inbox), strict=True):
            templates = [packet.template() for packet in sink.packets]
            for number in range(3):
                values = sink.values(make_frame(number, bpm=120.0))
                assert [decode(inbox.datagram()) for _ in templates] == [
                    decode(template.patch(values, number)) for template in templates
                ]


def test_report_accounts_for_every_frame() -> None:
    with receiver() as inbox:
        pacer = Pacer([OscSink(Destination("127.0.0.1", inbox.port))])
        origin_ns = now_ns() + LEAD_NS
        for number in range(12):
            pacer.submit(make_frame(number), frame_due_ns(origin_ns, number))
        assert pacer.queued == 12
        pacer.start()
        assert pacer.running
        assert pacer.finish()
        report = pacer.report()
    assert (report.frames + report.dropped, report.last_frame, report.underruns) == (12, 11, 0)
    assert 0 < report.p50_lateness_ns <= report.p99_lateness_ns <= report.max_lateness_ns


def test_report_before_the_first_frame_is_empty() -> None:
    report = Pacer([OscSink(Destination("127.0.0.1", 9000))]).report()
    assert (report.frames, report.last_frame, report.p99_lateness_ns) == (0, -1, 0)


def test_finish_gives_up_on_frames_due_too_far_ahead() -> None:
    pacer = Pacer([OscSink(Destination("127.0.0.1", 9000))])
    pacer.submit(make_frame(), now_ns() + 3600 * SECOND_NS)
    pacer.start()
    assert not pacer.finish(timeout_s=0.05)
    assert (pacer.running, pacer.queued) == (False, 0)


def test_close_twice_is_harmless() -> None:
    pacer = Pacer([])
    pacer.start()
    pacer.close()
    pacer.close()
    assert not pacer.running


def test_unreachable_destination_is_one_line() -> None:
    sink = OscSink(Destination("127.0.0.1", 9000))
    sink.endpoint = type(sink.endpoint)(sink.endpoint.family, "127.0.0.1.5", 9000)
    with pytest.raises(OutputError, match=r"osc 127\.0\.0\.1:9000.*check address and network"):
        Pacer([sink])
