"""One alignment file of a run: count it, see whether the strandedness fits, weight its reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from counterbias.alignments import AlignmentHeader, is_read_once
from counterbias.messages import Messages
from counterbias.options import TRANSCRIPTS, AnnotationOptions, BiasExtras, BiasOptions
from counterbias.pipeline.counting import Listeners, ReadingOptions, count_alignments
from counterbias.pipeline.inputs import RunInputs
from counterbias.records import SampleCounts, TaggedBatch
from counterbias.records.cells import alignments_or_pairs

if TYPE_CHECKING:  # counting alone imports no bias stage
    from counterbias.evaluation.strandedness import StrandEvidence
    from counterbias.pipeline.bias.context import SampleContext
    from counterbias.pipeline.bias.report import Provenance
    from counterbias.pipeline.bias.sample import SampleBias
    from counterbias.pipeline.counting.molecules import MoleculeCounter


def count_sample(
    inputs: RunInputs,
    path: str,
    messages: Messages,
    *,
    on_header: Callable[[AlignmentHeader], None] | None = None,
    record_sink: Callable[[TaggedBatch], None] | None = None,
    molecules: MoleculeCounter | None = None,
) -> SampleCounts:
    """Count one alignment file; its start sites are kept where options on bias are given.

    Args:
        inputs: what the run has read so far.
        path: the file.
        messages: progress and warnings in htseq-count's words.
        on_header: called with the header once it has been checked.
        record_sink: called with the records for ``-o``, batch by batch.
        molecules: counts the fragments by their barcodes as well.
    """

    def check_header(header: AlignmentHeader) -> None:
        known = inputs.headers.get(path)
        if known is None or known.contigs != header.contigs:  # a pipe shows its header only now
            inputs.check_header(path, header)
        if on_header is not None:
            on_header(header)

    def progress(number: int, paired: bool) -> None:
        if messages.counting is None:
            messages.info(_processed(number, paired))

    def batch_done(number: int, paired: bool, read: int, size: int) -> None:
        if messages.counting is not None:
            messages.counting(path, read, size, f"{number:,} {'pairs' if paired else 'reads'}")

    counts = count_alignments(
        path,
        inputs.annotation,
        inputs.options.counting,
        want_sites=inputs.options.bias is not None,
        reading=_reading(inputs),
        listeners=Listeners(
            check_header,
            progress,
            messages.warn,
            record_sink,
            None if messages.counting is None else batch_done,
            molecules,
        ),
    )
    if messages.counting is not None:
        messages.counting(path, 0, 0, "")
    if molecules is None:
        messages.info(_processed(counts.fragments, counts.paired))
    else:
        messages.info(f"{counts.fragments} {alignments_or_pairs(counts.paired)} processed.")
    return counts


def _reading(inputs: RunInputs) -> ReadingOptions:
    return ReadingOptions(reference=inputs.options.reference, threads=inputs.options.threads)


def _processed(number: int, paired: bool) -> str:
    """Return htseq-count's line of progress."""
    return f"{number} alignment record{' pairs' if paired else 's'} processed."


def check_strandedness(
    inputs: RunInputs, counts: SampleCounts, path: str | None
) -> tuple[StrandEvidence | None, str | None]:
    """See whether ``--stranded`` fits a sample.

    An unstranded count shows it by its start sites; a stranded one that looks wrong is counted once
    more for the other strand, unless ``path`` is None or can be read only once. Where another
    program has assigned the reads, counting again shows nothing: there, start sites may contradict
    ``--stranded``.

    Returns:
        reads by the strand of their gene, or None; and a hint for the user, or None.
    """
    from counterbias.evaluation.strandedness import (
        StrandEvidence,
        strand_evidence,
        strandedness_hint,
    )

    assert counts.sites is not None
    counting = inputs.options.counting
    stranded, assigned, no_feature = counting.stranded, len(counts.sites), counts.classes[0]
    evidence = None
    if stranded == "no" or counting.assigned is not None:
        evidence = strand_evidence(counts.sites, inputs.annotation.features)
        hint = strandedness_hint(stranded, evidence)
        if hint is not None or stranded == "no":
            return evidence, hint
    hint = strandedness_hint(stranded, None, assigned=assigned, no_feature=no_feature)
    if hint is not None and counting.assigned is not None:
        return None, f"{hint}, in the program that has assigned the reads, too"
    if hint is None or path is None or is_read_once(path):
        return None, hint
    other = replace(counting, stranded="reverse" if stranded == "yes" else "yes")
    opposite = count_alignments(path, inputs.annotation, other, reading=_reading(inputs))
    same, against = int(counts.counts.sum()), int(opposite.counts.sum())
    both = (same, against) if stranded == "yes" else (against, same)
    evidence = StrandEvidence(*both)
    return evidence, strandedness_hint(stranded, evidence, assigned=assigned, no_feature=no_feature)


def sample_context(
    inputs: RunInputs, counts: SampleCounts, sample: str, messages: Messages
) -> SampleContext:
    """Gather what the bias stages of one sample need; there must be a bias model.

    Raises:
        InputError: the genome lacks a contig with counted reads, or ends before one of them.
    """
    from counterbias.pipeline.bias.context import SampleContext, check_genome
    from counterbias.pipeline.bias.transcripts import sample_splices

    bias, sites = inputs.bias_inputs, counts.sites
    assert sites is not None
    check_genome(bias.genome, sites, sample)
    return SampleContext(
        **_counted(inputs, counts, sample),
        genome=bias.genome,
        choice=bias.choice,
        manager=bias.manager,
        splices=None if bias.transcripts is None else sample_splices(bias.transcripts, sites),
        prior=bias.prior,
        progress=messages.progress_of(sample),
    )


def _counted(inputs: RunInputs, counts: SampleCounts, sample: str) -> dict[str, Any]:
    """Gather what lengths are measured from, as arguments of ``CountedSample``."""
    from counterbias.pipeline.bias.context import contig_index

    annotation, options, sites = inputs.annotation, inputs.options, counts.sites
    assert sites is not None
    assert options.bias is not None
    by_transcripts = options.bias.lengths == TRANSCRIPTS
    return {
        "sample": sample,
        "counts": counts,
        "features": annotation.features,
        "contig_of": contig_index(annotation.features, sites.contigs),
        "options": options.bias,
        "stranded": options.counting.stranded,
        "transcripts": annotation.transcripts if by_transcripts else None,
    }


def measure_counts(
    inputs: RunInputs,
    counts: SampleCounts,
    sample: str,
    messages: Messages,
    *,
    path: str | None,
) -> SampleBias:
    """Measure the lengths of one sample without a bias model, as :func:`weigh_counts` with one."""
    from counterbias.pipeline.bias.context import CountedSample
    from counterbias.pipeline.bias.lengths_alone import correct_for_lengths

    evidence, hint = check_strandedness(inputs, counts, path)
    measured = correct_for_lengths(
        CountedSample(**_counted(inputs, counts, sample)),
        _provenance(inputs, path, None),
        evidence=evidence,
        warnings=() if hint is None else (hint,),
    )
    for line in measured.warnings:
        messages.warn(f"{sample}: {line}")
    return measured


def weigh_counts(
    inputs: RunInputs,
    counts: SampleCounts,
    sample: str,
    messages: Messages,
    *,
    path: str | None,
    extras: BiasExtras | None = None,
) -> SampleBias:
    """Run the bias stages on one sample, and report what the user should know.

    ``path`` is the alignment file; None where it is not to be read again. ``extras`` are what else
    is wanted of it.
    """
    from counterbias.pipeline.bias.choice import choice_for_sample
    from counterbias.pipeline.bias.learnable import is_learnable
    from counterbias.pipeline.bias.sample import weigh_sample

    evidence, hint = check_strandedness(inputs, counts, path)
    context = sample_context(inputs, counts, sample, messages)
    choice = choice_for_sample(
        context.choice,
        context.sites,
        context.stranded,
        context.manager,
        is_learnable=lambda reads: is_learnable(context, reads),
    )
    weighed = weigh_sample(
        replace(context, choice=choice),
        _provenance(inputs, path, context.choice.path),
        evidence=evidence,
        warnings=() if hint is None else (hint,),
        extras=extras,
    )
    for line in weighed.warnings:
        messages.warn(f"{sample}: {line}")
    return weighed


def _provenance(inputs: RunInputs, path: str | None, model: str | None) -> Provenance:
    """Gather where a sample's numbers come from, for its quality report; ``model`` is a file."""
    from counterbias.pipeline.bias.report import Provenance

    options, bias = inputs.options, inputs.options.bias
    assert bias is not None
    barcodes = {} if options.barcodes is None else asdict(options.barcodes)
    return Provenance(
        command_line=options.command_line,
        inputs={
            "alignments": path,
            "annotation": options.annotation.path,
            "genome": bias.genome or None,
            "model": model,
        },
        options={
            **_recorded_features(options.annotation),
            **asdict(options.counting),
            **barcodes,
            **recorded(bias),
        },
        mode=options.counting.mode,
        annotation_seconds=inputs.annotation_seconds,
    )


def _recorded_features(options: AnnotationOptions) -> dict[str, Any]:
    """Return which lines are features as reports record it: htseq-count's option → value."""
    return {
        "type": options.feature_types,
        "idattr": options.id_attributes,
        "feature_query": options.query,
    }


def recorded(options: BiasOptions, *, leave_out: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the options on bias as reports record them, ``bias_…`` → value.

    Threads are left out because they change nothing, the window because the model's entry has it,
    and without a model what only matters to one.
    """
    left_out = {"threads", "window", *leave_out}
    values = asdict(options)
    if options.lengths_alone:
        left_out |= values.keys() - {"model", "lengths", "fragment_length"}
    return {f"bias_{name}": value for name, value in values.items() if name not in left_out}
