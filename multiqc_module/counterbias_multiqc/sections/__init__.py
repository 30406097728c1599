"""One module per section; each has ``add(view)``, which adds what there is to see and nothing otherwise."""
