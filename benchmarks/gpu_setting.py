"""What ``gpu.py`` measures with and on, and what it calls a figure."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

import counterbias_backends.cnn.model
import counterbias_backends.rnn.model
import counterbias_torch.devices
from counterbias import BiasModel, Resources
from counterbias_torch.devices import device_name


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Args:
        name: what was measured.
        gpu, cpu: the measurements on either device.
        unit: of these.
        target: in words; empty for none.
        met: whether it was met; None where there is none, or nothing to compare.
        note: what else there is to say.
    """

    name: str
    gpu: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    unit: str = "s"
    target: str = ""
    met: bool | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times as much as on the GPU it is on the processor."""
        if not self.gpu or not self.cpu or not statistics.median(self.gpu):
            return None
        return statistics.median(self.cpu) / statistics.median(self.gpu)


@dataclass(frozen=True)
class Setting:
    """What is measured with.

    Args:
        device: ``cuda``; or ``cpu``, on which torch runs what otherwise runs on a GPU.
        quick: everything in miniature.
        threads: of the processor.
    """

    device: torch.device
    quick: bool
    threads: int

    @property
    def gpu(self) -> bool:
        """Whether there is a GPU, so that times can be compared."""
        return self.device.type == "cuda"

    @property
    def starts(self) -> int:
        """Read starts that models learn from."""
        return 300 if self.quick else 100_000

    def labels(self, *names: str) -> list[str]:
        """Return models as `compare` names them; in miniature they train for a moment."""
        if not self.quick:
            return list(names)
        brief = {"cnn": "min_steps=8+max_steps=8+distil_steps=40"}
        return [f"{name}:{brief.get(name, 'hidden=2+epochs=1+min_steps=1')}" for name in names]

    def fitted(self, model: BiasModel, device: str, seed: int = 1) -> BiasModel:
        """Set what a model may use: the GPU or what stands in for it, or the processor."""
        model.resources = Resources(self.threads, "cuda" if device == "gpu" else "cpu")
        return model


@contextmanager
def stand_in(setting: Setting) -> Iterator[None]:
    """Let torch's CPU device be what ``--bias-device cuda`` means, where there is to be no GPU."""
    if setting.gpu:
        yield
        return
    users = (
        counterbias_torch.devices,
        counterbias_backends.rnn.model,
        counterbias_backends.cnn.model,
    )
    with ExitStack() as patches:
        for user in users:
            patches.enter_context(mock.patch.object(user, "require_gpu", return_value="cpu"))
        yield


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(device: torch.device, run: Callable[..., object], *arguments: object) -> float:
    """Return the wall time of a call that calculates on a device, seconds."""
    wait_for(device)
    begun = time.perf_counter()
    run(*arguments)
    wait_for(device)
    return time.perf_counter() - begun


# -- the machine -----------------------------------------------------------------------------------


def environment(setting: Setting) -> dict[str, Any]:
    """Return what figures are quoted with."""
    found: dict[str, Any] = {
        "device": device_name(setting.device),
        "torch": torch.__version__,
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": setting.threads,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": platform.platform(),
        "load": os.getloadavg()[0],
        "starts": setting.starts,
    }
    if setting.gpu:
        properties = torch.cuda.get_device_properties(setting.device)
        found |= {
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "driver": _driver(),
            "gpu_memory_gb": properties.total_memory / 1e9,
        }
    return found


def _processor() -> str:
    """Return the processor's name, as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _driver() -> str:
    """Return the version of the GPU's driver, as Linux tells it; empty where it does not."""
    for path in ("/proc/driver/nvidia/version", "/sys/module/nvidia/version"):
        try:
            return Path(path).read_text().splitlines()[0].strip()
        except (OSError, IndexError):
            continue
    return ""
