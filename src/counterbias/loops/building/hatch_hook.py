"""Has hatch compile the loops when it builds a wheel or an editable installation."""

from __future__ import annotations

import sys
import sysconfig
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
        from counterbias.loops import library
        from counterbias.loops.building.library import build, build_in_place, wanted_levels

        levels = wanted_levels()
        if not levels:
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"{_INTERFACE}-{_platform()}"
        folder = root / "build" / "loops"
        if version == "editable":
            build_in_place(folder)
            return
        target = root / "build" / "library"
        target.mkdir(parents=True, exist_ok=True)
        build(levels, folder, target, editable=False)
        for file in (library.LIBRARY, library.DESCRIPTION):
            name = Path(file).name
            build_data["force_include"][str(target / name)] = f"counterbias/loops/{name}"


def _platform() -> str:
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
