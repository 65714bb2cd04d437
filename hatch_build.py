"""Build hook: compiles the CPU kernels where a C++ compiler is present; the install succeeds without one."""

from __future__ import annotations

import importlib.util
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNELS = Path("src") / "finallayer" / "kernels"


class KernelBuildHook(BuildHookInterface):  # type: ignore[misc]
    """Adds the compiled library to a wheel and tags it ``py3-none-<platform>``: ctypes needs no Python ABI."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        builder = self._load_builder()
        if version == "editable":  # an editable install runs from the source tree: the library belongs there
            folder = Path(self.root) / KERNELS
        else:
            self._scratch = tempfile.TemporaryDirectory()
            folder = Path(self._scratch.name)
        library = builder.compile_library(folder)
        if library is None:
            self.app.display_warning("no C++17 compiler: finallayer.losses will use the frameworks' own operations")
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        if version != "editable":
            build_data["force_include"][str(library)] = f"finallayer/kernels/{library.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "_scratch"):
            self._scratch.cleanup()

    def _load_builder(self) -> Any:
        spec = importlib.util.spec_from_file_location("kernel_build", Path(self.root) / KERNELS / "build.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
