"""The options of ``bailando-live`` that say where the dance goes, and the sinks that come of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bailando.cli.common import config_of
from bailando.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailando.engine.sinks import ChannelMap, Sink, SinkRequest, SinkSettings
    from bailando.motion.skeleton import Skeleton

VMC_DEFAULT = "127.0.0.1:39539"
OSC_DEFAULT = "127.0.0.1:9000"
PROGRAMS = (
    "vseeface evmc4u vrm4u vmc4b godot touchdesigner unity unreal livelink resolume vrchat"  # = PRESETS
)
_HELP = """\
Destinations of bailando-live. All can be repeated and combined; one that fails disturbs no other.

  --to PROGRAM[@HOST[:PORT]]   as the program expects it; PROGRAM is one of
    {programs}
  --vmc HOST:PORT              VMC: root, 22 bones, OK, time; Unity's axes (default {vmc})
  --osc HOST:PORT              plain OSC below /bailando, numbers only (default {osc})
  --vrchat HOST[:PORT]         VRChat's trackers: hip, chest, feet, knees, elbows, head (port 9000)
  --livelink HOST[:PORT]       Unreal's JSON Live Link (port 54321)
  --ws [HOST:]PORT             WebSocket; --view serves the page for it
  --oscquery [HOST:]PORT       tell programs on the network the addresses (needs zeroconf)
  --no-vmc, --no-osc           leave out the default of that kind
  --record DIR                 DATE-TIME.take and .wav, written as they happen, and at the end
                               --record-format npz,bvh,glb (any of bailando-generate's formats);
                               after a crash: bailando-generate DIR/DATE-TIME.take -o dance.bvh;
                               --dancers N: a take each, DATE-TIME-dancer1.take and so on

Broadcast and multicast addresses are allowed. How it is sent, for all destinations it concerns:

  --bundle POLICY              single: one OSC bundle a frame; mtu: bundles of at most 1400 bytes;
                               none: single messages; auto: single on this machine, else mtu
  --fps RATE                   1 to 240 instead of 60; rotations interpolated on the sphere
  --vrm AVATAR.vrm             VMC: the receiver's avatar (VRM 0, 1); offsets, hips, floor fit it
  --axes NAME                  OSC: smpl (ours), unity, unreal, godot, blender, touchdesigner
  --units m|cm                 OSC: default cm for unreal, else m
  --flat                       OSC: one number per address
  --map NAME=/address:MIN:MAX  OSC: send one number, MIN to MAX scaled to 0 to 1, there too; or the
                               name of a file with such lines. NAME: beat bpm phase confidence level
                               onset joint/JOINT/pos/x|y|z joint/JOINT/rot/x|y|z|w

or for one destination alone: --osc 10.0.0.5:9000,axes=unity,units=cm,fps=30,flat,bundle=mtu
                              --vmc 10.0.0.6:39539,vrm=her.vrm   --to resolume@10.0.0.7

examples:
  bailando-live --demo --to vseeface --to touchdesigner@192.168.1.30
  bailando-live --audio-device USB --vmc 192.168.1.20:39539 --vrm singer.vrm
  bailando-live --input song.mp3 --to resolume --map "beat=/composition/layers/1/clear"
"""


class _OutputHelp(argparse.Action):
    """Print all about destinations and exit."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(output_help(), end="")
        parser.exit()


def output_help() -> str:
    """Return the page that ``--help-output`` prints."""
    return _HELP.format(programs=PROGRAMS, vmc=VMC_DEFAULT, osc=OSC_DEFAULT)


def add_sink_options(group: argparse._ArgumentGroup) -> None:
    """Add the destinations and how things are sent there; the rarer ones show up in ``--help-output``."""
    hidden: dict[str, Any] = {"help": argparse.SUPPRESS}
    group.add_argument(
        "--to", action="append", metavar="PROGRAM[@HOST]", help="vseeface, touchdesigner, unity, resolume …"
    )
    group.add_argument("--vmc", action="append", metavar="HOST:PORT", help=f"default {VMC_DEFAULT}")
    group.add_argument("--osc", action="append", metavar="HOST:PORT", help=f"default {OSC_DEFAULT}")
    group.add_argument("--no-vmc", action="store_true", **hidden)
    group.add_argument("--no-osc", action="store_true", **hidden)
    for name in ("--vrchat", "--livelink", "--map"):
        group.add_argument(name, action="append", **hidden)
    for name in ("--bundle", "--axes", "--units", "--vrm"):
        group.add_argument(name, **hidden)
    group.add_argument("--fps", type=float, **hidden)
    group.add_argument("--flat", action="store_true", **hidden)
    group.add_argument("--help-output", action=_OutputHelp, help="all destinations, axes, avatars, maps …")


def sink_requests(options: argparse.Namespace) -> list[SinkRequest]:
    """Return the destinations asked for; without any of a program, VMC and OSC on this machine.

    Raises
    ------
    BailandoError
        If one of them or a setting cannot be read.
    """
    from bailando.engine.sinks import SinkRequest

    settings = _settings(options)
    requests = [SinkRequest.for_program(text, settings) for text in options.to or []]
    named = bool(options.to or options.vrchat or options.livelink)
    wanted = {
        "vmc": [] if options.no_vmc else options.vmc or ([] if named else [VMC_DEFAULT]),
        "osc": [] if options.no_osc else options.osc or ([] if named else [OSC_DEFAULT]),
        "vrchat": options.vrchat or [],
        "livelink": options.livelink or [],
    }
    requests += [SinkRequest.parse(kind, text, settings) for kind, texts in wanted.items() for text in texts]
    return requests


def open_sinks(options: argparse.Namespace, skeleton: Skeleton) -> list[Sink]:
    """Return the sinks asked for, resolved but not open.

    Raises
    ------
    BailandoError
        If a destination, a setting or a file that it names cannot be used.
    """
    return [request.build(skeleton) for request in sink_requests(options)]


def _settings(options: argparse.Namespace) -> SinkSettings:
    from bailando.engine.sinks import SinkSettings

    maps = tuple(entry for text in options.map or [] for entry in _maps(text))
    return config_of(SinkSettings, options, maps=maps)


def _maps(text: str) -> list[ChannelMap]:
    """Read one map, or a file with one a line; ``#`` begins a remark."""
    from bailando.engine.sinks import ChannelMap

    if "=" in text:
        return [ChannelMap.parse(text)]
    try:
        lines = Path(text).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"--map got '{text}'; write NAME=/address:MIN:MAX or the name of a text file of such lines"
        ) from None
    entries = [line.split("#", 1)[0].strip() for line in lines]
    return [ChannelMap.parse(entry) for entry in entries if entry]
