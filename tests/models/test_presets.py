from __future__ import annotations

import pytest

from bailando.errors import ConfigError
from bailando.models.presets import PRESETS, preset


@pytest.mark.parametrize("name", sorted({*PRESETS} - {"paper"}))
def test_a_preset_fits_the_pose_channels_and_the_music(name: str) -> None:
    sizes = preset(name, features=43, styles=4)
    assert (sizes.upper.channels, sizes.lower.channels, sizes.lower.probability_channels) == (90, 62, 4)
    assert (sizes.gpt.music_dim, sizes.gpt.styles, sizes.gpt.music_lead) == (344, 4, 0)
    assert sizes.upper.codebook_size == sizes.lower.codebook_size == sizes.gpt.codebook_size
    assert sizes.upper.decoder == sizes.lower.decoder == "causal"


def test_the_published_sizes_are_those_of_the_paper() -> None:
    sizes = preset("paper", features=43)
    assert (sizes.upper.channels, sizes.lower.channels, sizes.lower.root_channels) == (45, 27, 3)
    assert (sizes.upper.decoder, sizes.lower.decoder) == ("two_sided", "two_sided")
    gpt = sizes.gpt
    assert (gpt.positions, gpt.window + 1, gpt.music_lead, gpt.layers, gpt.width) == (
        "learned",
        29,
        1,
        12,
        768,
    )
    assert (sizes.upper.codebook_size, sizes.upper.code_dim, gpt.codebook_size) == (512, 512, 512)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ConfigError, match="'huge'"):
        preset("huge", features=43)
