"""``cnn``: a small convolutional network that tells where reads start from places near by.

Listing it imports neither numba nor torch; training and scoring import numba; torch is imported only to train on a GPU.
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
            "convolutional networks that tell read starts from places near by, mean of several",
            _load,
        )
    ]
