from counterbias_networks.networks import DilatedOptions, TransformerOptions

from counterbias.testing import conformance

quick = {"epochs": 1, "learning_rate": 0.02}
TestDilated = conformance("dilated", options=DilatedOptions(channels=8, **quick))
TestTransformer = conformance("transformer", options=TransformerOptions(size=8, **quick))
