"""``gru`` and ``lstm``: character language models of windows.

Listing them imports neither numba nor torch. Training and scoring import numba; only training on a
GPU imports torch.
Source: Zhang et al. 2017, BMC Genomics 18(Suppl 1):1044.
"""

from __future__ import annotations

from counterbias import Backend, BiasModel, hookimpl


def _load_gru() -> type[BiasModel]:
    from counterbias_backends.rnn.model import GRUModel

    return GRUModel


def _load_lstm() -> type[BiasModel]:
    from counterbias_backends.rnn.model import LSTMModel

    return LSTMModel


@hookimpl
def counterbias_backends() -> list[Backend]:
    """Offer ``gru`` and ``lstm``."""
    return [
        Backend(
            "gru",
            "character language model, gated recurrent units (Zhang et al. 2017)",
            _load_gru,
        ),
        Backend(
            "lstm",
            "character language model, long short-term memory (Zhang et al. 2017)",
            _load_lstm,
        ),
    ]
