"""Outputs of networks → scores of windows → the loss of every row."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from counterbias_torch.rows import BASES, LOGISTIC, SQUARES


def scores_of(outputs: Tensor, codes: Tensor) -> Tensor:
    """Return the score of each window.

    Args:
        outputs: of a network: a score per window, (…, n) or (…, n, 1), or outputs per base,
            (…, n, width, 4), of which those of the window's own bases are summed.
        codes: the windows, uint8 (…, n, width).

    Returns: (…, n).
    """
    if outputs.dim() == codes.dim() + 1:
        return _observed(outputs, codes).sum(dim=-1)
    return outputs.squeeze(-1) if outputs.dim() == codes.dim() else outputs


def log_probabilities(outputs: Tensor, codes: Tensor) -> Tensor:
    """Return ln p of each window: outputs per base (…, n, width, 4), codes → (…, n)."""
    return _observed(torch.log_softmax(outputs, dim=-1), codes).sum(dim=-1)


def _observed(outputs: Tensor, codes: Tensor) -> Tensor:
    """Return the outputs of the observed bases, (…, width)."""
    # No gather: for its gradient to be reproducible, a GPU sorts.
    bases = torch.arange(4, dtype=codes.dtype, device=codes.device)
    return torch.where(codes.unsqueeze(-1) == bases, outputs, 0).sum(dim=-1)


def row_losses(scores: Tensor, targets: Tensor, loss: str) -> Tensor:
    """Return the loss of each row, before it is weighted: (…, places) twice → (…).

    For :data:`BASES` the scores are log probabilities.
    """
    if loss == BASES:
        each = -scores
    elif loss == LOGISTIC:
        each = functional.binary_cross_entropy_with_logits(scores, targets, reduction="none")
    elif loss == SQUARES:
        each = 0.5 * (scores - targets).square()
    else:
        each = -targets * torch.log_softmax(scores, dim=-1)
    return each.sum(dim=-1)
