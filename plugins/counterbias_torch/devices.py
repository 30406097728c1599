"""The device that networks are trained on, and torch's settings while they are."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from counterbias_backends.gpu import require_gpu

#: What cuBLAS needs to add in the same order every time; read when torch first uses the GPU.
_WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
#: How torch says that memory was too small where that is no error of its own kind: on the
#: processor, in CUDA, and in its libraries.
_NO_MEMORY = ("DefaultCPUAllocator", "CUDA error: out of memory", "STATUS_ALLOC_FAILED")
_lock = threading.Lock()
Result = TypeVar("Result")
#: Threads that calculate within :func:`one_thread`, and torch's number of threads before the first.
_inside, _usual = 0, 0
#: torch's settings within :func:`precise`: no trials of algorithms, no TF32 for convolutions and
#: products; deterministic algorithms, but where an operation has none the network is trained all
#: the same; no filling of memory that is written to next; attention by plain products, because the
#: gradients of its other algorithms differ from run to run.
_PRECISE = (False, False, False, True, True, False, False, False, False)
#: Threads that calculate within :func:`precise`, and torch's settings before the first.
_precise = 0
_before: tuple[bool, ...] = _PRECISE


def choose_device(wanted: str) -> torch.device:
    """Return the device for ``cpu``, ``cuda`` or ``auto``: a GPU if there is one.

    Raises InputError where ``cuda`` is missing.
    """
    if wanted == "cuda" or (wanted == "auto" and torch.cuda.is_available()):
        os.environ.setdefault(*_WORKSPACE)
        return torch.device(require_gpu())
    return torch.device("cpu")


def device_name(device: torch.device) -> str:
    """Return what users call the device: ``cpu``, or the name of the GPU."""
    return str(torch.cuda.get_device_name(device) if device.type == "cuda" else device.type)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch calculate on the calling thread alone.

    How torch shares an operation out among threads changes the rounding of its sums; what is to be
    faster with several threads trains, or scores, several things at a time.
    """
    global _inside, _usual  # torch's setting is the process's, too
    with _lock:
        # A thread's number is the process's until it is first asked for, then its own.
        found = torch.get_num_threads()
        if not _inside:
            _usual = found
        _inside += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            # A thread that came later may have found what another one had set for itself.
            torch.set_num_threads(found if _inside else _usual)


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Let the same training on a device give the same bytes, and in full single precision.

    torch's settings are those of the process; they are put back afterwards.
    """
    if device.type == "cpu":
        with one_thread():
            yield
        return
    with precise(device), warnings.catch_warnings():
        # cuDNN copies the weights of recurrent layers, which are parts of other tensors here;
        # what cannot be vectorised is calculated network by network.
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single")
        warnings.filterwarnings("ignore", message="There is a performance drop")
        yield


@contextmanager
def precise(device: torch.device) -> Iterator[None]:
    """Let the same calculation on a device give the same numbers, on several threads at once too.

    A GPU would otherwise multiply in less than single precision.
    """
    global _precise, _before
    if device.type == "cpu":
        with one_thread():
            yield
        return
    with _lock:
        if not _precise:
            _before = _settings()
            _set(_PRECISE)
        _precise += 1
    try:
        yield
    finally:
        with _lock:
            _precise -= 1
            if not _precise:
                _set(_before)


def _settings() -> tuple[bool, ...]:
    """Return torch's settings for GPUs, in the order of :data:`_PRECISE`."""
    with _old_names():
        return (
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.allow_tf32,
            torch.backends.cuda.matmul.allow_tf32,
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
            torch.backends.cuda.flash_sdp_enabled(),
            torch.backends.cuda.mem_efficient_sdp_enabled(),
            torch.backends.cuda.cudnn_sdp_enabled(),
        )


def _set(settings: tuple[bool, ...]) -> None:
    benchmark, convolutions, products, strict, lenient, fill, flash, efficient, cudnn = settings
    with _old_names():
        torch.backends.cudnn.benchmark = benchmark
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.backends.cuda.matmul.allow_tf32 = products
    torch.use_deterministic_algorithms(strict, warn_only=lenient)
    torch.utils.deterministic.fill_uninitialized_memory = fill
    torch.backends.cuda.enable_flash_sdp(flash)
    torch.backends.cuda.enable_mem_efficient_sdp(efficient)
    torch.backends.cuda.enable_cudnn_sdp(cudnn)


@contextmanager
def _old_names() -> Iterator[None]:
    """Silence the warning of torch 2.9 that there are new names for ``allow_tf32``."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Please use the new API settings")
        yield


def halved_to_fit(evaluate: Callable[[int], Result], at_once: int) -> Result:
    """Call a function with a number of rows to take at once, half as many until they fit in memory.

    Raises what the function raises for a single row.
    """
    while True:
        try:
            return evaluate(at_once)
        except (RuntimeError, MemoryError) as problem:
            if not is_out_of_memory(problem) or at_once == 1:
                raise
        at_once //= 2


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether torch failed for want of memory: of a GPU, or of the machine."""
    if isinstance(problem, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    return isinstance(problem, RuntimeError) and any(one in str(problem) for one in _NO_MEMORY)
