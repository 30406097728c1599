"""What a model file looks like: names and keys, the versions of the schema, and limits."""

from __future__ import annotations

import re

#: The newest schema that is read. A file is written as the oldest that says all of it, so that older programs read it: :data:`PLAIN`, or
#: :data:`BLENDED` with a prior; the newest is for an end without a model.
TAG, SCHEMA, BLENDED, PLAIN = "counterbias_model", (1, 2), (1, 1), (1, 0)
#: Limits on what is read, far above what any model needs: bytes of the file, of its directory and of model.json, arrays per end (also
#: ends, and parts of an option), and samples that a model has learnt from.
MAX_BYTES, MAX_DIRECTORY, MAX_JSON, MAX_ARRAYS, MAX_SAMPLES = (
    256 << 20,
    1 << 20,
    4 << 20,
    1000,
    100_000,
)

DESCRIPTION = "model.json"
ARRAY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
KEYS = {
    "backend",
    "counterbias_model",
    "distribution",
    "ends",
    "options",
    "schema",
    "training",
    "version",
    "weighting",
    "window",
}
END_KEYS = {"arrays", "held_out_gain", "label", "offset", "slope", "starts"}
LENGTH_SLOPE = "length_slope"
NO_MODEL = "no_model"
PRIOR = "prior"
PRIOR_KEYS = {"backend", "distribution", "options", "training", "version"}
END_PRIOR_KEYS = {"arrays", "own_share", "prior_share"}
WEIGHTING_KEYS = {"cap", "factor"}
TRAINING_KEYS = {"counterbias_version", "samples", "scheme", "seed"}
