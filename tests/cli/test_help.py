"""Help fits a screen and shows how to begin."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest

from bailando.cli import bench, completion, doctor, export, generate, live, train, umbrella

LINES, COLUMNS = 50, 100
STAGES = (
    "all",
    "prepare",
    "vqvae",
    "root",
    "gpt",
    "actor-critic",
    "movement",
    "export-checkpoint",
    "evaluate",
    "report",
)
Main = Callable[[Sequence[str]], int]


@pytest.mark.parametrize(
    ("main", "words"),
    [
        pytest.param(main, words, id=" ".join((main.__module__.rpartition(".")[2], *words)))
        for main, words in [
            *(
                (module.main, [])
                for module in (bench, completion, doctor, export, generate, live, train, umbrella)
            ),
            *((export.main, [name]) for name in ("inspect", "verify")),
            *((train.main, [name]) for name in STAGES),
        ]
    ],
)
def test_help_of_every_command_fits_a_screen_with_three_examples(
    main: Main, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with suppress(SystemExit):  # argparse ends the program, the umbrella returns
        main([*words, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS
    examples = lines[lines.index("examples:") + 1 :]
    command = rf"  (eval .*)?bailando[- ]{'' if main is umbrella.main else '[a-z]+'}.*{''.join(words)}"
    assert sum(bool(re.match(command, line)) for line in examples) >= 3


def test_pages_behind_help_fit_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        live.main(["--help-output"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS
