"""The backends that come with Counterbias, registered through entry points like any plug-in."""
