"""The few calls of NVIDIA's driver that running an engine needs: memory, copies, a stream.

They go to the driver's own C interface (``libcuda``, which every NVIDIA driver installs and keeps stable),
so that the deployed path needs no CUDA toolkit and no torch. Names and types are those of the driver API,
https://docs.nvidia.com/cuda/cuda-driver-api/.
"""

from __future__ import annotations

import ctypes
import sys
import weakref
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from bailando.errors import ConfigError

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_...
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
_NAME_BYTES = 256

_int, _uint, _pointer, _address, _size = (
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.c_void_p,
    ctypes.c_uint64,
    ctypes.c_size_t,
)
_ARGUMENTS: dict[str, list[Any]] = {
    "cuInit": [_uint],
    "cuDeviceGet": [ctypes.POINTER(_int), _int],
    "cuDeviceGetName": [ctypes.c_char_p, _int, _int],
    "cuDeviceGetAttribute": [ctypes.POINTER(_int), _int, _int],
    "cuDevicePrimaryCtxRetain": [ctypes.POINTER(_pointer), _int],
    "cuCtxSetCurrent": [_pointer],
    "cuMemAlloc_v2": [ctypes.POINTER(_address), _size],
    "cuMemFree_v2": [_address],
    "cuMemsetD8_v2": [_address, ctypes.c_ubyte, _size],
    "cuMemcpyHtoDAsync_v2": [_address, _pointer, _size, _pointer],
    "cuMemcpyDtoHAsync_v2": [_pointer, _address, _size, _pointer],
    "cuStreamCreate": [ctypes.POINTER(_pointer), _uint],
    "cuStreamSynchronize": [_pointer],
    "cuGetErrorString": [_int, ctypes.POINTER(ctypes.c_char_p)],
}


class CudaError(ConfigError):
    """The driver, or a GPU, that is missing or failed."""


@dataclass(frozen=True)
class Gpu:
    """A GPU's name and its compute capability, for example ``8.9``."""

    name: str
    compute_capability: str


class DeviceBuffer:
    """Memory of the GPU, zeroed; given back when nothing refers to it any more.

    Attributes
    ----------
    address : int
        Where it begins on the device.
    """

    def __init__(self, driver: CudaDriver, size: int) -> None:
        self.address = driver.allocate(size)
        weakref.finalize(self, driver.free, self.address)


class CudaDriver:
    """The driver with one GPU's primary context; any thread may use it.

    Parameters
    ----------
    library : str
        Name or path of the driver's library.
    ordinal : int
        Number of the GPU.

    Attributes
    ----------
    gpu : Gpu

    Raises
    ------
    CudaError
        If there is no driver or no GPU.
    """

    def __init__(self, library: str = _LIBRARY, ordinal: int = 0) -> None:
        try:
            self._library = ctypes.CDLL(library)
            for name, arguments in _ARGUMENTS.items():
                getattr(self._library, name).argtypes = arguments
        except (OSError, AttributeError) as error:
            reason = " ".join(str(error).split())[:120]
            raise CudaError(
                f"no NVIDIA driver is here ({reason}); install one, or use --backend cpu"
            ) from None
        self._call("cuInit", 0)
        device = _int()
        self._call("cuDeviceGet", ctypes.byref(device), ordinal)
        self.gpu = Gpu(self._device_name(device), self._capability(device))
        self._context = _pointer()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device)

    def make_current(self) -> None:
        """Use the GPU from this thread; cheap, and needed in each thread before all that follows."""
        self._call("cuCtxSetCurrent", self._context)

    def allocate(self, size: int) -> int:
        """Return the address of `size` bytes of zeros on the GPU."""
        self.make_current()
        address = _address()
        self._call("cuMemAlloc_v2", ctypes.byref(address), size)
        self._call("cuMemsetD8_v2", address, 0, size)
        self._call("cuStreamSynchronize", None)  # other streams do not wait for this one
        return address.value

    def free(self, address: int) -> None:
        """Give memory back; of a GPU that fails there is none to give."""
        self._library.cuCtxSetCurrent(self._context)
        self._library.cuMemFree_v2(address)

    def new_stream(self) -> int:
        """Return a stream: work put into it is done in order."""
        self.make_current()
        stream = _pointer()
        self._call("cuStreamCreate", ctypes.byref(stream), _NON_BLOCKING)
        return stream.value or 0

    def upload(self, address: int, array: NDArray[Any], stream: int) -> None:
        """Copy a contiguous array to the GPU, in order with the stream."""
        self._call("cuMemcpyHtoDAsync_v2", address, array.ctypes.data, array.nbytes, stream)

    def download(self, array: NDArray[Any], address: int, stream: int) -> None:
        """Copy from the GPU into a contiguous array, which is whole after `synchronise`."""
        self._call("cuMemcpyDtoHAsync_v2", array.ctypes.data, address, array.nbytes, stream)

    def synchronise(self, stream: int) -> None:
        """Wait until all that was put into the stream is done."""
        self._call("cuStreamSynchronize", stream)

    def _device_name(self, device: ctypes.c_int) -> str:
        name = ctypes.create_string_buffer(_NAME_BYTES)
        self._call("cuDeviceGetName", name, _NAME_BYTES, device)
        return name.value.decode(errors="replace")

    def _capability(self, device: ctypes.c_int) -> str:
        numbers = []
        for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR):
            number = _int()
            self._call("cuDeviceGetAttribute", ctypes.byref(number), attribute, device)
            numbers.append(str(number.value))
        return ".".join(numbers)

    def _call(self, name: str, *arguments: Any) -> None:
        """Call a function of the driver; raise what it says went wrong."""
        code = getattr(self._library, name)(*arguments)
        if code == 0:
            return
        text = ctypes.c_char_p()
        self._library.cuGetErrorString(code, ctypes.byref(text))
        reason = (text.value or b"unknown").decode(errors="replace")
        raise CudaError(f"the GPU's driver refuses {name} ({reason}, {code}); check it, or use --backend cpu")
