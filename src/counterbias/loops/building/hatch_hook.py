"""Has hatch compile the loops when it builds a wheel or an editable installation."""

from __future__ import annotations

import platform
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: The stable interface that the library's caller is written for, as wheel tags name it.
_INTERFACE = "cp311-abi3"
#: Folders of the packages that loops are in, seen from the project's root.
_SOURCES = ("src", "plugins")


class LoopsBuildHook(BuildHookInterface[Any]):
    """Puts the library of compiled loops into the wheel.

    COUNTERBIAS_LEVELS names the levels of processors, ``none`` for a wheel without compiled loops;
    unset, the loops are compiled for the machine that builds.
    """

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the loops; ``version`` is ``editable`` or ``standard``."""
        root = Path(self.root)
        sys.path[:0] = [str(root / folder) for folder in _SOURCES]
        from counterbias.loops.building.errors import BuildingError
        from counterbias.loops.building.library import wanted_levels

        try:
            levels = wanted_levels()
            if levels:
                build_data["pure_python"] = False
                build_data["tag"] = f"{_INTERFACE}-{_platform()}"
                self._build(levels, build_data, editable=version == "editable")
        except BuildingError as problem:
            self.app.abort(f"The loops could not be compiled: {problem}")

    def _build(self, levels: Sequence[str], build_data: dict[str, Any], *, editable: bool) -> None:
        from counterbias.loops import library
        from counterbias.loops.building.library import build, build_in_place

        made = Path(self.root) / "build"
        folder = made / "loops"
        if editable:
            build_in_place(folder)
            return
        target = made / "library" / "-".join(levels)
        target.mkdir(parents=True, exist_ok=True)
        build(levels, folder, target, editable=False)
        for file in (library.LIBRARY, library.DESCRIPTION):
            name = Path(file).name
            build_data["force_include"][str(target / name)] = f"counterbias/loops/{name}"


def _platform() -> str:
    """Return this machine's part of a wheel's tag; on macOS, Python itself may be for two."""
    name = sysconfig.get_platform().replace("universal2", platform.machine())
    return name.replace("-", "_").replace(".", "_")
