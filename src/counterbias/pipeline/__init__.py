"""The stages in their order, one room per command: the only package that knows the order."""
