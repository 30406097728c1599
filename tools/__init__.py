"""What makes files of this repository from its code: see :mod:`tools.generate`."""
