"""What a run reads besides the records of its alignments, each opened once.

These are the table of contig names, the bias model, the genome, the alignments' headers and the
annotation; what does not fit together is refused here, before anything is counted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from counterbias.alignments import AlignmentHeader, is_read_once, read_header
from counterbias.annotation import load_annotation
from counterbias.errors import InputError
from counterbias.messages import Messages
from counterbias.options import TRANSCRIPTS, UNION, BiasOptions, RunOptions
from counterbias.records import UNNAMED, Annotation, FeatureTranscripts

if TYPE_CHECKING:  # counting alone imports no bias stage
    from counterbias.genome import Genome, Transcripts
    from counterbias.model_file import ModelFile
    from counterbias.pipeline.bias.choice import ModelChoice
    from counterbias.plugins import Manager


@dataclass(frozen=True, slots=True)
class BiasInputs:
    """What the bias stages need, whatever the sample.

    Args:
        options: the options on bias.
        manager: plug-ins.
        choice: the model.
        genome: the genome.
        transcripts: the annotation's transcripts, where windows follow them; else None.
        prior: models of other samples to blend with, or None.
    """

    options: BiasOptions
    manager: Manager
    choice: ModelChoice
    genome: Genome
    transcripts: Transcripts | None = None
    prior: ModelFile | None = None


@dataclass(frozen=True, slots=True)
class RunInputs:
    """What all alignment files of a run share.

    Args:
        options: what the command was asked to do.
        annotation: features and steps, with the contig names of the alignments.
        annotation_seconds: wall time of reading it.
        aliases: contig name in the alignments → name in annotation and genome.
        headers: alignment file → its header; files that can be read only once are not among them.
        bias: what the bias stages need; None without a bias model.
    """

    options: RunOptions
    annotation: Annotation
    annotation_seconds: float
    aliases: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, AlignmentHeader] = field(default_factory=dict)
    bias: BiasInputs | None = None

    @property
    def bias_inputs(self) -> BiasInputs:
        """What the bias stages need; there must be a bias model."""
        assert self.bias is not None
        return self.bias

    def with_bias(self, bias: BiasInputs, messages: Messages) -> RunInputs:
        """Return the same with a bias model, its transcripts loaded and the headers checked."""
        found = replace(self, bias=self._with_transcripts(bias, messages))
        for path, header in self.headers.items():
            found.check_header(path, header)
        return found

    def _with_transcripts(self, bias: BiasInputs, messages: Messages) -> BiasInputs:
        """Load the annotation's transcripts where windows follow them."""
        if bias.options.context == "genome":
            return bias
        from counterbias.pipeline.bias.transcripts import load_transcripts

        path = self.options.annotation.path
        transcripts = load_transcripts(path)
        if not transcripts.spliced:
            messages.warn(
                f"{path}: no transcript has two exons, so that --bias-context transcript changes "
                "nothing"
            )
        contigs = _renamed(transcripts.contigs, self.aliases)
        return replace(bias, transcripts=replace(transcripts, contigs=contigs))

    def check_header(self, path: str, header: AlignmentHeader) -> None:
        """Refuse alignments that share no contig with the annotation or the genome."""
        if not header.contigs:
            return
        ours, known = header.contigs[0], self.annotation.steps.contigs
        if not set(known).intersection(header.contigs):
            raise InputError(
                "no contig of the alignments is in the annotation "
                f"{self.options.annotation.path}: they say '{ours}' …, it says '{known[0]}' …",
                file=path,
                remedy="give files of one assembly, or the names that belong together with "
                "--bias-contig-alias FILE",
            )
        genome = None if self.bias is None else self.bias.genome
        if genome is not None and not any(name in genome for name in header.contigs):
            raise InputError(
                f"the genome has no contig in common with {path}: it has '{genome.names[0]}' …, "
                f"the alignments '{ours}' …",
                file=genome.path,
                remedy="give the genome that the reads were aligned to, or "
                "--bias-contig-alias FILE",
            )

    def report_missing_transcripts(self, messages: Messages) -> None:
        """Say where lengths are those of the union because no line names a transcript."""
        found = self.annotation.transcripts
        if found is not None and _unnamed(found):
            messages.info(
                f"{self.annotation.path}: {_no_names(self.options)}: lengths are those of the "
                "union of exons (--bias-lengths union)"
            )

    def warn_of_missing_contigs(self, messages: Messages) -> None:
        """Warn of contigs with features that alignments have and the genome lacks.

        A read that is counted there ends the run, which only counting can tell.
        """
        if self.bias is None:
            return
        genome, known = self.bias.genome, set(self.annotation.steps.contigs)
        reported = set()
        for path, header in self.headers.items():
            missing = tuple(name for name in header.contigs if name in known and name not in genome)
            if missing and missing not in reported:
                reported.add(missing)
                messages.warn(_missing_contigs(genome.path, missing, path))


def _missing_contigs(genome: str, missing: Sequence[str], alignments: str) -> str:
    more = f", {missing[1]} …" if len(missing) > 1 else ""
    return (
        f"{genome}: the genome lacks {missing[0]}{more}, which the annotation and "
        f"{os.path.basename(alignments)} have: a read that is counted there ends the run with an "
        "error; the genome that the reads were aligned to has all contigs"
    )


def needed_again(options: RunOptions) -> tuple[str, ...]:
    """Name the inputs that a run may open more than once.

    They are what :func:`counterbias.inputs.read_again` is given: the genome, which is CRAM's
    reference too, and the annotation where windows follow its transcripts.
    """
    bias = options.bias
    if bias is None or bias.lengths_alone:
        return ()
    if bias.context == "genome":
        return (bias.genome,)
    return (bias.genome, options.annotation.path)


def open_inputs(options: RunOptions, messages: Messages) -> RunInputs:
    """Open everything that comes before the first record. Raises InputError."""
    aliases = load_aliases(options.alias_file)
    bias = None
    if options.bias is not None and not options.bias.lengths_alone:
        bias = open_bias_inputs(options.bias, aliases, messages)
    inputs = open_counting_inputs(options, aliases, messages)
    if bias is not None:
        inputs = inputs.with_bias(bias, messages)
    inputs.report_missing_transcripts(messages)
    inputs.warn_of_missing_contigs(messages)
    return inputs


def open_counting_inputs(
    options: RunOptions, aliases: Mapping[str, str], messages: Messages
) -> RunInputs:
    """Open what counting needs: headers and annotation. Raises InputError."""
    headers = {
        path: read_header(path, reference=options.reference)
        for path in options.alignments
        if not is_read_once(path)
    }
    begin = time.perf_counter()
    annotation = load_annotation(
        options.annotation,
        stranded=options.counting.stranded != "no",
        on_lines=None if messages.quiet else messages.info,
        transcripts=options.transcripts_wanted,
    )
    options = _with_length_method(options, annotation)
    annotation = rename_contigs(annotation, aliases)
    seconds = time.perf_counter() - begin
    inputs = RunInputs(options, annotation, seconds, aliases, headers)
    for path, header in headers.items():
        inputs.check_header(path, header)
    return inputs


def _with_length_method(options: RunOptions, annotation: Annotation) -> RunOptions:
    """Return the options with the method by which lengths are measured (``--bias-lengths``).

    Where none was named, it is ``transcripts`` if most transcripts lie whole in one feature: in an
    exon that is a feature by itself, a fragment need not lie whole.

    Raises:
        InputError: ``transcripts`` was named, but no feature's lines name any.
    """
    found = annotation.transcripts
    if options.bias is None:
        return options
    if found is None:
        return options.with_lengths(UNION)
    if options.bias.lengths is not None and _unnamed(found):
        raise InputError(
            f"{_no_names(options)}, as --bias-lengths transcripts needs",
            file=annotation.path,
            remedy="give an annotation that names transcripts, or --bias-lengths union",
        )
    whole = 2 * len(set(found.ids)) > len(found.ids)
    return options.with_lengths(options.bias.lengths or (TRANSCRIPTS if whole else UNION))


def _unnamed(transcripts: FeatureTranscripts) -> bool:
    """Whether no feature has the names of its transcripts on all of its lines."""
    return bool((transcripts.missing == UNNAMED).all())


def _no_names(options: RunOptions) -> str:
    types = " or ".join(options.annotation.feature_types)
    return f"no feature has transcript_id (GTF) or Parent (GFF3) on all its lines of type {types}"


def open_bias_inputs(
    options: BiasOptions, aliases: Mapping[str, str], messages: Messages
) -> BiasInputs:
    """Find the backend or load the model file, and open the genome. Raises InputError."""
    from counterbias.model import Resources
    from counterbias.pipeline.bias.choice import choose_model, idle_device
    from counterbias.plugins import load_plugins

    manager = load_plugins()
    prior = _load_prior(options, manager)
    choice = choose_model(
        options.model,
        manager,
        window=options.window if prior is None else prior.window,
        model_options=options.model_options,
    )
    if choice.fitted is None:
        model = choice.model(choice.window, choice.options)
        model.resources = Resources(options.threads, options.device)
        model.check_resources()
    if idle := idle_device(options.device, [choice]):
        messages.warn(idle)
    genome = open_genome(options.genome, aliases)
    return BiasInputs(options, manager, choice, genome, prior=prior)


def _load_prior(options: BiasOptions, manager: Manager) -> ModelFile | None:
    from counterbias.model_file import is_model_file
    from counterbias.pipeline.bias.prior import load_prior

    if options.prior is None:
        return None
    if not options.prior:
        raise InputError("--bias-prior names no file", remedy="leave it out")
    if is_model_file(options.model):
        problem = f"--bias-prior {options.prior} cannot change a model that is already fitted"
        raise InputError(problem, file=options.model, remedy="leave it out")
    return load_prior(options.prior, manager, window=options.window)


def open_genome(path: str, aliases: Mapping[str, str]) -> Genome:
    """Open the genome, with the aliases that apply to it."""
    from counterbias.genome import Genome

    genome = Genome(path)
    useful = {
        name: target for name, target in aliases.items() if name not in genome and target in genome
    }
    if not useful:
        return genome
    genome.close()
    return Genome(path, useful)


def load_aliases(path: str | None) -> dict[str, str]:
    """Read ``--bias-contig-alias``; empty without a file."""
    if path is None:
        return {}
    from counterbias.genome import read_aliases

    return read_aliases(path)


def rename_contigs(annotation: Annotation, aliases: Mapping[str, str]) -> Annotation:
    """Rename the annotation's contigs as the alignments call them."""
    if not aliases:
        return annotation
    features, steps = annotation.features, annotation.steps
    return replace(
        annotation,
        features=replace(features, contigs=_renamed(features.contigs, aliases)),
        steps=replace(steps, contigs=_renamed(steps.contigs, aliases)),
    )


def _renamed(contigs: tuple[str, ...], aliases: Mapping[str, str]) -> tuple[str, ...]:
    back = {target: name for name, target in aliases.items()}
    have = set(contigs)
    return tuple(
        back[name] if name in back and back[name] not in have else name for name in contigs
    )
