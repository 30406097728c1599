"""Two networks as bias models (a plug-in for Counterbias)."""

from counterbias import Backend, hookimpl


def load_dilated():
    from counterbias_networks.networks import Dilated

    return Dilated


def load_transformer():
    from counterbias_networks.networks import Transformer

    return Transformer


@hookimpl
def counterbias_backends():
    return [
        Backend("dilated", "dilated convolutions", load_dilated, requires=("torch",)),
        Backend("transformer", "attention between words", load_transformer, requires=("torch",)),
    ]
