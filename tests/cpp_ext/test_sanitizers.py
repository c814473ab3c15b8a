"""The native code under the thread and the address sanitizer, and its allocations counted."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "cpp_ext"
COMPILER = shutil.which("g++") or shutil.which("clang++")
PROGRAMS = {
    "ring_stress": ["tests/ring_stress.cpp"],
    "output_stress": ["tests/output_stress.cpp", "output_thread.cpp"],
}
NO_ALLOCATION = ["tests/no_allocation.cpp", "output_thread.cpp"]
SANITIZERS = {"thread": "thread", "address": "address,undefined"}


def compile_program(folder: Path, sources: list[str], *flags: str) -> Path:
    binary = folder / "program"
    command = [str(COMPILER), "-std=c++17", "-O1", "-g", "-pthread", "-Wall", "-Wextra", "-Werror"]
    command += [*flags, f"-I{SOURCES}", "-o", str(binary)]
    command += [str(SOURCES / source) for source in sources]
    built = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert built.returncode == 0, built.stderr
    return binary


def sanitizer_starts(folder: Path, sanitizer: str) -> bool:
    source = folder / "empty.cpp"
    source.write_text("int main() { return 0; }\n")
    binary = folder / "empty"
    built = subprocess.run(
        [str(COMPILER), f"-fsanitize={sanitizer}", "-o", str(binary), str(source)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    return built.returncode == 0 and subprocess.run([str(binary)], timeout=60, check=False).returncode == 0


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_stress_program_runs_clean(program: str, sanitizer: str, tmp_path: Path) -> None:
    if not sanitizer_starts(tmp_path, SANITIZERS[sanitizer]):
        pytest.skip(f"the {sanitizer} sanitizer does not work on this machine")
    flags = f"-fsanitize={SANITIZERS[sanitizer]}", "-fno-sanitize-recover=all"
    assert_runs(compile_program(tmp_path, PROGRAMS[program], *flags))


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc lets a program count its allocations"
)
def test_output_thread_and_audio_callbacks_allocate_nothing(tmp_path: Path) -> None:
    assert_runs(compile_program(tmp_path, NO_ALLOCATION))


def assert_runs(binary: Path) -> None:
    run = subprocess.run([str(binary)], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
