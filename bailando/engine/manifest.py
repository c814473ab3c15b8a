"""The manifest of a bundle: everything the runtime needs to know, read strictly.

Nothing here has a default: what the manifest does not say is an error, never a guess.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from bailando.engine.fields import Fields, parse_json_object, read_integer, read_short_text
from bailando.engine.groove import CRITIC_FILE, LIMITS, GrooveSpec
from bailando.engine.specs import (
    OPTIONAL_GRAPHS,
    REQUIRED_GRAPHS,
    EngineSpec,
    FileEntry,
    GraphSpec,
    check_file_name,
)
from bailando.errors import BundleError

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
REPRESENTATIONS = ("rotation6d-heading", "positions")
MAX_CODEBOOK_SIZE = 1 << 16

_STEP_INPUTS = {
    "features_step": {"audio"},
    "gpt_step": {"music", "upper_code", "lower_code", "style"},
    "decoder_step": {"upper_code", "lower_code"},
}
_STEP_OUTPUTS = {
    "features_step": {"features"},
    "gpt_step": {"upper_logits", "lower_logits"},
    "decoder_step": {"upper_pose", "lower_pose"},
}


@dataclass(frozen=True)
class PoseSpec:
    """What the decoder's channels mean and how many there are."""

    representation: str
    upper_channels: int
    lower_channels: int

    @classmethod
    def read(cls, value: object, where: str) -> PoseSpec:
        """Read the JSON form; raise BundleError on anything unexpected."""
        fields = Fields(value, where)
        spec = cls(
            fields.choice("representation", REPRESENTATIONS),
            fields.integer("upper_channels", 1, 4096),
            fields.integer("lower_channels", 1, 4096),
        )
        fields.done()
        return spec


@dataclass(frozen=True)
class CodebookSize:
    """Number of codes of each half of the body."""

    upper: int
    lower: int

    @classmethod
    def read(cls, value: object, where: str) -> CodebookSize:
        """Read the JSON form; raise BundleError on anything unexpected."""
        fields = Fields(value, where)
        size = cls(
            fields.integer("upper", 1, MAX_CODEBOOK_SIZE), fields.integer("lower", 1, MAX_CODEBOOK_SIZE)
        )
        fields.done()
        return size


@dataclass(frozen=True)
class Sampling:
    """Recommended sampling: temperature 0 is greedy, top_k 0 and top_p 1 switch the cuts off."""

    temperature: float
    top_k: int
    top_p: float

    @classmethod
    def read(cls, value: object, where: str) -> Sampling:
        """Read the JSON form; raise BundleError on anything unexpected."""
        fields = Fields(value, where)
        sampling = cls(
            fields.number("temperature", 0.0, 100.0),
            fields.integer("top_k", 0, MAX_CODEBOOK_SIZE),
            fields.number("top_p", 1e-6, 1.0),
        )
        fields.done()
        return sampling


@dataclass(frozen=True)
class DataSource:
    """Provenance of some of the training data."""

    name: str
    licence: str
    credit: str

    @classmethod
    def read(cls, value: object, where: str) -> DataSource:
        """Read the JSON form; raise BundleError on anything unexpected."""
        fields = Fields(value, where)
        source = cls(fields.text("name"), fields.text("licence"), fields.text("credit"))
        fields.done()
        return source


@dataclass(frozen=True)
class Manifest:
    """The whole contract of a bundle, field for field as in ``manifest.json``.

    `skeleton` and `features` are kept in their JSON form; `bailando.motion` and `bailando.music`
    read them. `style_shares` are how often each style is danced when none is asked for; that of ``open``,
    the first, is for no style at all. `validation` is a free record of what the export measured.
    """

    schema_version: int
    name: str
    description: str
    created: str
    bailando_version: str
    frame_rate_hz: int
    frames_per_token: int
    lookahead_tokens: int
    music_lead_tokens: int
    skeleton: Mapping[str, Any]
    pose: PoseSpec
    features: Mapping[str, Any]
    codebook_size: CodebookSize
    styles: tuple[str, ...]
    style_shares: tuple[float, ...]
    start_codes: tuple[tuple[int, int], ...]
    sampling: Sampling
    groove: GrooveSpec | None
    graphs: Mapping[str, GraphSpec]
    engines: tuple[EngineSpec, ...]
    validation: Mapping[str, Any]
    data: tuple[DataSource, ...]
    licence: str
    files: Mapping[str, FileEntry]

    @classmethod
    def from_json(cls, text: bytes | str) -> Manifest:
        """Parse and check the text of ``manifest.json``.

        Raises
        ------
        BundleError
            If it is not valid JSON, has another schema version, lacks a key, has an unknown one, or
            holds a value of the wrong type, out of range, or at odds with another value.
        """
        return cls.from_dict(parse_json_object(text))

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Manifest:
        """Check the JSON object `value` and return the manifest; see `from_json`."""
        _check_version(value.get("schema_version"))
        fields = Fields(value, "manifest")
        manifest = cls(
            schema_version=fields.integer("schema_version", SCHEMA_VERSION, SCHEMA_VERSION),
            name=fields.text("name", 128, allow_empty=False),
            description=fields.text("description"),
            created=fields.nested("created", _timestamp),
            bailando_version=fields.text("bailando_version", 64),
            frame_rate_hz=fields.integer("frame_rate_hz", 1, 1000),
            frames_per_token=fields.integer("frames_per_token", 1, 256),
            lookahead_tokens=fields.integer("lookahead_tokens", 0, 256),
            music_lead_tokens=fields.integer("music_lead_tokens", 0, 16),
            skeleton=fields.mapping("skeleton"),
            pose=fields.nested("pose", PoseSpec.read),
            features=fields.mapping("features"),
            codebook_size=fields.nested("codebook_size", CodebookSize.read),
            styles=fields.items("styles", read_short_text, least=1, most=1024),
            style_shares=fields.items("style_shares", _share, least=1, most=1024),
            start_codes=fields.items("start_codes", _code_pair, least=1, most=65536),
            sampling=fields.nested("sampling", Sampling.read),
            groove=fields.nested("groove", _groove) if "groove" in value else None,
            graphs=fields.nested("graphs", _graphs),
            engines=fields.items("engines", EngineSpec.read, most=64),
            validation=fields.mapping("validation"),
            data=fields.items("data", DataSource.read),
            licence=fields.text("licence", allow_empty=False),
            files=fields.nested("files", _files),
        )
        fields.done()
        _check_consistent(manifest)
        return manifest

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; ``from_dict`` of it gives an equal manifest."""
        form: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        if self.groove is None:
            del form["groove"]
        return form | {"graphs": {name: graph.to_dict() for name, graph in self.graphs.items()}}

    def to_json(self) -> str:
        """Return the text of ``manifest.json``."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def with_files(self, files: Mapping[str, FileEntry]) -> Manifest:
        """Return a copy that lists `files`."""
        return replace(self, files=dict(files))

    @property
    def batch(self) -> int:
        """Batch size of the step graphs."""
        return self.graphs["gpt_step"].batch

    @property
    def token_rate_hz(self) -> float:
        """Tokens per second."""
        return self.frame_rate_hz / self.frames_per_token


def _check_version(version: object) -> None:
    if version == SCHEMA_VERSION and not isinstance(version, bool):
        return
    if not isinstance(version, int) or isinstance(version, bool):
        raise BundleError(
            "manifest.schema_version is missing or no integer, so this is no bailando bundle: "
            "make one with bailando-export CHECKPOINT -o BUNDLE"
        )
    if version > SCHEMA_VERSION:
        raise BundleError(
            f"bundle has schema version {version}, this bailando reads {SCHEMA_VERSION}: "
            "upgrade with pip install -U bailando"
        )
    raise BundleError(
        f"bundle has schema version {version}, this bailando reads {SCHEMA_VERSION}: "
        "migrate it by exporting its checkpoint again with bailando-export CHECKPOINT -o BUNDLE"
    )


def _timestamp(value: object, where: str) -> str:
    text = read_short_text(value, where)
    try:
        datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise BundleError(
            f"{where} is {text!r}, expected an ISO 8601 time: export the bundle again"
        ) from None
    return text


def _share(value: object, where: str) -> float:
    return Fields({"share": value}, where).number("share", 0.0, 1.0)


def _groove(value: object, where: str) -> GrooveSpec:
    fields = Fields(value, where)
    groove = GrooveSpec(**{name: fields.number(name, *limits) for name, limits in LIMITS.items()})
    fields.done()
    return groove


def _code_pair(value: object, where: str) -> tuple[int, int]:
    codes = Fields({"pair": value}, where).items(
        "pair", lambda v, at: read_integer(v, at, 0, MAX_CODEBOOK_SIZE - 1), least=2, most=2
    )
    return codes[0], codes[1]


def _graphs(value: object, where: str) -> dict[str, GraphSpec]:
    fields = Fields(value, where)
    graphs = {name: fields.nested(name, GraphSpec.read) for name in REQUIRED_GRAPHS}
    present = value if isinstance(value, Mapping) else {}
    graphs |= {name: fields.nested(name, GraphSpec.read) for name in OPTIONAL_GRAPHS if name in present}
    fields.done()
    return graphs


def _files(value: object, where: str) -> dict[str, FileEntry]:
    if not isinstance(value, Mapping) or not 1 <= len(value) <= 64:
        raise BundleError(f"{where} must list 1 to 64 files: export the bundle again")
    return {
        check_file_name(str(name), where): FileEntry.read(entry, f"{where}.{name}")
        for name, entry in value.items()
    }


def _check_consistent(manifest: Manifest) -> None:
    """Refuse a manifest whose parts contradict each other."""
    size = manifest.codebook_size
    if manifest.styles[0] != "open" or len(set(manifest.styles)) != len(manifest.styles):
        raise BundleError("manifest.styles must start with 'open' and name no style twice: export again")
    if len(manifest.style_shares) != len(manifest.styles) or abs(sum(manifest.style_shares) - 1) > 1e-3:
        raise BundleError("manifest.style_shares must be one for each style and sum to 1: export again")
    for upper, lower in manifest.start_codes:
        if upper >= size.upper or lower >= size.lower:
            raise BundleError(
                f"manifest.start_codes has ({upper}, {lower}), codebooks hold {size.upper} and {size.lower}: "
                "export the bundle again"
            )
    named = [graph.file for graph in manifest.graphs.values()] + [e.file for e in manifest.engines]
    named += [CRITIC_FILE] if manifest.groove is not None else []
    if missing := sorted(set(named) - set(manifest.files)):
        raise BundleError(f"manifest.files does not list {', '.join(missing)}: export the bundle again")
    if MANIFEST_NAME in manifest.files or len(set(named)) != len(named):
        raise BundleError("manifest lists itself or uses one file twice: export the bundle again")
    _check_step_graphs(manifest)


def _check_step_graphs(manifest: Manifest) -> None:
    batch, frames = manifest.batch, manifest.frames_per_token
    expected: dict[tuple[str, str], tuple[int, ...]] = {
        ("gpt_step", "upper_code"): (batch,),
        ("gpt_step", "lower_code"): (batch,),
        ("gpt_step", "style"): (batch,),
        ("gpt_step", "upper_logits"): (batch, manifest.codebook_size.upper),
        ("gpt_step", "lower_logits"): (batch, manifest.codebook_size.lower),
        ("decoder_step", "upper_code"): (batch,),
        ("decoder_step", "lower_code"): (batch,),
        ("decoder_step", "upper_pose"): (batch, frames, manifest.pose.upper_channels),
        ("decoder_step", "lower_pose"): (batch, frames, manifest.pose.lower_channels),
    }
    for name in _STEP_INPUTS:
        if (graph := manifest.graphs.get(name)) is None:
            continue
        if {t.name for t in graph.inputs} != _STEP_INPUTS[name]:
            raise BundleError(f"graph {name} must have inputs {sorted(_STEP_INPUTS[name])}: export again")
        if {t.name for t in graph.outputs} != _STEP_OUTPUTS[name]:
            raise BundleError(f"graph {name} must have outputs {sorted(_STEP_OUTPUTS[name])}: export again")
    music = manifest.graphs["gpt_step"].tensor("music").shape
    if len(music) != 2 or music[0] != batch:
        raise BundleError(
            f"gpt_step.music has shape {list(music)}, expected [{batch}, features]: export again"
        )
    if "features_step" in manifest.graphs:
        hop = manifest.features.get("hop_length")
        expected["features_step", "audio"] = (batch, hop if isinstance(hop, int) else 0)
        expected["features_step", "features"] = (batch, music[1] // frames)
    for (name, tensor), shape in expected.items():
        got = manifest.graphs[name].tensor(tensor).shape
        if got != shape:
            raise BundleError(
                f"{name}.{tensor} has shape {list(got)}, expected {list(shape)}: export the bundle again"
            )
