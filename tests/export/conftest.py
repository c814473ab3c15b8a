from __future__ import annotations

import importlib.util
import logging

import pytest

from bailando.export.exporter import DancerExport, ExportOptions, ExportResult, export_checkpoint
from bailando.models.checkpoint import DancerCheckpoint
from tests.export.factory import small_checkpoint

HAS_TENSORRT_RTX = importlib.util.find_spec("tensorrt_rtx") is not None


# pytest listens to every logger, and torch.export writes a structured trace of megabytes if anyone listens:
# a quarter of an export's time.
logging.getLogger("torch.__trace").disabled = True


@pytest.fixture(scope="session")
def checkpoint() -> DancerCheckpoint:
    return small_checkpoint()


@pytest.fixture(scope="session")
def dancer(checkpoint: DancerCheckpoint) -> DancerExport:
    """The small dancer's graphs for two dancers at a time, float32."""
    return DancerExport(checkpoint, ExportOptions(batch=2))


@pytest.fixture(scope="session")
def exported(checkpoint: DancerCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> ExportResult:
    """The small dancer as a .zip with float16 storage, an encoder and, where a library is, engines."""
    path = tmp_path_factory.mktemp("export") / "small.zip"
    capabilities = ("8.6", "8.9") if HAS_TENSORRT_RTX else ()
    options = ExportOptions(
        storage="fp16",
        encoder_frames=16,
        tensorrt=HAS_TENSORRT_RTX,
        compute_capabilities=capabilities,
    )
    return export_checkpoint(checkpoint, path, options)
