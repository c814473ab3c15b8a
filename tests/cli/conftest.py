"""A bundle that needs no training, for the commands that dance."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.synthetic_bundle import write_synthetic_bundle


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic_bundle(tmp_path_factory.mktemp("synthetic") / "bundle")
