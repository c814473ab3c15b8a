"""The single numbers of a frame by name, and maps from them to addresses of other programs."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bailando.engine.frame import Frame
from bailando.errors import ConfigError
from bailando.motion.skeleton import JOINT_NAMES

MUSIC_CHANNELS = ("beat", "bpm", "phase", "confidence", "level", "onset")
_POSITIONS = tuple(f"joint/{name}/pos/{axis}" for name in JOINT_NAMES for axis in "xyz")
_ROTATIONS = tuple(f"joint/{name}/rot/{axis}" for name in JOINT_NAMES for axis in "xyzw")
# The order of `channel_values`.
CHANNELS = {name: index for index, name in enumerate((*_POSITIONS, *_ROTATIONS, *MUSIC_CHANNELS))}
POSITIONS_START = 0
ROTATIONS_START = len(_POSITIONS)

_ADDRESS = re.compile(r"(/[!-~]+)+")
_RESERVED = re.compile(r"[#*,?\[\]{}:]")


def channel_values(
    frame: Frame, positions: NDArray[np.float32], rotations: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Line up converted positions (24, 3), rotations (24, 4) and the music of a frame, (174,) float32."""
    music = [getattr(frame, name) for name in MUSIC_CHANNELS]
    return np.concatenate([positions.ravel(), rotations.ravel(), np.array(music, dtype=np.float32)])


@dataclass(frozen=True)
class ChannelMap:
    """Sends one number to an address of the user's: `lowest` becomes 0, `highest` 1, clipped between.

    With lowest above highest the number is turned round.
    """

    channel: str
    address: str
    lowest: float = 0.0
    highest: float = 1.0

    def __post_init__(self) -> None:
        if self.channel not in CHANNELS:
            raise ConfigError(
                f"unknown number '{self.channel}' in a map; choose {', '.join(MUSIC_CHANNELS)}"
                " or joint/NAME/pos/x, joint/NAME/rot/w and the like"
            )
        if not _ADDRESS.fullmatch(self.address) or _RESERVED.search(self.address):
            raise ConfigError(f"'{self.address}' is no OSC address; write one such as /composition/opacity")
        if not np.isfinite([self.lowest, self.highest]).all() or self.lowest == self.highest:
            raise ConfigError(
                f"the range {self.lowest:g}:{self.highest:g} of a map is empty; write two different numbers"
            )

    @classmethod
    def parse(cls, text: str) -> ChannelMap:
        """Read NAME=/address, NAME=/address:MIN:MAX.

        Raises
        ------
        ConfigError
            If the text is neither, the number is unknown or the range is empty.
        """
        channel, _, rest = text.partition("=")
        address, *limits = rest.split(":")
        try:
            lowest, highest = (float(limit) for limit in limits) if limits else (0.0, 1.0)
        except ValueError:
            raise ConfigError(
                f"cannot read the map '{text}'; write NAME=/address:MIN:MAX, such as level=/layer/opacity:0:1"
            ) from None
        return cls(channel.strip(), address.strip(), lowest, highest)

    def apply(self, values: NDArray[np.float32]) -> float:
        """Return the mapped number, in [0, 1], from what `channel_values` gave."""
        span = self.highest - self.lowest
        return float(np.clip((values[CHANNELS[self.channel]] - self.lowest) / span, 0.0, 1.0))
