"""The examples below the help of ``bailando-train`` and of its commands."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "": (
        "all --motion mocap/ --music songs/ --data data -o run   a dancer of two folders",
        "gpt --preset my.yaml --data data -o run   one stage, own settings",
        "evaluate --help   each command has its own help",
    ),
    "all": (
        "all --motion mocap/ --music songs/ --data data -o run",
        "all --data data -o run --preset tiny   the data set is there",
        "all --data data -o run   again: goes on where it stopped",
    ),
    "prepare": (
        "prepare --motion mocap/ --music songs/ -o data --workers 4",
        "prepare --motion aist/ amass/ -o data --sources sources.yaml",
        "prepare --motion studio/ -o data --joint-map joints.yaml  its own names",
    ),
    "vqvae": (
        "vqvae --data data -o run",
        "vqvae --data data -o run --preset paper",
        "vqvae --data data -o run --preset my.yaml --seed 7",
    ),
    "root": (
        "root --preset paper --data data -o run",
        "root --preset paper --data data -o run --seed 7",
        "root --preset my.yaml --data data -o run",
    ),
    "movement": (
        "movement --data data -o run",
        "movement --data data -o run --preset my.yaml",
        "movement --data data -o run --preset my.yaml --seed 7",
    ),
    "residual": (
        "residual --data data -o run",
        "residual --data data -o run --preset my.yaml",
        "residual --data data -o run --preset my.yaml --seed 7",
    ),
    "gpt": (
        "gpt --data data -o run",
        "gpt --data data -o run --preset paper",
        "gpt --data data -o run --preset my.yaml --seed 7",
    ),
    "actor-critic": (
        "actor-critic --preset paper --data data -o run",
        "actor-critic --preset my.yaml --data data -o run --music more_songs/",
        "actor-critic --preset my.yaml --data data -o run --seed 7",
    ),
    "export-checkpoint": (
        "export-checkpoint --data data -o run",
        "export-checkpoint --data data -o run --name salsa",
        "export-checkpoint --data data -o run --preset my.yaml",
    ),
    "evaluate": (
        "evaluate --bundle dancer.zip --data data",
        "evaluate --bundle dancer.zip --songs songs/ --truth mocap/ --json figures.json",
        "evaluate --dances dances/ --songs songs/   dances made elsewhere",
    ),
    "report": (
        "report run",
        "report run --bundle dancer.zip --song song.ogg",
        "report run --dance dance.npz --song song.ogg -o page.html",
    ),
}
"""Command lines without the program's name, by command; those of the program itself under the empty name."""


def examples(prog: str, command: str = "") -> str:
    """Return the examples of a command as they stand below its options."""
    return "\n".join(("examples:", *(f"  {prog} {line}" for line in EXAMPLES[command])))
