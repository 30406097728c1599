from counterbias.testing import conformance

TestDinucleotide = conformance("dinucleotide")
