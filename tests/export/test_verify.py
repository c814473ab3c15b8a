from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bailando.engine.bundle import Bundle
from bailando.errors import BundleError
from bailando.export.bundle_writer import write_bundle
from bailando.export.exporter import ExportResult
from bailando.export.verify import verify_bundle


def rewritten(bundle: Bundle, path: Path, run: Any) -> Bundle:
    """The bundle with another recorded run."""
    files = {name: bundle.file_bytes(name) for name in bundle.manifest.files}
    validation = {**bundle.manifest.validation, "run": run}
    return write_bundle(path, dataclasses.replace(bundle.manifest, validation=validation), files)


def test_exported_bundle_verifies(exported: ExportResult) -> None:
    found = verify_bundle(exported.bundle)
    assert (found.steps, found.equal_codes) == (16, 16)
    assert found.largest_shortfall == 0.0


def test_run_that_was_recorded_otherwise_is_refused(exported: ExportResult, tmp_path: Path) -> None:
    run = exported.bundle.manifest.validation["run"]
    codes = [[(upper + 1) % 16, lower] for upper, lower in run["codes"]]
    bundle = rewritten(exported.bundle, tmp_path / "b", {**run, "codes": codes})
    with pytest.raises(BundleError, match="dances otherwise than when it was exported"):
        verify_bundle(bundle)


def test_poses_of_another_size_are_refused(exported: ExportResult, tmp_path: Path) -> None:
    run = exported.bundle.manifest.validation["run"]
    upper, lower = run["pose_rms"]
    bundle = rewritten(exported.bundle, tmp_path / "b", {**run, "pose_rms": [upper, lower * 1.5 + 1]})
    with pytest.raises(BundleError, match="lower poses of size"):
        verify_bundle(bundle)


@pytest.mark.parametrize(
    "run", [None, {}, {"codes": [[1]], "pose_rms": [0, 0]}, {"codes": 3, "pose_rms": []}]
)
def test_missing_or_malformed_record_is_refused(exported: ExportResult, tmp_path: Path, run: object) -> None:
    with pytest.raises(BundleError, match=r"validation\.run is missing or malformed"):
        verify_bundle(rewritten(exported.bundle, tmp_path / "b", run))
