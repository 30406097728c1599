"""The stages in their order: the only package that knows it. ``library`` is its face for Python, ``run`` that of the command line."""
