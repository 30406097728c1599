"""``counterbias count``: alignment files are counted, and their counts corrected where asked for.

``counterbias count-barcodes`` does the same with one file, and counts its UMIs by cell besides.

The order: :func:`~counterbias.pipeline.inputs.open_inputs` opens what all files share; then each
file is counted and, with a bias model, weighted, or its lengths are measured without one
(:mod:`counterbias.pipeline.sample`), several at the same time where asked for. Its start sites, the
only thing that grows with the reads, are freed once it is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from counterbias.alignments import AlignmentHeader
from counterbias.inputs import read_again
from counterbias.messages import SILENT, Messages
from counterbias.options import BiasExtras, RunOptions, TaggedOutput
from counterbias.pipeline.inputs import RunInputs, needed_again, open_inputs
from counterbias.pipeline.sample import count_sample, measure_counts, weigh_counts
from counterbias.records import Annotation, SampleCounts, TaggedBatch

if TYPE_CHECKING:  # counting alone imports no bias stage, and no writer of alignments
    from counterbias.pipeline.bias.sample import SampleBias
    from counterbias.pipeline.counting.molecules import MoleculeCounter
    from counterbias.records.cells import CellCounts
    from counterbias.writers.tagged import TaggedWriter


@dataclass(frozen=True, slots=True)
class CountRun:
    """Counts of several alignment files.

    Args:
        annotation: features and steps.
        results: counts, one per alignment file, without start sites.
        bias: one per alignment file; empty where only counting was asked for.
        warnings: per alignment file the warnings that concern it, as they were given: those about
            all files, and those about this one.
        cells: one per alignment file; empty where fragments were counted.
    """

    annotation: Annotation
    results: tuple[SampleCounts, ...]
    bias: tuple[SampleBias, ...] = ()
    warnings: tuple[tuple[str, ...], ...] = ()
    cells: tuple[CellCounts, ...] = ()


@dataclass(frozen=True, slots=True)
class _File:
    """One alignment file: path, sample, ``-o`` file or None, start of its bigWig files or None."""

    path: str
    sample: str
    tagged: TaggedOutput | None
    tracks: str | None


@dataclass(frozen=True, slots=True)
class _Counted:
    """What came of one alignment file, and the warnings about it."""

    counts: SampleCounts
    bias: SampleBias | None
    warnings: tuple[str, ...]
    cells: CellCounts | None


def count_files(
    options: RunOptions,
    messages: Messages = SILENT,
    *,
    tagged: Sequence[TaggedOutput] = (),
    tracks: Sequence[str] = (),
    processes: int = 1,
) -> CountRun:
    """Count alignment files and, with a bias model, weight their reads.

    Args:
        options: files and options.
        messages: where progress and warnings go.
        tagged: per alignment file the file to write with assignments (``-o``); empty for none.
        tracks: per alignment file the start of the names of its bigWig files; empty for none.
        processes: files counted at the same time.

    Raises:
        InputError: for everything that a user can fix.
    """
    with read_again(*needed_again(options), options.reference):
        about_all: list[str] = []
        inputs = open_inputs(options, messages.noting_warnings(about_all.append))
        outputs: Sequence[TaggedOutput | None] = tagged or [None] * len(options.alignments)
        prefixes: Sequence[str | None] = tracks or [None] * len(options.alignments)
        files = list(map(_File, options.alignments, options.samples, outputs, prefixes))
        messages = messages.each_warning_once()
        if processes > 1:
            done = _count_side_by_side(inputs, files, processes, messages)
        else:
            done = [_count_file(inputs, file, messages) for file in files]
        return CountRun(
            inputs.annotation,
            tuple(counted.counts for counted in done),
            bias=tuple(counted.bias for counted in done if counted.bias is not None),
            warnings=tuple((*about_all, *counted.warnings) for counted in done),
            cells=tuple(counted.cells for counted in done if counted.cells is not None),
        )


def _count_side_by_side(
    inputs: RunInputs, files: Sequence[_File], processes: int, messages: Messages
) -> list[_Counted]:
    """Count several files at the same time; their messages come in the files' order."""
    from concurrent.futures import ThreadPoolExecutor

    lines: list[list[str]] = [[] for _ in files]
    done = []
    with ThreadPoolExecutor(processes) as pool:
        futures = [
            pool.submit(_count_file, inputs, file, messages.to(own.append))
            for file, own in zip(files, lines, strict=True)
        ]
        try:
            for future, own in zip(futures, lines, strict=True):
                done.append(future.result())
                for line in own:
                    messages.write(line)
        except BaseException:
            for future in futures:
                future.cancel()
            raise
    return done


def _count_file(inputs: RunInputs, file: _File, messages: Messages) -> _Counted:
    """Count one file, weight its reads, write its ``-o`` file, and count its UMIs."""
    warnings: list[str] = []
    messages = messages.noting_warnings(warnings.append)
    molecules = _molecule_counter(inputs)
    with ExitStack() as stack:
        writers: list[TaggedWriter] = []

        def open_writer(header: AlignmentHeader) -> None:
            if file.tagged is not None:
                writer = _tagged_writer(inputs, file.tagged, header)
                writers.append(stack.enter_context(writer))

        def write(batch: TaggedBatch) -> None:
            writers[0].write(batch)

        counts = count_sample(
            inputs,
            file.path,
            messages,
            on_header=open_writer,
            record_sink=None if file.tagged is None else write,
            molecules=molecules,
        )
        if molecules is not None:
            molecules.check(file.path)
            molecules.free_tables()
        weighed = None
        if inputs.options.bias is not None and inputs.bias is None:
            weighed = measure_counts(inputs, counts, file.sample, messages, path=file.path)
        elif inputs.bias is not None:
            weighed = weigh_counts(
                inputs,
                counts,
                file.sample,
                messages,
                path=file.path,
                extras=BiasExtras(bool(writers) or molecules is not None, file.tracks),
            )
        for writer in writers:
            writer.finish(None if inputs.bias is None or weighed is None else weighed.read_weights)
            if writer.left_out:
                messages.warn(
                    f"{writer.path}: {writer.left_out:,} tags hold control characters, which SAM "
                    "cannot, and are left out"
                )
    cells = None if molecules is None else _count_cells(molecules, weighed)
    if cells is not None:
        messages.info(cells.summary(paired=counts.paired))
    return _Counted(replace(counts, sites=None), weighed, tuple(warnings), cells)


def _count_cells(molecules: MoleculeCounter, weighed: SampleBias | None) -> CellCounts:
    """Count the UMIs of each cell; weighted and corrected, where asked for, in layers."""
    from counterbias.pipeline.counting.umis import count_umis

    weights = None if weighed is None else weighed.fragment_weights
    cells = count_umis(molecules, None if weights is None else molecules.weights(weights))
    if weighed is None:
        return cells
    from counterbias.pipeline.bias.columns import corrected_by_cell

    corrected = corrected_by_cell(cells, weighed.columns)
    return replace(cells, layers={**cells.layers, "corrected": corrected})


def _molecule_counter(inputs: RunInputs) -> MoleculeCounter | None:
    """Return what counts the molecules of a file, where they are to be told apart."""
    options = inputs.options.barcodes
    if options is None:
        return None
    from counterbias.pipeline.counting.molecules import MoleculeCounter

    features = len(inputs.annotation.features)
    return MoleculeCounter(options, features, keep_rows=inputs.bias is not None)


def _tagged_writer(
    inputs: RunInputs, output: TaggedOutput, header: AlignmentHeader
) -> TaggedWriter:
    from counterbias.writers.tagged import TaggedWriter

    return TaggedWriter(
        output.path,
        format=output.format,
        header=header.as_bam(),
        names=inputs.annotation.features.ids,
        weighted=inputs.bias is not None,
    )
