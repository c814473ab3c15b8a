"""NVIDIA's plugin for ONNX Runtime, TensorRT for RTX: found, registered and asked for its device.

The plugin is a package of its own (``onnxruntime-ep-nv-tensorrt-rtx``) and works with the plain
``onnxruntime``; its documentation is https://nvidia.github.io/TensorRT-RTX-EP-ABI/.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

import onnxruntime as ort

from bailando.errors import ConfigError

PLUGIN_BACKEND = "tensorrt-rtx"
PLUGIN_MODULE = "onnxruntime_ep_nv_tensorrt_rtx"


def provider_name() -> str:
    """Return what ONNX Runtime calls the plugin, which is installed."""
    return str(importlib.import_module(PLUGIN_MODULE).get_ep_name())


def plugin_device() -> Any:
    """Return the plugin's first device (``OrtEpDevice``), registering the plugin with the process once.

    Raises
    ------
    ConfigError
        If the plugin is not installed, does not load, or finds no GPU that it supports.
    """
    if find_spec(PLUGIN_MODULE) is None:
        raise ConfigError(
            f"backend {PLUGIN_BACKEND!r} needs ONNX Runtime's TensorRT RTX plugin, which is not installed; "
            "pip install 'bailando[gpu-rtx]', or use --backend cpu"
        )
    name = provider_name()
    if not _devices(name):
        try:
            library = importlib.import_module(PLUGIN_MODULE).get_library_path()
            ort.register_execution_provider_library(name, library)
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(
                f"ONNX Runtime's TensorRT RTX plugin does not load ({reason}); check the driver and that "
                "onnxruntime is 1.24 or newer, or use --backend cpu"
            ) from error
    if not (devices := _devices(name)):
        raise ConfigError(
            f"backend {PLUGIN_BACKEND!r} found no GPU that it supports (NVIDIA RTX 30 or newer); check the "
            "driver, or use --backend cpu"
        )
    return devices[0]  # the plugin takes one


def _devices(name: str) -> list[Any]:
    return [device for device in ort.get_ep_devices() if device.ep_name == name]
