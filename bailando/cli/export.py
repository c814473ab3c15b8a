"""``bailando-export``: a trained checkpoint becomes a bundle; bundles are shown and verified."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from bailando.cli.common import config_of, new_parser, run_command
from bailando.errors import ExportError

PROG = "bailando-export"
_PRECISIONS = ("fp32", "fp16", "int8-dynamic", "int8-static", "weight-int8", "weight-int4")
_TARGETS = ("unity", "unreal")
_EXAMPLES = """\
examples:
  bailando-export CHECKPOINT -o BUNDLE --zip
  bailando-export BUNDLE --target unity -o OTHER  a bundle fit for a game engine's own runtime
  bailando-export --official-vqvae V.pt --official-gpt G.pt -o BUNDLE
  bailando-export inspect BUNDLE                  print what a bundle holds
  bailando-export verify BUNDLE                   check hashes, shapes and a short deterministic run
"""
_INSPECT_EXAMPLES = """\
examples:
  bailando-export inspect dancer.zip
  bailando-export inspect bundle/ --json
  bailando-export inspect bundle/ --json | jq .validation
"""
_VERIFY_EXAMPLES = """\
examples:
  bailando-export verify dancer.zip
  bailando-export verify bundle/
  bailando-export verify bundle/ && bailando-live --demo --model bundle/
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command(PROG, _run, arguments)


def _run(arguments: Sequence[str]) -> int:
    commands = {"inspect": _inspect, "verify": _verify}
    if arguments and arguments[0] in commands:
        return commands[arguments[0]](arguments[1:])
    return _export(arguments)


def _bundle_parser(command: str, description: str, examples: str) -> argparse.ArgumentParser:
    parser = new_parser(f"{PROG} {command}", description, examples)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder or .zip")
    return parser


def _inspect(arguments: Sequence[str]) -> int:
    from bailando.engine.bundle import Bundle
    from bailando.export.report import bundle_lines

    parser = _bundle_parser("inspect", "Print what a bundle holds.", _INSPECT_EXAMPLES)
    parser.add_argument("--json", action="store_true", help="print the manifest itself")
    options = parser.parse_args(arguments)
    bundle = Bundle.open(options.bundle)
    print(bundle.manifest.to_json() if options.json else "\n".join(bundle_lines(bundle)))
    return 0


def _verify(arguments: Sequence[str]) -> int:
    from bailando.engine.bundle import Bundle
    from bailando.export.report import features_line
    from bailando.export.verify import verify_bundle

    parser = _bundle_parser("verify", "Check hashes, shapes and a short deterministic run.", _VERIFY_EXAMPLES)
    bundle = Bundle.open(parser.parse_args(arguments).bundle)
    print(f"{len(bundle.manifest.files)} files: names, sizes and hashes are right, graphs are plain")
    found = verify_bundle(bundle)
    print(
        f"{found.steps} steps: {found.equal_codes} code pairs as recorded, the others within "
        f"{found.largest_shortfall:.2g}; poses as recorded"
    )
    if found.features is not None:
        print(features_line(found.features))
    return 0


def export_parser() -> argparse.ArgumentParser:
    """Return the parser of the command; `inspect` and `verify` have their own."""
    parser = new_parser(
        PROG, "Turn a trained checkpoint into a bundle that the engine runs anywhere.", _EXAMPLES
    )
    parser.usage = f"{PROG} CHECKPOINT -o BUNDLE [options] | inspect BUNDLE | verify BUNDLE"
    add = parser.add_argument
    add(
        "checkpoint",
        type=Path,
        nargs="?",
        metavar="CHECKPOINT",
        help=".pt file that training saved; with --target also a bundle",
    )
    add("-o", "--output", type=Path, required=True, metavar="BUNDLE", help="folder or .zip")
    add("--zip", action="store_true", help="write a single .zip")
    add("--batch", type=int, metavar="N", help="fix the dancers per step (default: any number)")
    add("--opset", type=int, default=20, metavar="N", help="ONNX operator set (default 20)")
    _add_precision(parser.add_argument_group("precision"))
    add("--music", type=Path, metavar="FILE", help="song to validate and calibrate with")
    add("--encoder-frames", type=int, default=0, metavar="N", help="add the encoder graph, for N frames")
    add("--tensorrt", action="store_true", help="build TensorRT engines too (needs no GPU)")
    add(
        "--compute-capability",
        action="append",
        default=[],
        dest="compute_capabilities",
        metavar="X.Y",
        help="GPU generation of the engines, repeatable (8.9)",
    )
    add("--target", choices=_TARGETS, help="check operators for Unity's or Unreal's runtime, write its needs")
    _add_official(parser.add_argument_group("published checkpoints, instead of CHECKPOINT"))
    return parser


def _add_precision(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--precision", choices=_PRECISIONS, default="fp32", metavar="NAME", help=" ".join(_PRECISIONS)
    )
    group.add_argument(
        "--storage",
        choices=("fp32", "fp16"),
        default="fp32",
        metavar="fp32|fp16",
        help="how weights lie in the file (default fp32)",
    )
    group.add_argument("--compare", action="store_true", help="measure all precisions and print the table")
    group.add_argument(
        "--min-agreement",
        type=float,
        default=0.8,
        metavar="X",
        help="least share of greedy codes equal to fp32's (default 0.8)",
    )


def _add_official(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--official-vqvae", type=Path, metavar="V.pt", help="pose VQ-VAE with its root decoder"
    )
    group.add_argument(
        "--official-gpt", type=Path, metavar="G.pt", help="with or without critic or transformer"
    )
    group.add_argument(
        "--lookahead-tokens",
        type=int,
        dest="lookahead",
        metavar="N",
        help="of the decoder, 0 to 25 (default: the fewest within 2 %% of the joints' deviation)",
    )
    group.add_argument(
        "--shift", type=int, metavar="S", help="cut the full window back to S steps (default: slide it)"
    )
    group.add_argument(
        "--rhythm-features",
        action="store_true",
        dest="rhythm",
        help="compute what was zero when the weights were trained",
    )


def _export_official(options: argparse.Namespace, output: Path) -> int:
    from bailando.export.official_bundle import OfficialOptions, export_official
    from bailando.export.report import official_lines

    if options.checkpoint or not (options.official_vqvae and options.official_gpt):
        raise ExportError("give both --official-vqvae and --official-gpt, and no CHECKPOINT")
    if options.target:
        raise ExportError("export the published checkpoints first, then run --target on that bundle")
    if (
        options.precision != "fp32"
        or options.batch is not None
        or options.tensorrt
        or options.compute_capabilities
    ):
        raise ExportError("published checkpoints are exported as fp32 for one dancer: drop the other options")
    official = config_of(OfficialOptions, options)
    result = export_official(options.official_vqvae, options.official_gpt, output, official)
    print("\n".join(official_lines(result)))
    return 0


def _export(arguments: Sequence[str]) -> int:
    options = export_parser().parse_args(arguments)
    if missing := [name for name in ("torch", "onnx", "onnxscript") if find_spec(name) is None]:
        raise ExportError(f"{', '.join(missing)} not installed: pip install 'bailando[export]'")
    output = options.output
    if options.zip and output.suffix != ".zip":
        output = output.with_name(output.name + ".zip")
    if options.official_vqvae or options.official_gpt:
        return _export_official(options, output)
    if options.target and options.checkpoint and _is_bundle(options.checkpoint):
        return _retarget(options, output)
    return _export_checkpoint(options, output)


def _is_bundle(path: Path) -> bool:
    return path.is_dir() or path.suffix == ".zip"


def _retarget(options: argparse.Namespace, output: Path) -> int:
    from bailando.engine.bundle import Bundle
    from bailando.export.report import retarget_lines
    from bailando.export.retarget import retarget_bundle
    from bailando.export.target import load_target

    result = retarget_bundle(Bundle.open(options.checkpoint), output, load_target(options.target))
    print("\n".join(retarget_lines(result)))
    return 0


def _export_checkpoint(options: argparse.Namespace, output: Path) -> int:
    from bailando.export.exporter import ExportOptions, export_checkpoint
    from bailando.export.report import export_lines
    from bailando.models.checkpoint import load_checkpoint

    if options.checkpoint is None:
        raise ExportError("no checkpoint given: name the .pt file that training saved")
    export_options = config_of(
        ExportOptions,
        options,
        tensorrt=options.tensorrt or bool(options.compute_capabilities),
        compute_capabilities=tuple(options.compute_capabilities),
    )
    result = export_checkpoint(load_checkpoint(options.checkpoint), output, export_options)
    print("\n".join(export_lines(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
