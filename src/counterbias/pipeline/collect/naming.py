"""How messages name the second of two tables: briefly, so that there is room for what differs."""

import os


def briefly(path: str, beside: str) -> str:
    """Return a table's name without its folder, or with it where ``beside`` has the same name."""
    name = os.path.basename(path)
    return path if name == os.path.basename(beside) else name
