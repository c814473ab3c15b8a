"""TensorRT engines of the step graphs, by TensorRT for RTX or the enterprise TensorRT.

Building for a named compute capability with ``tensorrt-rtx`` needs no GPU; the enterprise library
builds for the GPU at hand.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import onnx

from bailando.engine.specs import EngineSpec
from bailando.engine.tensorrt_library import installed_library, make_log
from bailando.errors import ExportError

_CAPABILITY = re.compile(r"\d{1,2}\.\d")


@dataclass(frozen=True)
class BuiltEngine:
    """A serialised engine, its entry in the manifest and how long the build took."""

    spec: EngineSpec
    data: bytes
    build_s: float

    @property
    def file(self) -> str:
        """File name in the bundle."""
        return self.spec.file


def find_library() -> ModuleType:
    """Import the first TensorRT there is: TensorRT for RTX, then the enterprise one.

    Raises
    ------
    ExportError
        If neither is installed.
    """
    library = installed_library()
    if library is None:
        raise ExportError("no TensorRT is installed: pip install tensorrt-rtx (it builds without a GPU)")
    return library


def build_engines(
    models: Mapping[str, onnx.ModelProto], compute_capabilities: Sequence[str] = ()
) -> list[BuiltEngine]:
    """Parse, build and serialise an engine of each graph.

    Parameters
    ----------
    models : mapping of str to onnx.ModelProto
        Graphs by name.
    compute_capabilities : sequence of str
        ``major.minor`` of the GPUs one engine shall run on; empty for the library's default.

    Raises
    ------
    ExportError
        If no library is installed, a capability is unknown to it, a graph is not parsed, or a build
        fails.
    """
    library = find_library()
    return [_build(library, name, model, tuple(compute_capabilities)) for name, model in models.items()]


def _build(
    library: ModuleType, name: str, model: onnx.ModelProto, capabilities: tuple[str, ...]
) -> BuiltEngine:
    log = make_log(library)
    builder = library.Builder(log)
    if builder is None:
        raise ExportError(f"{library.__name__} cannot start ({log.last}): build on a machine it supports")
    network = builder.create_network(1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = library.OnnxParser(network, log)
    if not parser.parse(model.SerializeToString()):
        reasons = "; ".join(str(parser.get_error(i).desc()) for i in range(parser.num_errors))
        raise ExportError(f"{library.__name__} cannot parse {name}: {reasons[:300]}")
    config = builder.create_builder_config()
    # Float32 means float32: ten-bit products would miss the validation's tolerance.
    config.clear_flag(library.BuilderFlag.TF32)
    _fix_batch(builder, network, config)
    _set_capabilities(library, config, capabilities)
    start_ns = time.perf_counter_ns()
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ExportError(f"{library.__name__} cannot build {name}: {log.last or 'no reason given'}")
    suffix = "_".join(capability.replace(".", "") for capability in capabilities)
    spec = EngineSpec(
        graph=name,
        file=f"{name}.sm_{suffix}.engine" if suffix else f"{name}.engine",
        library=library.__name__,
        library_version=str(library.__version__),
        compute_capabilities=capabilities,
    )
    return BuiltEngine(spec, bytes(plan), (time.perf_counter_ns() - start_ns) / 1e9)


def _fix_batch(builder: Any, network: Any, config: Any) -> None:
    """Build for one dancer where the graph leaves the batch free: engines step one at a time."""
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    free = [tensor for tensor in inputs if -1 in tuple(tensor.shape)]
    if not free:
        return
    profile = builder.create_optimization_profile()
    for tensor in free:
        one = tuple(1 if size == -1 else size for size in tensor.shape)
        profile.set_shape(tensor.name, one, one, one)
    config.add_optimization_profile(profile)


def _set_capabilities(library: ModuleType, config: Any, capabilities: tuple[str, ...]) -> None:
    if not capabilities:
        return
    if not hasattr(library, "ComputeCapability"):
        raise ExportError(
            f"{library.__name__} builds for the GPU at hand only: leave --compute-capability out, or "
            "pip install tensorrt-rtx"
        )
    config.num_compute_capabilities = len(capabilities)
    for index, capability in enumerate(capabilities):
        member = f"SM{capability.replace('.', '')}" if _CAPABILITY.fullmatch(capability) else ""
        value = getattr(library.ComputeCapability, member, None) if member else None
        if value is None:
            known = sorted(
                n[2:-1] + "." + n[-1] for n in dir(library.ComputeCapability) if n.startswith("SM")
            )
            raise ExportError(f"compute capability is {capability!r}, expected some of {', '.join(known)}")
        config.set_compute_capability(value, index)
