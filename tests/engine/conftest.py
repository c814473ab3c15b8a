"""A dancer that needs no training, shared by the engine's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailando.engine.dancer import Dancer
from tests.engine.synthetic_bundle import write_synthetic_bundle


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic_bundle(tmp_path_factory.mktemp("synthetic") / "bundle")


@pytest.fixture(scope="session")
def dancer(bundle_path: Path) -> Dancer:
    return Dancer.open(bundle_path)
