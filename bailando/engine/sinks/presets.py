"""What well-known programs expect, so that naming one is enough.

The facts come from the programs' documents and sources; none of these programs was run here. Sources,
in the order below: VSeeFace's manual (VMC receiver), EVMC4U's `ExternalReceiver`, VRM4U's VMC receive,
the VMC4B add-on, Godot's XR VMC Tracker plug-in, derivative.ca's OSC In CHOP, our own Unity component
(`examples/unity`), Unreal's OSC plug-in, Epic's JSON Live Link sample, resolume.com/support/en/osc,
docs.vrchat.com/docs/osc-trackers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bailando.errors import ConfigError


@dataclass(frozen=True)
class Preset:
    """A receiving program.

    Parameters
    ----------
    name : str
        What users type.
    protocol : str
        ``vmc``, ``osc``, ``vrchat`` or ``livelink``.
    port : int
        Where the program listens unless told otherwise.
    settings : mapping
        Settings of the destination, as in ``HOST:PORT,KEY=VALUE``.
    maps : tuple of str
        Address maps, as in ``--map``.
    hint : str
        What to switch on in the program.
    """

    name: str
    protocol: str
    port: int
    hint: str
    settings: Mapping[str, str] = field(default_factory=dict)
    maps: tuple[str, ...] = ()


_RESOLUME_MAPS = (
    "level=/composition/layers/1/video/opacity:0:1",
    "onset=/composition/layers/2/video/opacity:0:1",
    "phase=/composition/layers/3/video/opacity:1:0",
)
PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("vseeface", "vmc", 39539, "Settings: switch on 'OSC/VMC receiver', port 39539"),
        Preset("evmc4u", "vmc", 39539, "ExternalReceiver's uOscServer: port 39539; give it your Model"),
        Preset("vrm4u", "vmc", 39539, "VrmSkeletalMesh: VMC receive, port 39539"),
        Preset("vmc4b", "vmc", 39539, "3D View sidebar, VMC4B: port 39539, Connect"),
        Preset("godot", "vmc", 39539, "XR VMC Tracker plug-in: UDP listener port 39539"),
        Preset(
            "touchdesigner",
            "osc",
            9000,
            "OSC In CHOP: Network Port 9000",
            {"axes": "touchdesigner", "units": "m"},
        ),
        Preset(
            "unity", "osc", 9000, "component BailandoReceiver: port 9000", {"axes": "unity", "units": "m"}
        ),
        Preset(
            "unreal", "osc", 8000, "OSC Server: port 8000, Multicast off", {"axes": "unreal", "units": "cm"}
        ),
        Preset("livelink", "livelink", 54321, "Live Link, Source, JSON Live Link: port 54321"),
        Preset(
            "resolume",
            "osc",
            7000,
            "Preferences, OSC: switch on OSC Input, port 7000",
            {"only-maps": "yes", "bundle": "none"},
            _RESOLUME_MAPS,
        ),
        Preset(
            "vrchat", "vrchat", 9000, "Action menu, Options, OSC: Enabled; then calibrate full-body tracking"
        ),
    )
}


def preset(name: str) -> Preset:
    """Return the preset called `name`, in any case.

    Raises
    ------
    ConfigError
        If there is none.
    """
    try:
        return PRESETS[name.strip().lower()]
    except KeyError:
        raise ConfigError(f"unknown program '{name}'; choose one of {', '.join(PRESETS)}") from None
