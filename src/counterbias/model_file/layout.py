"""The layout of a model file: its tag, schema versions, keys and limits."""

from __future__ import annotations

import re

TAG = "counterbias_model"
#: Versions of the schema. A file is written in the oldest that can express it, so that older
#: programs can read it: :data:`PLAIN`; :data:`BLENDED` with a prior; :data:`SCHEMA`, the newest
#: that can be read, where an end has no model.
SCHEMA, BLENDED, PLAIN = (1, 2), (1, 1), (1, 0)
#: Limits on what is read, far above what any model needs: bytes of the file, of its directory and
#: of model.json.
MAX_BYTES, MAX_DIRECTORY, MAX_JSON = 256 << 20, 1 << 20, 4 << 20
#: Most arrays per end; also most ends, and most parts of an option.
MAX_ARRAYS = 1000
#: Most samples that a model has learnt from.
MAX_SAMPLES = 100_000

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
