"""Stand-ins for what no test machine has: NVIDIA's driver over host memory, and TensorRT that computes there.

The driver is a C library with the driver's own interface, so that every call is really made, with its real
types; only the memory behind it is the host's.
"""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

CAPABILITY = "8.9"
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64}
_SOURCE = """
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#ifndef GPUS
#define GPUS 1
#endif
static int context, stream, allocated;
int cuInit(unsigned f) { return GPUS ? 0 : 100; }
int cuDeviceGet(int *d, int n) { *d = n; return n < GPUS ? 0 : 101; }
int cuDeviceGetName(char *s, int n, int d) { strncpy(s, "Stand-in GPU", n); return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : a == 76 ? 9 : -1; return 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { *c = &context; return 0; }
int cuCtxSetCurrent(void *c) { return c == &context ? 0 : 201; }
int cuMemAlloc_v2(uint64_t *p, size_t n) {
  *p = (uint64_t)malloc(n); memset((void *)*p, 255, n); allocated++; return 0;
}
int cuMemFree_v2(uint64_t p) { free((void *)p); allocated--; return 0; }
int cuMemsetD8_v2(uint64_t p, unsigned char v, size_t n) { memset((void *)p, v, n); return 0; }
int cuMemcpyHtoDAsync_v2(uint64_t p, const void *h, size_t n, void *s) {
  if (s != &stream) return 400;
  memcpy((void *)p, h, n); return 0;
}
int cuMemcpyDtoHAsync_v2(void *h, uint64_t p, size_t n, void *s) {
  if (s != &stream) return 400;
  memcpy(h, (void *)p, n); return 0;
}
int cuStreamCreate(void **s, unsigned f) { *s = &stream; return 0; }
int cuStreamSynchronize(void *s) { return s == &stream || s == 0 ? 0 : 400; }
int cuGetErrorString(int e, const char **s) {
  *s = e == 100 ? "no CUDA-capable device is detected" : "wrong"; return 0;
}
int allocations(void) { return allocated; }
"""


def build_driver(folder: Path, gpus: int = 1) -> str:
    """Compile the driver that stands in and return its path."""
    source, library = folder / "cuda.c", folder / f"libcuda_{gpus}.so"
    source.write_text(_SOURCE)
    command = ["g++", "-x", "c", "-shared", "-fPIC", f"-DGPUS={gpus}", str(source), "-o", str(library)]
    subprocess.run(command, check=True)
    return str(library)


class StandInContext:
    """Runs an ONNX model on the memory it is told."""

    def __init__(self, session: onnxruntime.InferenceSession, works: bool) -> None:
        self._session = session
        self._works = works
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        return shape == _shape({value.name: value for value in self._session.get_inputs()}[name])

    def set_tensor_address(self, name: str, address: int) -> None:
        self._addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        given = {value.name: self._at(value).copy() for value in self._session.get_inputs()}
        outputs = self._session.get_outputs()
        for value, result in zip(outputs, self._session.run(None, given), strict=True):
            self._at(value)[...] = result
        return self._works

    def _at(self, value: Any) -> Any:
        dtype = np.dtype(_DTYPES[value.type])
        shape = _shape(value)
        size = int(np.prod(shape)) * dtype.itemsize
        memory = (ctypes.c_ubyte * size).from_address(self._addresses[value.name])
        return np.frombuffer(memory, dtype).reshape(shape)


def _shape(value: Any) -> tuple[int, ...]:
    """Return a tensor's shape, one dancer where the batch is free: engines are built for one."""
    return tuple(size if isinstance(size, int) else 1 for size in value.shape)


def stand_in_tensorrt(works: bool = True) -> Any:
    """Return a module with as much of TensorRT's interface as is used; its engines are ONNX models."""

    class ILogger:
        Severity = SimpleNamespace(ERROR=1)

        def __init__(self) -> None:
            self.begun = True

    class Runtime:
        def __init__(self, logger: Any) -> None:
            assert logger.begun
            self._logger = logger

        def deserialize_cuda_engine(self, data: bytes) -> Any:
            try:
                session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
            except Exception:
                self._logger.log(ILogger.Severity.ERROR, "no magic\n  in it")
                return None
            return SimpleNamespace(create_execution_context=lambda: StandInContext(session, works))

    return SimpleNamespace(__name__="stand_in", __version__="1.0", Runtime=Runtime, ILogger=ILogger)
