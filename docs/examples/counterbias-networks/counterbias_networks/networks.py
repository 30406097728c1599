"""The networks. Importing this module imports torch."""

from dataclasses import dataclass

import torch
from torch import nn

from counterbias_torch import NetworkModel, TrainingOptions


@dataclass(frozen=True)
class DilatedOptions(TrainingOptions):
    channels: int = 32


class Dilated(NetworkModel):
    Options = DilatedOptions
    slides = True

    def network(self):
        inputs, channels = 4, self.options.channels
        layers, dilation, left = [], 1, self.window.width - 1  # left: bases to be joined yet
        while left >= 2 * dilation:
            layers += [nn.Conv1d(inputs, channels, 3, dilation=dilation), nn.ReLU()]
            inputs, dilation, left = channels, 2 * dilation, left - 2 * dilation
        return nn.Sequential(*layers, nn.Conv1d(inputs, 1, left + 1), nn.Flatten())


@dataclass(frozen=True)
class TransformerOptions(TrainingOptions):
    size: int = 32
    heads: int = 2
    layers: int = 1
    epochs: int = 5


class Transformer(NetworkModel):
    Options = TransformerOptions

    def network(self):
        return Encoder(self.window.width, self.options)


class Encoder(nn.Module):
    def __init__(self, width, options):
        super().__init__()
        size, words = options.size, (width + 1) // 5 + 1
        self.words = nn.Conv1d(4, size, kernel_size=7, stride=5, padding=4)
        self.places = nn.Parameter(0.1 * torch.randn(words, size))
        settings = {"dropout": 0.0, "batch_first": True, "norm_first": True}
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(size, options.heads, 2 * size, **settings)
                for _ in range(options.layers)
            )
        )
        self.score = nn.Linear(words * size, 1)

    def forward(self, letters):
        words = self.words(letters).transpose(1, 2) + self.places
        return self.score(self.layers(words).flatten(1))
