"""``bailando-export``: a trained checkpoint becomes a bundle; bundles are shown and verified."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from bailando.errors import BailandoError, ExportError

_PRECISIONS = ("fp32", "fp16", "int8-dynamic", "int8-static", "weight-int8", "weight-int4")
_TARGETS = ("unity", "unreal")
_EPILOG = """\
bailando-export CHECKPOINT -o BUNDLE
bailando-export BUNDLE --target unity -o OTHER   make a bundle fit for a game engine's own runtime
bailando-export --official-vqvae V.pt --official-gpt G.pt -o BUNDLE
bailando-export inspect BUNDLE   print what a bundle holds
bailando-export verify BUNDLE    check hashes, shapes and a short deterministic run
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    commands = {"inspect": _inspect, "verify": _verify}
    try:
        if given and given[0] in commands:
            return commands[given[0]](given[1:])
        return _export(given)
    except BailandoError as error:
        print(f"bailando-export: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _bundle_parser(command: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"bailando-export {command}", description=description)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder or .zip")
    return parser


def _inspect(arguments: Sequence[str]) -> int:
    from bailando.engine.bundle import Bundle
    from bailando.export.report import bundle_lines

    parser = _bundle_parser("inspect", "Print what a bundle holds.")
    parser.add_argument("--json", action="store_true", help="print the manifest itself")
    options = parser.parse_args(arguments)
    bundle = Bundle.open(options.bundle)
    print(bundle.manifest.to_json() if options.json else "\n".join(bundle_lines(bundle)))
    return 0


def _verify(arguments: Sequence[str]) -> int:
    from bailando.engine.bundle import Bundle
    from bailando.export.report import features_line
    from bailando.export.verify import verify_bundle

    parser = _bundle_parser("verify", "Check hashes, shapes and a short deterministic run.")
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bailando-export",
        description="Turn a trained checkpoint into a bundle that the engine runs anywhere.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "checkpoint",
        type=Path,
        nargs="?",
        metavar="CHECKPOINT",
        help=".pt file that training saved; with --target also a bundle",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="BUNDLE", help="folder or .zip")
    parser.add_argument("--zip", action="store_true", help="write a single .zip")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="dancers per step (default 1)")
    parser.add_argument("--opset", type=int, default=20, metavar="N", help="ONNX operator set (default 20)")
    parser.add_argument("--precision", choices=_PRECISIONS, default="fp32", help="default fp32")
    parser.add_argument(
        "--storage",
        choices=("fp32", "fp16"),
        default="fp32",
        help="how weights lie in the file (default fp32)",
    )
    parser.add_argument("--compare", action="store_true", help="measure all precisions and print the table")
    parser.add_argument(
        "--min-agreement",
        type=float,
        default=0.8,
        metavar="X",
        help="least fraction of greedy codes shared with fp32 (default 0.8)",
    )
    parser.add_argument("--music", type=Path, metavar="FILE", help="song to validate and calibrate with")
    parser.add_argument(
        "--encoder-frames", type=int, default=0, metavar="N", help="add the encoder graph, for N frames"
    )
    parser.add_argument("--tensorrt", action="store_true", help="build TensorRT engines too (needs no GPU)")
    parser.add_argument(
        "--compute-capability",
        action="append",
        default=[],
        metavar="X.Y",
        help="GPU generation of the engines, may be repeated (for example 8.9)",
    )
    parser.add_argument(
        "--target",
        choices=_TARGETS,
        help="check every operator for Unity's Inference Engine or Unreal's NNE, and write what those need",
    )
    _add_official(parser)
    return parser


def _add_official(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("published checkpoints, instead of CHECKPOINT")
    group.add_argument(
        "--official-vqvae", type=Path, metavar="V.pt", help="pose VQ-VAE with its root decoder"
    )
    group.add_argument(
        "--official-gpt", type=Path, metavar="G.pt", help="GPT, with or without critic or music transformer"
    )
    group.add_argument(
        "--lookahead-tokens",
        type=int,
        metavar="N",
        help="codes of future that the decoder sees, 0 to 25 (default: the fewest within 2 %% of the joints' "
        "deviation)",
    )
    group.add_argument(
        "--shift", type=int, metavar="S", help="cut the GPT's full window back to S steps (default: slide it)"
    )
    group.add_argument(
        "--rhythm-features",
        action="store_true",
        help="compute onset, beat and tempogram, which were zero when the published weights were trained",
    )


def _export_official(options: argparse.Namespace, output: Path) -> int:
    from bailando.export.official_bundle import OfficialOptions, export_official
    from bailando.export.report import official_lines

    if options.checkpoint or not (options.official_vqvae and options.official_gpt):
        raise ExportError("give both --official-vqvae and --official-gpt, and no CHECKPOINT")
    if options.target:
        raise ExportError("export the published checkpoints first, then run --target on that bundle")
    if options.precision != "fp32" or options.batch != 1 or options.tensorrt or options.compute_capability:
        raise ExportError("published checkpoints are exported as fp32 for one dancer: drop the other options")
    official = OfficialOptions(
        lookahead=options.lookahead_tokens,
        shift=options.shift,
        rhythm=options.rhythm_features,
        music=options.music,
        opset=options.opset,
    )
    result = export_official(options.official_vqvae, options.official_gpt, output, official)
    print("\n".join(official_lines(result)))
    return 0


def _export(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
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
    export_options = ExportOptions(
        batch=options.batch,
        opset=options.opset,
        precision=options.precision,
        storage=options.storage,
        encoder_frames=options.encoder_frames,
        music=options.music,
        min_agreement=options.min_agreement,
        compare=options.compare,
        tensorrt=options.tensorrt or bool(options.compute_capability),
        compute_capabilities=tuple(options.compute_capability),
        target=options.target,
    )
    result = export_checkpoint(load_checkpoint(options.checkpoint), output, export_options)
    print("\n".join(export_lines(result)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
