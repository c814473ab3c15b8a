"""The options of ``bailando-live``, in groups."""

from __future__ import annotations

import argparse

from bailando.cli.common import add_about, add_dance_options, new_parser
from bailando.cli.config_file import add_config_option
from bailando.cli.live_dancers import add_dancer_options
from bailando.cli.live_oscquery import add_oscquery_option
from bailando.cli.live_recording import add_recording_options
from bailando.cli.live_services import add_service_options
from bailando.cli.sink_options import add_sink_options

PROG = "bailando-live"
_EXAMPLES = """\
examples:
  bailando-live --demo                                     the shipped song, to this machine
  bailando-live --input song.mp3 --at-end loop --to vseeface --to touchdesigner@192.168.1.20
  bailando-live --audio-device "USB" --delay 120 --osc 127.0.0.1:7000 --no-vmc
"""


def live_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser(PROG, "Music in, full-body dance out over VMC and OSC, live.", _EXAMPLES, about=False)
    parser.usage = f"{PROG} (--demo | --input SONG | --playlist LIST | --audio-device NAME) [options]"
    sound = parser.add_argument_group("sound (one of the first five)")
    source = sound.add_mutually_exclusive_group(required=True)
    source.add_argument("--demo", action="store_true", help="the song that comes with the package")
    source.add_argument("--input", metavar="SONG", help="wav, flac, ogg or mp3, paced in real time")
    source.add_argument("--playlist", metavar="FOLDER|M3U", help="songs one after another")
    source.add_argument(
        "--audio-device", metavar="NAME", help="or index, of a device that records; or 'default'"
    )
    source.add_argument("--list-devices", action="store_true", help="print those devices and exit")
    _add_sound_options(sound)
    output = parser.add_argument_group("output (repeatable)")
    add_sink_options(output)
    output.add_argument("--ws", action="append", metavar="[HOST:]PORT", help="WebSocket for your own page")
    output.add_argument("--view", action="store_true", help="a stage in the browser, 127.0.0.1:8060")
    add_recording_options(output)
    add_oscquery_option(output)
    dance = add_dance_options(parser)
    add_dancer_options(dance)
    run = parser.add_argument_group("run")
    add_about(run, version_help=argparse.SUPPRESS)  # a line saved: all must fit a screen
    add_config_option(run)
    run.add_argument(
        "--delay", type=float, metavar="MS", help="sound to motion (default 60, 8 more per dancer)"
    )
    run.add_argument("--duration", type=float, metavar="S", help="stop after so many seconds")
    add_service_options(run)
    run.add_argument("--telemetry", metavar="FILE", help="JSON lines, one a second")
    run.add_argument("--json", action="store_true", help="print JSON lines instead of the status line")
    run.add_argument("--quiet", action="store_true", help="print nothing but errors")
    run.add_argument("--no-color", action="store_true", help=argparse.SUPPRESS)  # in the status line
    return parser


def _add_sound_options(sound: argparse._ArgumentGroup) -> None:
    """Add how sound is treated."""
    sound.add_argument(
        "--at-end",
        choices=("stop", "loop", "next"),
        metavar="stop|loop|next",
        help="of a song: stop after the last (default), again, on",
    )
    sound.add_argument("--loop", action="store_true", help=argparse.SUPPRESS)  # the same as --at-end loop
    sound.add_argument(
        "--silence-threshold", type=float, default=-60.0, metavar="DB", help="idle below it (default -60)"
    )
