from counterbias.testing import conformance
from counterbias_networks.networks import DilatedOptions, TransformerOptions

TestDilated = conformance("dilated", options=DilatedOptions(channels=8, epochs=2))
TestTransformer = conformance("transformer", options=TransformerOptions(size=16, epochs=1))
