"""The pipeline for people who call it from Python: ``counterbias.count_reads``, ``fit_model`` and ``train_cohort``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from counterbias.errors import InputError
from counterbias.model_file import ModelFile
from counterbias.options import AnnotationOptions, BiasOptions, CountingOptions
from counterbias.pipeline.count import CountRun, count_files
from counterbias.pipeline.train.trainer import Cohort, train_files
from counterbias.records import Window

Path = str | os.PathLike[str]


def count_reads(
    alignments: Path | Sequence[Path],
    annotation: Path,
    *,
    options: CountingOptions | None = None,
    feature_types: Sequence[str] = ("exon",),
    id_attributes: Sequence[str] = ("gene_id",),
    additional_attributes: Sequence[str] = (),
    bias: BiasOptions | None = None,
    threads: int = 1,
) -> CountRun:
    """Count alignment files as ``counterbias count`` does, without writing anything.

    Args:
        alignments: one or several BAM, SAM or CRAM files.
        annotation: GTF or GFF3 file.
        options: counting options; htseq-count's defaults.
        feature_types, id_attributes, additional_attributes: ``-t``, ``-i``, ``--additional-attr``.
        bias: the bias model to fit or use, or None.
        threads: threads within one file.

    Returns:
        features, counts per file, and per file the columns of the weighted table, the model and the QC document.

    Raises:
        InputError: for everything that a user can mend.
    """
    paths = [alignments] if isinstance(alignments, str | os.PathLike) else list(alignments)
    counting = options or CountingOptions()
    choice = AnnotationOptions(
        path=os.fspath(annotation),
        feature_types=tuple(feature_types),
        id_attributes=tuple(id_attributes),
        additional_attributes=tuple(additional_attributes),
        stranded=counting.stranded != "no",
        quiet=True,
    )
    reference = None if bias is None else bias.genome
    return count_files(
        [os.fspath(path) for path in paths],
        choice,
        counting,
        bias=bias,
        reference=reference,
        threads=threads,
        quiet=True,
    )


def fit_model(
    alignments: Path,
    annotation: Path,
    genome: Path,
    *,
    model: str = "auto",
    window: Window | None = None,
    model_options: Sequence[str] = (),
    stranded: str = "no",
    order: str = "pos",
    seed: int = 1,
    threads: int = 1,
) -> ModelFile:
    """Fit the bias model of one sample; ``counterbias.save_models`` writes it to a file.

    Args:
        alignments: BAM, SAM or CRAM file.
        annotation: GTF or GFF3 file; reads assigned to its features are learnt from.
        genome: FASTA file.
        model: name of a backend; ``auto`` chooses by the number of distinct read starts.
        window: bases around a read start; 10 before and 10 after by default.
        model_options: ``key=value`` texts.
        stranded, order: as in htseq-count.
        seed: start of every random choice.
        threads: threads. The result does not depend on them.

    Raises:
        InputError: for everything that a user can mend.
    """
    bias = BiasOptions(
        model, os.fspath(genome), window, tuple(model_options), seed=seed, threads=threads
    )
    options = replace(CountingOptions(), stranded=stranded, order=order)
    fitted = (
        count_reads(alignments, annotation, options=options, bias=bias, threads=threads)
        .bias[0]
        .model
    )
    if fitted.no_model:
        raise InputError(fitted.no_model, file=os.fspath(alignments))
    return fitted


def train_cohort(
    alignments: Mapping[str, Path],
    annotation: Path,
    genome: Path,
    *,
    model: str = "auto",
    window: Window | None = None,
    model_options: Sequence[str] = (),
    options: CountingOptions | None = None,
    feature_types: Sequence[str] = ("exon",),
    id_attributes: Sequence[str] = ("gene_id",),
    pool: str = "reads",
    own: bool = True,
    seed: int = 1,
    threads: int = 1,
) -> Cohort:
    """Fit one bias model to several samples, as ``counterbias train`` does, without writing anything.

    Args:
        alignments: sample → BAM, SAM or CRAM file.
        annotation: GTF or GFF3 file; reads assigned to its features are learnt from.
        genome: FASTA file.
        model, window, model_options: as in :func:`fit_model`.
        options: counting options; by default unstranded reads in the order of their positions.
        feature_types, id_attributes: ``-t``, ``-i``.
        pool: ``samples`` weigh the same, or as their ``reads``.
        own: also fit each sample's own model, for comparison.
        seed: start of every random choice.
        threads: threads. The result does not depend on them.

    Returns:
        the pooled model (``.model``, for ``counterbias.save_models``), and per sample what it gains on held-out blocks (``.gains``).

    Raises:
        InputError: for everything that a user can mend.
    """
    counting = options or CountingOptions(stranded="no", order="pos")
    choice = AnnotationOptions(
        path=os.fspath(annotation),
        feature_types=tuple(feature_types),
        id_attributes=tuple(id_attributes),
        stranded=counting.stranded != "no",
        quiet=True,
    )
    bias = BiasOptions(
        model, os.fspath(genome), window, tuple(model_options), seed=seed, threads=threads
    )
    paths = [os.fspath(path) for path in alignments.values()]
    return train_files(
        paths, choice, counting, bias, samples=list(alignments), pool=pool, own=own, quiet=True
    )
