"""Options of bailando-live out of a YAML file."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from bailando.cli.config_file import with_config
from bailando.cli.live import main
from bailando.cli.live_options import live_parser
from bailando.errors import ConfigError


def parsed(folder: Path, text: str, *arguments: str) -> argparse.Namespace:
    path = folder / "live.yaml"
    path.write_text(text)
    parser = live_parser()
    return parser.parse_args(with_config(parser, ["--config", str(path), *arguments]))


def test_every_kind_of_option_is_read(tmp_path: Path) -> None:
    options = parsed(
        tmp_path,
        "demo: true\nto: [vseeface, 'unity@10.0.0.2,fps=30']\nvmc: 10.0.0.3:39539\nenergy: 1.5\nseed: 7\n"
        "no_color: yes\nsilence-threshold: -50\nquiet: false\nmodel: null\n",
    )
    assert (options.demo, options.no_color, options.quiet) == (True, True, False)
    assert options.to == ["vseeface", "unity@10.0.0.2,fps=30"]
    assert (options.vmc, options.energy, options.seed) == (["10.0.0.3:39539"], 1.5, 7)
    assert (options.silence_threshold, options.model) == (-50.0, None)


def test_every_option_of_the_command_is_a_key(tmp_path: Path) -> None:
    for action in live_parser()._actions:
        name = action.option_strings[-1]
        if action.dest in ("help", "version", "config") or name in ("--help-output",):
            continue
        choices = list(action.choices or ["1"])
        value = "true" if action.nargs == 0 else choices[0]
        path = tmp_path / "live.yaml"
        path.write_text(f"{name[2:]}: {value}\n")
        words = with_config(live_parser(), ["--config", str(path)])
        assert words[0].startswith(name)


def test_what_is_typed_wins(tmp_path: Path) -> None:
    text = "demo: true\nenergy: 1.5\nosc: [10.0.0.2:9000, 10.0.0.3:9000]\n"
    options = parsed(tmp_path, text, "--energy=0.5", "--osc", "127.0.0.1:7000", "--input", "song.wav")
    assert (options.demo, options.input) == (False, "song.wav")
    assert (options.energy, options.osc) == (0.5, ["127.0.0.1:7000"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("enrgy: 1\n", "unknown option 'enrgy'; did you mean energy?"),
        ("xyzzy: 1\n", "see --help"),
        ("config: other.yaml\n", "unknown option 'config'"),
        ("demo: 3\n", "write true or false"),
        ("seed: [1, 2]\n", "write one value"),
        ("seed: {a: 1}\n", "write text or a number"),
        ("- demo\n", "holds no options"),
        ("demo: [\n", "no valid YAML at line 2"),
        ("a: !!python/object/apply:os.system ['true']\n", "no valid YAML"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(tmp_path, text)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_missing_file_is_one_line_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "none.yaml")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("bailando-live: error: cannot read")
    assert len(error.splitlines()) == 1


def test_a_value_that_the_option_refuses_is_its_own_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(tmp_path, "demo: true\nseed: many\n")
    assert ended.value.code == 2
    assert "argument --seed: invalid int value: 'many'" in capsys.readouterr().err
