"""Builds the native module `bailando._native`; everything else stands in pyproject.toml."""

import sys
from glob import glob

from pybind11.setup_helpers import Pybind11Extension, build_ext
from setuptools import setup


class BuildNative(build_ext):
    def build_extension(self, ext: Pybind11Extension) -> None:
        ext.define_macros.append(("BAILANDO_VERSION", f'"{self.distribution.get_version()}"'))
        super().build_extension(ext)


def native_module() -> Pybind11Extension:
    windows = sys.platform == "win32"
    return Pybind11Extension(
        "bailando._native",
        sources=sorted(glob("cpp_ext/*.cpp")),
        depends=sorted(glob("cpp_ext/*.hpp")),
        include_dirs=["cpp_ext"],
        cxx_std=17,
        libraries=["ws2_32"] if windows else [],
        extra_compile_args=["/O2", "/W4"] if windows else ["-O2", "-Wall", "-Wextra", "-pthread"],
        extra_link_args=[] if windows else ["-pthread"],
    )


setup(ext_modules=[native_module()], cmdclass={"build_ext": BuildNative})
