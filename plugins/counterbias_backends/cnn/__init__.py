"""``cnn``: small convolutional networks that tell read starts from nearby positions.

Listing it imports neither numba nor torch. Training and scoring import numba; only training on a
GPU imports torch.
"""

from __future__ import annotations

from counterbias import Backend, BiasModel, hookimpl


def _load() -> type[BiasModel]:
    from counterbias_backends.cnn.model import ConvolutionalModel

    return ConvolutionalModel


@hookimpl
def counterbias_backends() -> list[Backend]:
    """Offer ``cnn``."""
    return [
        Backend(
            "cnn",
            "convolutional networks that tell read starts from nearby places, mean of several",
            _load,
        )
    ]
