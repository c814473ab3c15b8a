"""What a developer reads who runs a bundle's graphs in a game engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bailando.engine.groove import CRITIC_FILE, GrooveSpec, beat_channels
from bailando.engine.manifest import Manifest
from bailando.engine.specs import GraphSpec, TensorSpec
from bailando.export.target import Target
from bailando.music.features import REFERENCE_BPM, FeatureSpec

_ROTATION_POSE = """\
`upper_pose` holds 15 joints (3, 6, 9, 12 to 23 of SMPL's 24) x 6 numbers, `lower_pose` 9 joints (0, 1, 2,
4, 5, 7, 8, 10, 11) x 6: the first two columns of each joint's local rotation matrix; joint 0 is the pelvis
with its heading taken out. The other columns of `lower_pose`:
54 height of the pelvis, m; 55 and 56 its velocity to its left and forward in its own heading frame, m per
frame; 57 turn of the heading about +Y, rad per frame; 58 to 61 contact of left ankle, right ankle, left
toes, right toes, 0 to 1. Add velocity and turn up over the frames to place the dancer. Y is up, the dancer
faces +Z, +X is its left: flip one axis for a left-handed engine."""
_POSITION_POSE = """\
`upper_pose` holds 15 joints x 3 positions, `lower_pose` 9 joints x 3, metres relative to the pelvis, whose
velocity in m per frame stands in its own place. Y is up."""


def target_notes(target: Target, manifest: Manifest, backends: Mapping[str, Sequence[str]]) -> str:
    """Return the notes as Markdown.

    Parameters
    ----------
    target : Target
        The runtime.
    manifest : Manifest
        Of the bundle.
    backends : mapping
        Which of the target's backends run each graph.
    """
    lines = [f"# {manifest.name} for {target.runtime}", ""]
    lines += [
        f"Every graph is at opset {target.opset} and holds only operators that the documentation lists:"
    ]
    lines += [f"- {source}" for source in target.sources]
    lines += ["", "## Needs", ""]
    lines += [f"- {note}" for note in target.notes]
    lines += ["", "## One token", "", *_chain(manifest), ""]
    if manifest.groove is not None:
        lines += ["## Groove", "", _groove(manifest, manifest.groove), ""]
    lines += ["## Poses", ""]
    lines += [_ROTATION_POSE if manifest.pose.representation == "rotation6d-heading" else _POSITION_POSE, ""]
    for name, graph in manifest.graphs.items():
        lines += [f"## {graph.file}", "", f"Runs on {', '.join(backends[name])}.", ""]
        lines += [*_table(graph), ""]
    return "\n".join(lines)


def _chain(manifest: Manifest) -> list[str]:
    frames, sampling = manifest.frames_per_token, manifest.sampling
    pair = manifest.start_codes[0]
    steps = [
        f"A token is {frames} frames at {manifest.frame_rate_hz} Hz. A state `x` starts as zeros; what comes "
        "out as `next_x` goes in as `x` the next time.",
        "",
    ]
    if "features_step" in manifest.graphs:
        hop = manifest.graphs["features_step"].tensor("audio").shape[-1]
        rate = manifest.features["sample_rate_hz"]
        steps.append(
            f"- Run `features_step` on each {hop} mono samples at {rate} Hz; {frames} outputs in a row are "
            "`music`."
        )
    else:
        steps.append("- Compute `music` as bailando does: this bundle has no graph for it.")
    steps += [
        f"- Token 0 is the start pair of codes, {pair[0]} and {pair[1]}, without music: decode it first.",
        "- Run `gpt_step` on `music`, the codes of the token before and a style (0: none; a dancer of "
        "its own choice draws one from `style_shares`, another every 30 s on average).",
        *(["- Add the groove to the logits (below)."] if manifest.groove is not None else []),
        f"- Draw each half's code from its logits (temperature {sampling.temperature}, top_k "
        f"{sampling.top_k}, top_p {sampling.top_p}; temperature 0 is the largest).",
        f"- Run `decoder_step` on the codes: {frames} frames of both halves, "
        f"{manifest.lookahead_tokens} tokens late.",
    ]
    return steps


def _groove(manifest: Manifest, groove: GrooveSpec) -> str:
    sine, cosine, octave, confidence = beat_channels(FeatureSpec.from_dict(dict(manifest.features)))
    frames = manifest.frames_per_token
    return f"""\
`{CRITIC_FILE}` (a zip of float16 arrays by the names below) tells what each code is worth on the beat that
comes. Without it the dancer does not keep the beat. Of the last token take the last pose p and q, the one two
frames before it, upper channels before lower ones: `x = ((p, p - q) - mean) / deviation`,
`h = silu(hidden.2 silu(hidden.0 x))`, `F = factors h` as [half, frame, factor] (layers of weight and bias).
Of the last frame of music, by channel: phase `a = atan2([{sine}], [{cosine}])`, beats a frame
`b = {REFERENCE_BPM:g} x 2^[{octave}] / 60 / {manifest.frame_rate_hz}`, strength
`s = {groove.strength:g} x min(1, [{confidence}] / {groove.sure:g})`;
for the frames f = 1 to {frames} of the next token
`w_f = -s (cos(a + 2 pi b (f + {groove.lead_frames:g})) + {groove.restraint:g} s) / {frames}`.
Code k of a half gets `sum over f of w_f (of_code[half, k, f] + code_factors[half, k] . F[half, f])`, which
`bailando/engine/groove.py` computes."""


def _table(graph: GraphSpec) -> list[str]:
    rows = ["| tensor | role | type | shape |", "|---|---|---|---|"]
    groups = (("input", graph.inputs), ("output", graph.outputs), ("state", graph.state))
    return rows + [_row(tensor, role) for role, tensors in groups for tensor in tensors]


def _row(tensor: TensorSpec, role: str) -> str:
    return f"| `{tensor.name}` | {role} | {tensor.dtype} | {' x '.join(map(str, tensor.shape))} |"
