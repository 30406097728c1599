"""A whole run: annotation → every alignment file → bias. The order of the stages is decided here and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from counterbias.alignments import AlignmentHeader, is_read_once, read_header
from counterbias.annotation import load_annotation
from counterbias.errors import InputError
from counterbias.inputs import read_again
from counterbias.messages import ProgressCallback
from counterbias.model import Resources
from counterbias.options import AnnotationOptions, BiasOptions, CountingOptions
from counterbias.pipeline.counting.counter import count_alignments
from counterbias.records import Annotation, SampleCounts, StartSites, TaggedBatch
from counterbias.writers.tagged import TaggedWriter

if TYPE_CHECKING:
    from counterbias.evaluation.strandedness import StrandEvidence
    from counterbias.genome import Genome, Transcripts
    from counterbias.model_file import ModelFile
    from counterbias.pipeline.bias.fitting import ModelChoice, SampleContext
    from counterbias.pipeline.bias.sample import SampleBias
    from counterbias.plugins import Manager

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CountRun:
    """What a run gave.

    Args:
        annotation: features and steps.
        results: one per alignment file.
        bias: one per alignment file; empty without a bias model.
    """

    annotation: Annotation
    results: tuple[SampleCounts, ...]
    bias: tuple[SampleBias, ...] = ()


def load_features(choice: AnnotationOptions, *, say: Say) -> Annotation:
    """Load the annotation, telling progress as htseq-count does."""
    return load_annotation(
        choice.path,
        feature_types=choice.feature_types,
        id_attributes=choice.id_attributes,
        additional_attributes=choice.additional_attributes,
        add_chromosome_info=choice.chromosome,
        feature_query=choice.query,
        stranded=choice.stranded,
        on_lines=None if choice.quiet else say,
    )


def count_files(
    paths: Sequence[str],
    choice: AnnotationOptions,
    options: CountingOptions,
    *,
    bias: BiasOptions | None = None,
    samples: Sequence[str] = (),
    reference: str | None = None,
    alias_file: str | None = None,
    threads: int = 1,
    processes: int = 1,
    quiet: bool = False,
    say: Say = lambda text: None,
    tagged: Sequence[tuple[str, str]] = (),
    command_line: str = "",
    progress: ProgressCallback | None = None,
) -> CountRun:
    """Count alignment files and, with ``bias``, weigh them.

    Args:
        paths: alignment files, ``-`` for standard input.
        choice: what to take from the annotation.
        options: htseq-count's counting options.
        bias: the bias model, or None for counting only.
        samples: names of the samples, for reports; the paths by default.
        reference: FASTA file for CRAM.
        alias_file: contig names of the alignments and what annotation and genome call them.
        threads: threads within one file. No result depends on it.
        processes: files counted at the same time.
        quiet: whether to leave progress lines out, all of them (htseq-count leaves out the last one only).
        say: takes one line for stderr.
        tagged: per alignment file the file to write with assignments, and its format; empty for none.
        command_line: what to write into the QC file.
        progress: told of progress in fitting models, from any thread; None for nobody.

    Raises:
        InputError: for everything that a user can mend.
    """
    with read_again(*needed_again(choice, bias), reference):
        job = open_job(
            paths,
            choice,
            options,
            bias=bias,
            reference=reference,
            alias_file=alias_file,
            threads=threads,
            quiet=quiet,
            say=say,
            command_line=command_line,
            progress=progress,
        )
        outputs: list[tuple[str, str] | None] = list(tagged) or [None] * len(paths)
        work = list(zip(paths, list(samples) or list(paths), outputs, strict=True))
        say = _each_warning_once(say)
        done = (
            _side_by_side(job, work, processes, say)
            if processes > 1
            else [job.run(*one, say) for one in work]
        )
        return CountRun(
            job.annotation,
            tuple(result for result, _ in done),
            tuple(one for _, one in done if one is not None),
        )


def needed_again(choice: AnnotationOptions, bias: BiasOptions | None) -> tuple[str, ...]:
    """Name the inputs that a run may open more than once, for :func:`counterbias.inputs.read_again`.

    That is the genome, which is CRAM's reference too, and the annotation where windows follow its transcripts.
    """
    if bias is None:
        return ()
    return (bias.genome,) if bias.context == "genome" else (bias.genome, choice.path)


def open_job(
    paths: Sequence[str],
    choice: AnnotationOptions,
    options: CountingOptions,
    *,
    bias: BiasOptions | None,
    reference: str | None,
    alias_file: str | None,
    threads: int,
    quiet: bool,
    say: Say,
    command_line: str,
    progress: ProgressCallback | None,
) -> Job:
    """Do what comes before the first read: find the model, open the genome, load the annotation, check all headers.

    The arguments are those of :func:`count_files`.
    """
    aliases = load_aliases(alias_file)
    plan = plan_bias(bias, aliases, say=say)
    headers = [
        None if is_read_once(path) else read_header(path, reference=reference) for path in paths
    ]
    begin = time.perf_counter()
    annotation = rename_contigs(load_features(choice, say=say), aliases)
    seconds = time.perf_counter() - begin
    plan = add_transcripts(plan, choice.path, aliases, say=say)
    job = Job(
        annotation,
        options,
        choice,
        plan,
        reference,
        threads,
        quiet,
        command_line,
        seconds,
        progress,
        aliases,
    )
    for path, header in zip(paths, headers, strict=True):
        if header is not None:
            job.check_header(path, header)
    job.warn_of_lacking(
        {path: header for path, header in zip(paths, headers, strict=True) if header is not None},
        say,
    )
    return job


def _side_by_side(
    job: Job, work: list[tuple[str, str, tuple[str, str] | None]], processes: int, say: Say
) -> list[tuple[SampleCounts, SampleBias | None]]:
    """Count several files at the same time, telling of them in order."""
    told: list[list[str]] = [[] for _ in work]
    done = []
    with ThreadPoolExecutor(processes) as pool:
        futures = [
            pool.submit(job.run, *one, lines.append) for one, lines in zip(work, told, strict=True)
        ]
        try:
            for future, lines in zip(futures, told, strict=True):
                done.append(future.result())
                for line in lines:
                    say(line)
        except BaseException:
            for future in futures:
                future.cancel()
            raise
    return done


def _each_warning_once(say: Say) -> Say:
    """Leave out a warning that was given before in the same words, as htseq-count does when it counts several files."""
    given: set[str] = set()

    def once(text: str) -> None:
        if text not in given:
            say(text)
        if text.startswith("Warning: "):
            given.add(text)

    return once


@dataclass(frozen=True, slots=True)
class Plan:
    """The bias part of a run, prepared before anything is counted."""

    options: BiasOptions
    manager: Manager
    kind: ModelChoice
    genome: Genome
    transcripts: Transcripts | None = None
    prior: ModelFile | None = None


def load_aliases(path: str | None) -> dict[str, str]:
    """Read ``--bias-contig-alias``; empty without a file."""
    if path is None:
        return {}
    from counterbias.genome import read_aliases

    return read_aliases(path)


def plan_bias(bias: BiasOptions | None, aliases: Mapping[str, str], *, say: Say) -> Plan | None:
    """Find the backend or load the model file, and open the genome."""
    if bias is None:
        return None
    from counterbias.model_file import is_model_file
    from counterbias.pipeline.bias.fitting import choose_model, idle_device
    from counterbias.pipeline.bias.prior import load_prior
    from counterbias.pipeline.bias.sample import open_genome
    from counterbias.plugins import load_plugins

    manager = load_plugins()
    is_file = is_model_file(bias.model)
    prior = None
    if bias.prior is not None:
        if not bias.prior:
            raise InputError("--bias-prior names no file", remedy="leave it out")
        if is_file:
            problem = f"--bias-prior {bias.prior} cannot change a model that is already fitted"
            raise InputError(problem, file=bias.model, remedy="leave it out")
        prior = load_prior(bias.prior, manager, window=bias.window)
    window = bias.window if prior is None else prior.window
    kind = choose_model(bias.model, is_file, window, bias.model_options, manager)
    if kind.fitted is None:
        model = kind.model(kind.window, kind.options)
        model.resources = Resources(bias.threads, bias.device)
        model.check_resources()
    if idle := idle_device(bias.device, [kind]):
        say(f"Warning: {idle}")
    return Plan(bias, manager, kind, open_genome(bias.genome, aliases), prior=prior)


def add_transcripts(
    plan: Plan | None, path: str, aliases: Mapping[str, str], *, say: Say
) -> Plan | None:
    """Load the annotation's transcripts where windows follow them."""
    if plan is None or plan.options.context == "genome":
        return plan
    from counterbias.pipeline.bias.transcripts import load_transcripts

    transcripts = load_transcripts(path)
    if not transcripts.spliced:
        say(
            f"Warning: {path}: no transcript has two exons, so that --bias-context transcript changes nothing"
        )
    return replace(
        plan, transcripts=replace(transcripts, contigs=_renamed(transcripts.contigs, aliases))
    )


def _blended(end: Mapping[str, Any]) -> str:
    """Tell what a blend is made of, from its entry in the QC file."""
    told, of = end["training"]["details"], "" if end["end"] == "both" else f" of {end['end']}"
    return (
        f"the model{of} is {told['own_share']:.2f} × the sample's own + {told['prior_share']:.2f} × the prior; alone they gain "
        f"{told['own_gain']:.3f} and {told['prior_gain']:.3f} bits per held-out start, together {end['calibration']['gain']:.3f}"
    )


def rename_contigs(annotation: Annotation, aliases: Mapping[str, str]) -> Annotation:
    """Give the annotation's contigs the names that the alignments use."""
    if not aliases:
        return annotation
    contigs = _renamed(annotation.steps.contigs, aliases)
    return replace(
        annotation,
        features=replace(
            annotation.features, contigs=_renamed(annotation.features.contigs, aliases)
        ),
        steps=replace(annotation.steps, contigs=contigs),
    )


def _renamed(contigs: tuple[str, ...], aliases: Mapping[str, str]) -> tuple[str, ...]:
    back = {target: name for name, target in aliases.items()}
    have = set(contigs)
    return tuple(
        back[name] if name in back and back[name] not in have else name for name in contigs
    )


@dataclass(frozen=True, slots=True)
class Job:
    """What is the same for every file of a run, and what is done with each of them."""

    annotation: Annotation
    options: CountingOptions
    choice: AnnotationOptions
    plan: Plan | None
    reference: str | None
    threads: int
    quiet: bool
    command_line: str
    annotation_seconds: float
    progress: ProgressCallback | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)

    def check_header(self, path: str, header: AlignmentHeader) -> None:
        """Refuse alignments that have no contig in common with the annotation or the genome."""
        known = set(self.annotation.steps.contigs)
        if header.contigs and not any(name in known for name in header.contigs):
            ours, theirs = header.contigs[0], self.annotation.steps.contigs[0]
            raise InputError(
                f"no contig of the alignments is in the annotation {self.choice.path}: they say '{ours}' …, it says '{theirs}' …",
                file=path,
                remedy="give files of one assembly, or the names that belong together with --bias-contig-alias FILE",
            )
        if self.plan is not None:
            from counterbias.pipeline.bias.sample import check_common

            check_common(self.plan.genome, header.contigs, alignments=path)

    def warn_of_lacking(self, headers: Mapping[str, AlignmentHeader], say: Say) -> None:
        """Tell before anything is counted of contigs that the genome lacks and that reads may be counted on."""
        if self.plan is not None:
            from counterbias.pipeline.bias.sample import lacking_contigs

            known = set(self.annotation.steps.contigs)
            shared = {
                path: [name for name in header.contigs if name in known]
                for path, header in headers.items()
            }
            for line in lacking_contigs(self.plan.genome, shared):
                say(f"Warning: {line}")

    def run(
        self, path: str, sample: str, output: tuple[str, str] | None, say: Say
    ) -> tuple[SampleCounts, SampleBias | None]:
        """Count one file, weigh it, and write its ``-o`` file."""
        with ExitStack() as stack:
            sinks: list[TaggedWriter] = []

            def on_header(header: AlignmentHeader) -> None:
                self.check_header(path, header)
                if output is not None:
                    sinks.append(stack.enter_context(self._sink(output, header)))

            def write(batch: TaggedBatch) -> None:
                sinks[0].write(batch)

            result, _ = count_alignments(
                path,
                self.annotation,
                self.options,
                threads=self.threads,
                want_sites=self.plan is not None,
                reference=self.reference,
                on_header=on_header,
                progress=None
                if self.quiet
                else lambda number, paired: say(processed(number, paired)),
                warn=lambda text: say(f"Warning: {text}"),
                record_sink=None if output is None else write,
            )
            if not self.quiet:
                say(processed(result.fragments, result.paired))
            weighed = (
                self.weigh(result, path, sample, say, bool(sinks))
                if self.plan is not None
                else None
            )
            for sink in sinks:
                sink.finish(None if weighed is None else weighed.read_weights)
                if sink.left_out:
                    say(
                        f"Warning: {sink.path}: {sink.left_out:,} tags hold control characters, which SAM cannot, and are left out"
                    )
        # Start sites are the only thing that grows with the reads: they go as soon as their file is done.
        return replace(result, sites=None), weighed

    def _sink(self, output: tuple[str, str], header: AlignmentHeader) -> TaggedWriter:
        return TaggedWriter(
            output[0],
            format=output[1],
            header=header.as_bam(),
            names=self.annotation.features.ids,
            weighted=self.plan is not None,
        )

    def weigh(
        self, result: SampleCounts, path: str, sample: str, say: Say, tagged: bool
    ) -> SampleBias:
        """Run the bias stage for one file."""
        from counterbias.pipeline.bias.fitting import choice_for_sample
        from counterbias.pipeline.bias.learnable import teaches
        from counterbias.pipeline.bias.sample import weigh_sample

        plan, sites = self.plan, result.sites
        assert plan is not None
        assert sites is not None
        evidence, hint = self.strandedness(result, path)
        context = self.context(sites, plan.kind, sample)
        kind = choice_for_sample(
            plan.kind,
            sites,
            self.options.stranded,
            plan.manager,
            teaches=lambda reads: teaches(context, reads),
        )
        context = replace(context, kind=kind)
        weighed = weigh_sample(
            context,
            result,
            stranded=self.options.stranded,
            sample=sample,
            about=self._about(path),
            evidence=evidence,
            warnings=() if hint is None else (hint,),
            want_read_weights=tagged,
            ends=plan.options.ends,
        )
        for line in weighed.warnings:
            say(f"Warning: {sample}: {line}")
        if plan.prior is not None and not self.quiet:
            for end in weighed.report["ends"]:
                if end["no_model"] is None:
                    say(f"{sample}: {_blended(end)}")
        return weighed

    def context(self, sites: StartSites, kind: ModelChoice, sample: str) -> SampleContext:
        """Gather what the bias stages of one file need; refuse a genome that does not hold its start sites."""
        from counterbias.pipeline.bias.fitting import SampleContext
        from counterbias.pipeline.bias.sample import check_genome, contig_index
        from counterbias.pipeline.bias.transcripts import sample_splices

        plan, features = self.plan, self.annotation.features
        assert plan is not None
        check_genome(plan.genome, sites, sample)
        return SampleContext(
            sites=sites,
            features=features,
            contig_of=contig_index(features, sites.contigs),
            genome=plan.genome,
            kind=kind,
            sampling=plan.options.sampling,
            seed=plan.options.seed,
            threads=plan.options.threads,
            cap=plan.options.cap,
            manager=plan.manager,
            splices=None if plan.transcripts is None else sample_splices(plan.transcripts, sites),
            device=plan.options.device,
            progress=_labelled(self.progress, sample),
            prior=plan.prior,
            sample=sample,
            assumed=plan.options.fragment_length,
        )

    def strandedness(
        self, result: SampleCounts, path: str
    ) -> tuple[StrandEvidence | None, str | None]:
        """See whether ``--stranded`` fits: from the start sites, or by counting a suspicious file once more for the other strand."""
        from counterbias.evaluation.strandedness import (
            StrandEvidence,
            strand_evidence,
            strandedness_hint,
        )

        assert result.sites is not None
        stranded, assigned, no_feature = self.options.stranded, len(result.sites), result.classes[0]
        evidence = (
            strand_evidence(result.sites, self.annotation.features) if stranded == "no" else None
        )
        hint = strandedness_hint(stranded, evidence, assigned=assigned, no_feature=no_feature)
        if hint is not None and evidence is None and not is_read_once(path):
            other = replace(self.options, stranded="reverse" if stranded == "yes" else "yes")
            opposite, _ = count_alignments(
                path, self.annotation, other, threads=self.threads, reference=self.reference
            )
            same, against = int(result.counts.sum()), int(opposite.counts.sum())
            evidence = (
                StrandEvidence(same, against)
                if stranded == "yes"
                else StrandEvidence(against, same)
            )
            hint = strandedness_hint(stranded, evidence, assigned=assigned, no_feature=no_feature)
        return evidence, hint

    def _about(self, path: str) -> dict[str, Any]:
        """Gather what the QC file tells of the run's inputs."""
        assert self.plan is not None
        options = self.plan.options
        mine = {
            name: value
            for name, value in asdict(options).items()
            if name not in ("threads", "window")
        }
        return {
            "command_line": self.command_line,
            "inputs": {
                "alignments": path,
                "annotation": self.choice.path,
                "genome": options.genome,
                "model": self.plan.kind.path,
            },
            "options": {
                **asdict(self.options),
                **{f"bias_{name}": value for name, value in mine.items()},
            },
            "mode": self.options.mode,
            "annotation_seconds": self.annotation_seconds,
        }


def _labelled(progress: ProgressCallback | None, sample: str) -> ProgressCallback | None:
    """Put the sample's name before each stage."""
    if progress is None:
        return None
    return lambda stage, done, total: progress(f"{sample}: {stage}", done, total)


def processed(number: int, paired: bool) -> str:
    """Tell progress as htseq-count does."""
    return f"{number} alignment record{' pairs' if paired else 's'} processed."
