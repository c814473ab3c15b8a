"""`bailando-train`: prepare data, train the stages, put the dancer together."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bailando.cli.common import INTERRUPTED, new_parser, run_command, show_examples
from bailando.cli.train_examples import examples
from bailando.errors import ConfigError

if TYPE_CHECKING:
    from bailando.training.config import TrainConfig

_Parser = argparse.ArgumentParser
_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"
PROG = "bailando-train"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command(PROG, _train, argv)


def _train(argv: Sequence[str]) -> int:
    arguments = train_parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    try:
        with _processes(arguments):
            arguments.work(arguments)
    except KeyboardInterrupt:
        print(f"{PROG}: interrupted; run the same command again to go on", file=sys.stderr)
        return INTERRUPTED
    return 0


def _processes(arguments: argparse.Namespace) -> AbstractContextManager[None]:
    """Return the group of processes that ``torchrun`` started, if it did."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return nullcontext()
    if arguments.work is _prepare or getattr(arguments, "motion", None):
        raise ConfigError("prepare is no training: run it without torchrun (it has --workers)")
    from bailando.training.distributed import process_group

    return process_group()


def train_parser() -> argparse.ArgumentParser:
    """Return the parser of the command and of all its stages."""
    parser = new_parser(PROG, "Prepare data, train the stages, put the dancer together.", examples(PROG))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    everything = _command(commands, "all", _all, "prepare (if folders are given), train all stages, assemble")
    prepare = _command(commands, "prepare", _prepare, "make a data set of motion and music folders")
    for command in (everything, prepare):
        command.add_argument(
            "--motion",
            type=Path,
            nargs="+",
            default=[],
            help="folders of recordings: BVH, AIST++, SMPL, AMASS, our NPZ",
        )
        command.add_argument("--music", type=Path, nargs="+", default=[], help="folders of songs")
        command.add_argument("--sources", type=Path, help="YAML: licence, credit and styles by folder")
        command.add_argument(
            "--music-features",
            metavar="NAME",
            help="causal, published or encodec:FOLDER instead of the configuration's",
        )
        command.add_argument("--joint-map", type=Path, help="YAML: our joint names to those of the BVH files")
        command.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    prepare.add_argument(
        "-o", "--output", type=Path, required=True, dest="data", help="folder of the data set"
    )
    vqvae = _command(commands, "vqvae", _vqvae, "train the pose VQ-VAEs")
    root = _command(commands, "root", _root, "train the root-velocity branch (preset paper)")
    residual = _command(
        commands, "residual", _residual, "add residual codes: finer poses (presets live, tiny)"
    )
    gpt = _command(commands, "gpt", _gpt, "train the GPT on their codes")
    actor_critic = _command(commands, "actor-critic", _actor_critic, "finetune the GPT on its own dances")
    actor_critic.add_argument(
        "--music", type=Path, nargs="+", default=[], help="folders of songs to dance to, besides the data's"
    )
    movement = _command(commands, "movement", _movement, "learn how fast codes move, for dancing on the beat")
    dancer = _command(commands, "export-checkpoint", _export, "put a run together into one dancer checkpoint")
    for command in (everything, vqvae, root, residual, gpt, actor_critic, movement, dancer):
        command.add_argument("--data", type=Path, required=True, help="folder of the data set")
        command.add_argument("-o", "--output", type=Path, required=True, dest="run", help="folder of the run")
        command.add_argument("--name", default="dancer", help="name of the dancer (default: %(default)s)")
    # The judge brings its own options; it needs the engine, not torch's stages.
    from bailando.training.evaluate import add_evaluate_command
    from bailando.training.report import add_report_command

    add_evaluate_command(commands)
    add_report_command(commands)
    for name, command in commands.choices.items():
        show_examples(command, examples(PROG, name))
    return parser


def _command(
    commands: _Commands, name: str, work: Callable[[argparse.Namespace], None], text: str
) -> _Parser:
    command = commands.add_parser(name, help=text, description=text)
    command.add_argument(
        "--config",
        "--preset",
        default="live",
        help="live, paper, tiny, or a YAML file (default: %(default)s)",
    )
    command.add_argument("--seed", type=int, help="instead of the configuration's")
    command.set_defaults(work=work)
    return command


def _config(arguments: argparse.Namespace) -> TrainConfig:
    import torch

    from bailando.training.config_files import load_config

    config = load_config(arguments.config)
    if arguments.seed is not None:
        prepare = dataclasses.replace(config.prepare, seed=arguments.seed)
        config = dataclasses.replace(config, seed=arguments.seed, prepare=prepare)
    if config.threads:
        torch.set_num_threads(config.threads)
    return config


def _prepare(arguments: argparse.Namespace) -> None:
    from bailando.training.prepare import prepare
    from bailando.training.prepare_summary import summary
    from bailando.training.sources import read_joint_map

    config = _config(arguments)
    prepared = config.prepare
    if arguments.music_features:
        prepared = dataclasses.replace(prepared, music_features=arguments.music_features)
    if not arguments.motion:
        raise ConfigError("no motion given: name folders of recordings with --motion")
    index = prepare(
        arguments.motion,
        arguments.music,
        arguments.data,
        prepared,
        workers=arguments.workers,
        sources_file=arguments.sources,
        joint_map=read_joint_map(arguments.joint_map) if arguments.joint_map else None,
    )
    print(summary(index))


def _vqvae(arguments: argparse.Namespace) -> None:
    from bailando.training.run import train_vqvae

    train_vqvae(_config(arguments), arguments.data, arguments.run)


def _root(arguments: argparse.Namespace) -> None:
    from bailando.training.run import train_root

    train_root(_config(arguments), arguments.data, arguments.run)


def _residual(arguments: argparse.Namespace) -> None:
    from bailando.training.run import train_residual

    train_residual(_config(arguments), arguments.data, arguments.run)


def _gpt(arguments: argparse.Namespace) -> None:
    from bailando.training.run import train_gpt

    train_gpt(_config(arguments), arguments.data, arguments.run)


def _actor_critic(arguments: argparse.Namespace) -> None:
    from bailando.training.run import train_actor_critic

    train_actor_critic(_config(arguments), arguments.data, arguments.run, arguments.music)


def _movement(arguments: argparse.Namespace) -> None:
    from bailando.training.run import train_movement

    train_movement(_config(arguments), arguments.data, arguments.run)


def _export(arguments: argparse.Namespace) -> None:
    from bailando.training.distributed import rank
    from bailando.training.run import export_checkpoint

    if rank() == 0:
        print(export_checkpoint(_config(arguments), arguments.data, arguments.run, arguments.name))


def _all(arguments: argparse.Namespace) -> None:
    if arguments.motion or arguments.music:
        _prepare(arguments)
    _vqvae(arguments)
    if _config(arguments).root is not None:
        _root(arguments)
    if _config(arguments).residual is not None:
        _residual(arguments)
    _gpt(arguments)
    if _config(arguments).actor_critic is not None:
        _actor_critic(arguments)
    if _config(arguments).movement is not None:
        _movement(arguments)
    _export(arguments)


if __name__ == "__main__":
    sys.exit(main())
