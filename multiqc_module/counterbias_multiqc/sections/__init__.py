"""The sections of the report, one per module.

Each module has a function ``add(view)``, which adds its section if there is anything to show.
"""
