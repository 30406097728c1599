"""``counterbias train``: the order of its stages.

Each file is read once, and windows are drawn from it (:mod:`.reader`); they wait on disk
(:mod:`.window_store`) until all samples are read, since the folds are made once, over the starts of
all of them: a fold that a model does not see is kept from it in every sample. Then the pooled model
of each read end is fitted, calibrated, and compared with the samples' own models (:mod:`.trainer`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from counterbias.errors import InputError
from counterbias.inputs import read_again
from counterbias.messages import SILENT, Messages
from counterbias.model_file import is_model_file
from counterbias.options import POOLS, UNION, RunOptions, TrainOptions
from counterbias.pipeline.inputs import needed_again, open_inputs
from counterbias.pipeline.train.reader import CohortReader
from counterbias.pipeline.train.results import Cohort
from counterbias.pipeline.train.trainer import Trainer
from counterbias.pipeline.train.window_store import WindowStore


def train_files(options: RunOptions, train: TrainOptions, messages: Messages = SILENT) -> Cohort:
    """Fit one model to several alignment files.

    Neither the order of the files nor the number of threads changes the result.

    Args:
        options: files and options; ``bias.cap`` and ``bias.ends`` do not matter here.
        train: how the samples are pooled.
        messages: where progress and warnings go.

    Raises:
        InputError: for everything that a user can fix.
    """
    _check_request(options, train)
    options = options.with_lengths(UNION)  # no length is measured
    begin = time.perf_counter()
    with read_again(*needed_again(options)), WindowStore() as store:
        inputs = open_inputs(options, messages)
        reader = CohortReader(inputs, store, messages)
        files = sorted(zip(options.samples, options.alignments, strict=True))
        for number, (sample, path) in enumerate(files):
            reader.read(number, sample, path)
        return Trainer(reader, train).train(begin)


def _check_request(options: RunOptions, train: TrainOptions) -> None:
    """Refuse what cannot be done, before any file is opened."""
    if train.pool not in POOLS:
        raise InputError(
            f"'{train.pool}' is not a way to pool samples",
            remedy=f"choose one of {', '.join(POOLS)}",
        )
    assert options.bias is not None
    if is_model_file(options.bias.model):
        raise InputError(
            "a model file cannot be trained",
            file=options.bias.model,
            remedy="name a backend of `counterbias models`",
        )
    _check_names(options.samples, options.alignments)


def _check_names(samples: Sequence[str], paths: Sequence[str]) -> None:
    known: dict[str, str] = {}
    for sample, path in zip(samples, paths, strict=True):
        if sample in known:
            raise InputError(
                f"two alignment files are both named '{sample}': {known[sample]} and {path}",
                remedy="give each sample once, by a file name of its own (a link will do)",
            )
        known[sample] = path
