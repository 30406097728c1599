"""The GPU that ``--bias-device cuda`` asks for."""

from __future__ import annotations

from counterbias import InputError


def require_gpu() -> str:
    """Return torch's name of the GPU. Raises InputError without torch or without a GPU."""
    try:
        import torch
    except ImportError as problem:
        raise InputError(
            "--bias-device cuda needs torch",
            remedy="run: pip install 'counterbias[torch]', or use --bias-device cpu",
        ) from problem
    if not torch.cuda.is_available():
        raise InputError("--bias-device cuda: torch finds no GPU", remedy="use --bias-device cpu")
    return "cuda"
