"""The pipeline from Python: ``counterbias.count_reads``, ``fit_model`` and ``train_cohort``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from counterbias.errors import InputError
from counterbias.model_file import ModelFile
from counterbias.options import (
    AnnotationOptions,
    BiasOptions,
    CountingOptions,
    RunOptions,
    TrainOptions,
)
from counterbias.pipeline.count import CountRun, count_files
from counterbias.pipeline.train import Cohort, train_files

#: A file.
Path = str | os.PathLike[str]

#: What reads are taken to be where a model is fitted: unstranded, sorted by position.
_UNSTRANDED = CountingOptions(stranded="no", order="pos")


def count_reads(
    alignments: Path | Sequence[Path],
    annotation: Path | AnnotationOptions,
    *,
    options: CountingOptions | None = None,
    bias: BiasOptions | None = None,
    threads: int = 1,
) -> CountRun:
    """Count alignment files as ``counterbias count`` does, without writing anything.

    Args:
        alignments: one or several BAM, SAM or CRAM files.
        annotation: GTF or GFF3 file; or, with what is taken from it, :class:`AnnotationOptions`.
        options: counting options; htseq-count's defaults.
        bias: the bias model to fit or use and how lengths are measured, or None to count only;
            ``BiasOptions("none")`` measures lengths without a model.
        threads: threads within one file. No result depends on them.

    Returns:
        features, counts per file, and with ``bias``, per file, the columns of the table of
        corrected counts, the model, the isoforms and the quality report.

    Raises:
        InputError: for everything that a user can fix.
    """
    paths = [alignments] if isinstance(alignments, str | os.PathLike) else list(alignments)
    names = [os.fspath(path) for path in paths]
    return count_files(_run_options(names, names, annotation, options, bias, threads))


def fit_model(
    alignments: Path,
    annotation: Path | AnnotationOptions,
    bias: BiasOptions,
    *,
    options: CountingOptions = _UNSTRANDED,
    threads: int = 1,
) -> ModelFile:
    """Fit the bias model of one sample; ``counterbias.save_models`` writes it to a file.

    Args:
        alignments: BAM, SAM or CRAM file.
        annotation: as for :func:`count_reads`; reads assigned to its features are learnt from.
        bias: the model, the genome, and how it is fitted.
        options: counting options; by default unstranded reads sorted by position.
        threads: threads for counting. No result depends on them.

    Raises:
        InputError: for everything that a user can fix; also where nothing can be learnt from the
            reads.
    """
    if bias.lengths_alone:
        raise InputError(
            f"the model '{bias.model}' leaves nothing to fit",
            remedy="name a backend of `counterbias models`",
        )
    run = count_reads(alignments, annotation, options=options, bias=bias, threads=threads)
    fitted = run.bias[0].model
    assert fitted is not None
    if fitted.no_model:
        raise InputError(fitted.no_model, file=os.fspath(alignments))
    return fitted


def train_cohort(
    alignments: Mapping[str, Path],
    annotation: Path | AnnotationOptions,
    bias: BiasOptions,
    *,
    options: CountingOptions = _UNSTRANDED,
    train: TrainOptions | None = None,
) -> Cohort:
    """Fit one bias model to several samples, as ``counterbias train`` does, writing nothing.

    Args:
        alignments: sample → BAM, SAM or CRAM file.
        annotation, bias, options: as for :func:`fit_model`.
        train: how samples are pooled; by default they weigh as their reads, and a model of its own
            is fitted to each for comparison.

    Returns:
        the pooled model (``.model``, for ``counterbias.save_models``), and per sample what it gains
        on held-out blocks (``.gains``).

    Raises:
        InputError: for everything that a user can fix.
    """
    paths = [os.fspath(path) for path in alignments.values()]
    run = _run_options(paths, list(alignments), annotation, options, bias, bias.threads)
    return train_files(run, train or TrainOptions())


def _run_options(
    paths: Sequence[str],
    samples: Sequence[str],
    annotation: Path | AnnotationOptions,
    counting: CountingOptions | None,
    bias: BiasOptions | None,
    threads: int,
) -> RunOptions:
    if not isinstance(annotation, AnnotationOptions):
        annotation = AnnotationOptions(os.fspath(annotation))
    return RunOptions(
        alignments=tuple(paths),
        samples=tuple(samples),
        annotation=annotation,
        counting=counting or CountingOptions(),
        bias=bias,
        reference=None if bias is None else bias.genome or None,
        threads=threads,
    )
