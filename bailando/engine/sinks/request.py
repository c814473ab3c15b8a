"""What a user asks for in words, ``HOST:PORT,axes=unity,fps=30``, and the sink that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np

from bailando.engine.axes import convention, units_per_metre
from bailando.engine.frame import FRAME_RATE_HZ
from bailando.engine.sinks.base import DatagramSink, Sink
from bailando.engine.sinks.channels import ChannelMap
from bailando.engine.sinks.destination import Destination
from bailando.engine.sinks.livelink import LIVELINK_PORT, LiveLinkSink
from bailando.engine.sinks.osc import NAMESPACE, OscSink
from bailando.engine.sinks.osc_packets import BundlePolicy
from bailando.engine.sinks.presets import preset
from bailando.engine.sinks.resampled import ResampledSink, Resampler
from bailando.engine.sinks.vmc import VmcSink
from bailando.engine.sinks.vrchat import VRCHAT_PORT, VrchatSink
from bailando.errors import ConfigError
from bailando.motion.files.vrm import read_vrm
from bailando.motion.skeleton import Skeleton

BUNDLE_POLICIES: tuple[BundlePolicy, ...] = get_args(BundlePolicy)
LOOPBACK = "127.0.0.1"
# Programs whose port is fixed; of the others it must be told.
_KNOWN_PORTS = {"vrchat": VRCHAT_PORT, "livelink": LIVELINK_PORT}
_SETTINGS = {
    "vmc": ("bundle", "fps", "vrm"),
    "osc": ("bundle", "fps", "axes", "units", "flat", "only-maps"),
    "vrchat": ("bundle", "fps"),
    "livelink": ("fps",),
}
_FLAGS = ("flat", "only-maps")


@dataclass(frozen=True)
class SinkSettings:
    """How the dance is sent to one destination; each protocol looks at what concerns it.

    Parameters
    ----------
    bundle : str or None
        A `BundlePolicy`; None takes the protocol's own.
    axes, units : str or None
        Convention and unit of length of plain OSC.
    flat, only_maps : bool
        Plain OSC: one number per address; nothing but the maps.
    fps : float or None
        Frames per second; None sends all 60.
    vrm : str or None
        Path of the receiver's avatar.
    maps : tuple of ChannelMap
        Further addresses of plain OSC.

    Raises
    ------
    ConfigError
        If a name is unknown or the frame rate out of range.
    """

    bundle: BundlePolicy | None = None
    axes: str | None = None
    units: str | None = None
    flat: bool = False
    only_maps: bool = False
    fps: float | None = None
    vrm: str | None = None
    maps: tuple[ChannelMap, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.bundle is not None and self.bundle not in BUNDLE_POLICIES:
            raise ConfigError(f"unknown bundle policy '{self.bundle}'; choose {', '.join(BUNDLE_POLICIES)}")
        if self.axes is not None:
            convention(self.axes)
        if self.units is not None:
            units_per_metre(self.units)
        if self.fps is not None:
            Resampler(self.fps)
        if self.only_maps and not self.maps:
            raise ConfigError("only-maps sends nothing without a map; add --map NAME=/address:MIN:MAX")

    def changed(self, protocol: str, words: Mapping[str, str]) -> SinkSettings:
        """Return the settings with those in words applied, as in ``axes=unity`` or ``flat``.

        Raises
        ------
        ConfigError
            If a setting is not one of the protocol or its value cannot be read.
        """
        changes: dict[str, Any] = {}
        for key, text in words.items():
            if key not in _SETTINGS[protocol]:
                known = ", ".join(_SETTINGS[protocol]) or "none"
                raise ConfigError(f"a {protocol} destination got the setting '{key}'; it knows {known}")
            if key == "fps":
                changes["fps"] = _number(text)
            elif key in _FLAGS:
                changes[key.replace("-", "_")] = _yes(key, text)
            else:
                changes[key] = text
        return replace(self, **changes)


@dataclass(frozen=True)
class SinkRequest:
    """One destination with its protocol and settings."""

    protocol: str
    destination: Destination
    settings: SinkSettings
    namespace: str = NAMESPACE

    @classmethod
    def parse(cls, protocol: str, text: str, defaults: SinkSettings | None = None) -> SinkRequest:
        """Read ``HOST[:PORT][,KEY=VALUE|,FLAG …]``.

        Parameters
        ----------
        protocol : str
            ``vmc``, ``osc``, ``vrchat`` or ``livelink``.
        text : str
        defaults : SinkSettings, optional
            What the text does not say.

        Raises
        ------
        ConfigError, OutputError
            If the destination or a setting cannot be read.
        """
        place, *words = text.split(",")
        destination = Destination.parse(place, _KNOWN_PORTS.get(protocol))
        settings = (defaults or SinkSettings()).changed(protocol, _words(words))
        return cls(protocol, destination, settings)

    @classmethod
    def for_program(cls, text: str, defaults: SinkSettings | None = None) -> SinkRequest:
        """Read ``PROGRAM[@HOST[:PORT]][,KEY=VALUE …]``; the program's preset goes before `defaults`,
        except that maps given there replace its own.

        Raises
        ------
        ConfigError, OutputError
            If the program is unknown or the rest cannot be read.
        """
        place, *words = text.split(",")
        name, _, host = place.partition("@")
        wanted = preset(name)
        settings = defaults or SinkSettings()
        if not settings.maps:
            settings = replace(settings, maps=tuple(ChannelMap.parse(entry) for entry in wanted.maps))
        settings = settings.changed(wanted.protocol, {**wanted.settings, **_words(words)})
        return cls(wanted.protocol, Destination.parse(host or LOOPBACK, wanted.port), settings)

    def for_dancer(self, number: int) -> SinkRequest:
        """Return the destination of one of several dancers, counted from 0.

        Plain OSC goes to the same port below ``/bailando/dancer/N``, counted from 1; the other protocols
        know one body, so each dancer has a port of its own: the first as given, then the next ones.
        """
        if self.protocol == "osc":
            return replace(self, namespace=f"{NAMESPACE}/dancer/{number + 1}")
        return replace(self, destination=Destination(self.destination.host, self.destination.port + number))

    def build(self, skeleton: Skeleton) -> Sink:
        """Return the sink, resolved but not open.

        Raises
        ------
        BailandoError
            If the host is unknown or the avatar cannot be read.
        """
        sink = self._datagram_sink(skeleton)
        fps = self.settings.fps
        return sink if fps is None or fps == FRAME_RATE_HZ else ResampledSink(sink, fps)

    def _datagram_sink(self, skeleton: Skeleton) -> DatagramSink:
        wanted = self.settings
        if self.protocol == "livelink":
            return LiveLinkSink(self.destination, skeleton)
        if self.protocol == "vrchat":
            return VrchatSink(self.destination, skeleton, wanted.bundle or "none")
        bundle = wanted.bundle or "auto"
        if self.protocol == "osc":
            axes = wanted.axes or "smpl"
            return OscSink(
                self.destination,
                axes,
                wanted.units,
                wanted.flat,
                wanted.maps,
                bundle,
                wanted.only_maps,
                self.namespace,
            )
        avatar = None if wanted.vrm is None else read_vrm(wanted.vrm)
        scale = 1.0 if avatar is None else avatar.root_scale(skeleton)
        return VmcSink(self.destination, skeleton.offsets.astype(np.float32), bundle, avatar, scale)


def _words(words: list[str]) -> dict[str, str]:
    """Split ``key=value`` and flags, which mean yes."""
    pairs = [word.partition("=") for word in words]
    return {key.strip().replace("_", "-"): value.strip() if equals else "yes" for key, equals, value in pairs}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"fps is '{text}'; give a number such as 30") from None


def _yes(key: str, text: str) -> bool:
    if text not in ("yes", "no", "true", "false"):
        raise ConfigError(f"{key} is '{text}'; write {key} alone, or {key}=no")
    return text in ("yes", "true")
