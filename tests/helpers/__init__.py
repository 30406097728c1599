"""What the tests of several packages build their inputs with."""
