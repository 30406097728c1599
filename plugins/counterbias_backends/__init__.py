"""Counterbias's own backends: one module each, registered through entry points like anyone's."""
