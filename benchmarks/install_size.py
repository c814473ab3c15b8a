"""How much do the package and its runtime dependencies take on disk?

python benchmarks/install_size.py [--json FILE]

Sums the files of the installed distributions that ``pip install bailando`` brings (no extras); those of the
package itself are counted in its folder, so that it also works from a checkout.
"""

from __future__ import annotations

import argparse
import re
from importlib import metadata
from pathlib import Path

from measure import write_json

import bailando

DIRECT = ["numpy", "onnxruntime", "python-osc", "sounddevice", "soundfile", "soxr", "websockets"]


def runtime_distributions(roots: list[str]) -> set[str]:
    """Return the names of `roots` and of all that they require without extras and are installed."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        waiting += [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in requires if "extra ==" not in line]
    return found


def size_mb(name: str) -> float:
    """Return the size of a distribution's files, MB."""
    files = metadata.files(name) or []
    paths = [Path(str(file.locate())) for file in files]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def installed_mb() -> dict[str, float]:
    """Return the size of the package and of each runtime dependency, MB."""
    sizes = {name: size_mb(name) for name in runtime_distributions(DIRECT)}
    folder = Path(bailando.__file__).parent
    sizes["bailando"] = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6
    return sizes


def main() -> None:
    """Print one line a distribution, largest first, and the sum."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the figures as one JSON object")
    options = parser.parse_args()
    sizes = installed_mb()
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{size:8.1f} MB  {name}")
    print(f"{sum(sizes.values()):8.1f} MB  in all")
    write_json(options.json, "install_size", {"unit": "MB", "sum": sum(sizes.values()), "results": sizes})


if __name__ == "__main__":
    main()
