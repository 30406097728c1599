"""The networks in plain torch: what compiled code is tested with, and what a GPU trains."""

from __future__ import annotations

import torch
from torch import nn

from counterbias_backends.rnn.parameters import Parameters


class CharacterNetwork(nn.Module):  # type: ignore[misc]  # torch is optional, its types are skipped
    """Predict each base of a window from the bases before it.

    Layers: one-hot, GRU or LSTM, linear, softmax over A, C, G, T. The first base is predicted from
    a start symbol, an input of zeros. Source: Zhang et al. 2017, BMC Genomics 18(Suppl 1):1044.
    """

    def __init__(self, cell: str, hidden: int) -> None:
        super().__init__()
        layer = nn.GRU if cell == "gru" else nn.LSTM
        # On "meta", nothing is drawn from torch's global generator; parameters come from elsewhere.
        self.cell = layer(4, hidden, batch_first=True, device="meta").to_empty(device="cpu")
        self.readout = nn.Linear(hidden, 4, device="meta").to_empty(device="cpu")

    @classmethod
    def from_parameters(cls, parameters: Parameters) -> CharacterNetwork:
        """Make the network that has these parameters."""
        network = cls(parameters.cell, parameters.hidden)
        flat = torch.from_numpy(parameters.flat.copy())
        nn.utils.vector_to_parameters(flat, network.parameters())
        return network

    def forward(self, contexts: torch.Tensor) -> torch.Tensor:
        """Return ln p(window): integer (n, width) → (n,)."""
        letters, before = _one_hot(contexts, self.readout.weight.dtype)  # (n, width, 4)
        states, _ = self.cell(before)  # (n, width, hidden)
        log_probability = torch.log_softmax(self.readout(states), dim=-1)  # (n, width, 4)
        return (log_probability * letters).sum(dim=(1, 2))


class PositionNetwork(nn.Module):  # type: ignore[misc]  # torch is optional, its types are skipped
    """A GRU or LSTM with an output layer per position, to which the previous letter adds.

    ``forward`` returns ln p(window), or with ``ratio`` the sum of the outputs of the window's
    letters.
    """

    def __init__(self, cell: str, hidden: int, places: int, ratio: bool) -> None:
        super().__init__()
        self.ratio = ratio
        self.cell = CharacterNetwork(cell, hidden).cell
        self.readout_weight = nn.Parameter(torch.empty(places, 4, hidden))
        self.readout_bias = nn.Parameter(torch.empty(places, 4))
        self.skip_weight = nn.Parameter(torch.empty(places, 4, 4))

    @classmethod
    def from_parameters(cls, parameters: Parameters, *, ratio: bool) -> PositionNetwork:
        """Make the network that has these parameters."""
        network = cls(parameters.cell, parameters.hidden, parameters.places, ratio)
        nn.utils.vector_to_parameters(torch.from_numpy(parameters.flat.copy()), network.ordered())
        return network

    def ordered(self) -> list[nn.Parameter]:
        """Return the parameters in the order of the flat vector."""
        return [*self.cell.parameters(), self.readout_weight, self.readout_bias, self.skip_weight]

    def forward(self, contexts: torch.Tensor) -> torch.Tensor:
        """Score windows: integer (n, width) → (n,)."""
        letters, before = _one_hot(contexts, self.readout_weight.dtype)  # (n, width, 4)
        states, _ = self.cell(before)  # (n, width, hidden)
        outputs = torch.einsum("nth,tlh->ntl", states, self.readout_weight) + self.readout_bias
        outputs = outputs + torch.einsum("ntk,tlk->ntl", before, self.skip_weight)
        if not self.ratio:
            outputs = torch.log_softmax(outputs, dim=-1)  # (n, width, 4)
        return (outputs * letters).sum(dim=(1, 2))


def _one_hot(contexts: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the letters of windows, and those before them, zeros before the first."""
    letters = nn.functional.one_hot(contexts.long(), 4).to(dtype)
    return letters, torch.cat([torch.zeros_like(letters[:, :1]), letters[:, :-1]], dim=1)
