"""``counterbias compare``: the order of its stages.

Annotation and truth are read first, so that a mistake shows at once. Then each alignment file is counted once, and all models are fitted
and measured on its read starts (:mod:`~counterbias.pipeline.compare.trials`). What needs several models or several samples comes last
(:mod:`~counterbias.pipeline.compare.report`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.alignments import is_read_once, read_header
from counterbias.annotation import load_annotation
from counterbias.errors import InputError
from counterbias.evaluation.truth import Joined, TruthTable, join_truth, read_truth
from counterbias.inputs import read_again
from counterbias.model_file import is_model_file
from counterbias.options import (
    AnnotationOptions,
    BiasOptions,
    CompareOptions,
    CountingOptions,
    TruthOptions,
)
from counterbias.pipeline.bias.fitting import ModelChoice, idle_device, read_ends
from counterbias.pipeline.bias.sample import SampleBias, open_genome
from counterbias.pipeline.compare.cache import Cache, digest_of_genome, digest_of_sample
from counterbias.pipeline.compare.candidates import Candidate, find_candidates
from counterbias.pipeline.compare.evaluation import fold_sample
from counterbias.pipeline.compare.trials import (
    Design,
    Outcome,
    PreparedSample,
    run_models,
    steps_of,
    why_left_out,
)
from counterbias.pipeline.count import (
    Job,
    Plan,
    Say,
    add_transcripts,
    open_job,
    processed,
    rename_contigs,
)
from counterbias.pipeline.counting.counter import count_alignments
from counterbias.plugins import Manager, load_plugins
from counterbias.records import Features, SampleCounts

#: What transcripts are named by, in GTF and in GFF3.
TRANSCRIPT_ATTRIBUTES = ("transcript_id", "Parent")
#: Options of a count that change nothing in its numbers, or stand elsewhere in the cache's key.
_NOT_SETTINGS = frozenset({"model", "genome", "window", "model_options", "threads"})

#: Called with the steps done, the steps there are, and what was done.
Told = Callable[[int, int, str], None]


@dataclass(slots=True)
class SampleResult:
    """All that was found in one sample.

    Args:
        name, group: the sample; its group or None.
        counts: what counting gave, without start sites.
        starts: distinct read starts that models learn from.
        outcomes: one per candidate.
        truth: its true values, or None.
    """

    name: str
    group: str | None
    counts: SampleCounts
    starts: int
    outcomes: list[Outcome]
    truth: Joined | None = None


@dataclass(slots=True)
class Comparison:
    """What a comparison gave.

    Args:
        features: the features.
        candidates: the models, in order.
        samples: results per sample.
        options: what was asked for.
        bias: options of the bias stage that all models share.
        truth: the truth table, or None.
        fitted, cached: results computed, and taken from the cache.
    """

    features: Features
    candidates: list[Candidate]
    options: CompareOptions
    bias: BiasOptions
    truth: TruthTable | None = None
    samples: list[SampleResult] = field(default_factory=list)
    fitted: int = 0
    cached: int = 0


def compare_models(
    paths: Sequence[str],
    samples: Sequence[str],
    choice: AnnotationOptions,
    counting: CountingOptions,
    bias: BiasOptions,
    options: CompareOptions,
    *,
    alias_file: str | None = None,
    say: Say = lambda text: None,
    told: Told = lambda done, total, text: None,
    manager: Manager | None = None,
    quiet: bool = True,
) -> Comparison:
    """Compare bias models on alignment files.

    Args:
        paths, samples: alignment files and their samples' names.
        choice: what to take from the annotation.
        counting: htseq-count's counting options.
        bias: genome, sampling, cap, seed, threads and all else that models have in common; ``model`` and ``window`` are not looked at.
        options: what is compared.
        alias_file: contig names of the alignments and what annotation and genome call them.
        say: takes one line for stderr.
        told: told of progress.
        manager: plug-ins; those installed by default.
        quiet: whether to leave htseq-count's progress lines out.

    Raises:
        InputError: for everything that a user can mend. A model that fails is none: its outcome says so.
    """
    manager = manager or load_plugins()
    models = [label for label in options.models if is_model_file(label)]
    # The annotation gives features, exons per transcript, and transcripts; genome and model files are digested for the cache, too.
    with read_again(choice.path, bias.genome, *models):
        candidates = find_candidates(options.models, options.windows, manager)
        if not candidates:
            raise InputError("no bias model is installed", remedy="`counterbias models` says why")
        truth = options.truth
        table = (
            None
            if truth is None
            else read_truth(truth.path, truth.columns, identifier=truth.identifier)
        )
        wanted = _with_attribute(choice, truth)
        job, edges = _open(
            paths, wanted, counting, bias, candidates, manager, alias_file, say, quiet
        )
        features = job.annotation.features
        result = Comparison(_chosen_attributes(features, choice), candidates, options, bias, table)
        truths = [_truth_of(number, table, truth, features) for number in range(len(paths))]
        assert job.plan is not None
        genome = digest_of_genome(job.plan.genome)
        cache = Cache(options.cache, fresh=options.fresh)
        progress = _Progress(told, len(paths))
        design = Design(options.folds, options.seeds, bias.sampling, bias.threads, bias.device)
        for number, (path, name) in enumerate(zip(paths, samples, strict=True)):
            counts = _count(job, path, say)
            prepared, starts = _prepare(job, counts, edges, genome, name)
            _, hint = job.strandedness(
                counts, "-"
            )  # with '-' for a path it does without a second pass over the file
            if hint:
                say(f"Warning: {name}: {hint}")
            progress.begin(name, steps_of(candidates, len(prepared.ends), design))
            outcomes = run_models(prepared, candidates, design, cache, progress.step)
            group = options.groups[number] if options.groups else None
            result.samples.append(
                SampleResult(
                    name, group, replace(counts, sites=None), starts, outcomes, truths[number]
                )
            )
        if all(why_left_out(one.outcomes) for one in result.samples):
            raise _nothing_to_compare(result.samples, say)
        result.fitted, result.cached = cache.stored, cache.found
        return result


def _nothing_to_compare(samples: Sequence[SampleResult], say: Say) -> InputError:
    """Say of each sample why it could teach nothing, and make the error."""
    for one in samples:
        say(f"Warning: {one.name} is left out: {why_left_out(one.outcomes)}")
    remedy = "check -s, -t and -i, and that the alignments fit the annotation"
    return InputError(
        "there is nothing to compare models on: no sample has read starts that can be learnt from",
        remedy=remedy,
    )


class _Progress:
    """Count steps over samples; those of samples not yet counted are taken to be as many as the present one's."""

    def __init__(self, told: Told, samples: int) -> None:
        self.told, self.left = told, samples
        self.done = self.total = 0
        self.sample = ""

    def begin(self, sample: str, steps: int) -> None:
        self.sample = sample
        self.total = self.done + steps * self.left
        self.left -= 1
        self.told(self.done, self.total, sample)

    def step(self, number: int, text: str) -> None:
        self.done += number
        self.told(self.done, self.total, f"{self.sample}: {text}" if text else self.sample)


# -- before the samples ------------------------------------------------------------------------------------------------


def _with_attribute(choice: AnnotationOptions, truth: TruthOptions | None) -> AnnotationOptions:
    """Ask for the attribute by which the truth is joined."""
    if truth is None or truth.attribute is None or truth.attribute in choice.additional_attributes:
        return choice
    return replace(choice, additional_attributes=(*choice.additional_attributes, truth.attribute))


def _chosen_attributes(features: Features, choice: AnnotationOptions) -> Features:
    """Keep the attributes that the user asked for."""
    return replace(
        features,
        attributes={
            name: features.attributes[name]
            for name in choice.columns
            if name in features.attributes
        },
    )


def _open(
    paths: Sequence[str],
    choice: AnnotationOptions,
    counting: CountingOptions,
    bias: BiasOptions,
    candidates: Sequence[Candidate],
    manager: Manager,
    alias_file: str | None,
    say: Say,
    quiet: bool,
) -> tuple[Job, Features]:
    """Load annotation and genome, and check all headers; the features' exons per transcript come with it."""
    job = open_job(
        paths, choice, counting, bias=None, reference=bias.genome, alias_file=alias_file, threads=bias.threads, quiet=quiet, say=say,
        command_line="", progress=None,
    )  # fmt: skip
    kinds = [one.kind for one in candidates if one.kind is not None]
    if not kinds:
        first = candidates[0]
        raise InputError(
            f"no model can be trained: {first.label}: {first.reason}",
            remedy="`counterbias models` says what is missing",
        )
    if idle := idle_device(bias.device, kinds):
        say(f"Warning: {idle}")
    plan = add_transcripts(
        Plan(bias, manager, kinds[0], open_genome(bias.genome, job.aliases)),
        choice.path,
        job.aliases,
        say=say,
    )
    job = replace(job, plan=plan)
    for path in paths:
        if not is_read_once(path):
            job.check_header(path, read_header(path, reference=bias.genome))
    return job, _edges(job, choice, say)


def _edges(job: Job, choice: AnnotationOptions, say: Say) -> Features:
    """Load exons per transcript, so that units are cut at every exon's edge: features join theirs."""
    for attribute in TRANSCRIPT_ATTRIBUTES:
        try:
            found = load_annotation(
                choice.path,
                feature_types=choice.feature_types,
                id_attributes=(*choice.id_attributes, attribute),
                feature_query=choice.query,
                stranded=choice.stranded,
            )
        except InputError:
            continue
        return rename_contigs(found, job.aliases).features
    say(
        f"Warning: {choice.path}: not every exon names its transcript, so that units are cut at the edges of merged exons only"
    )
    return job.annotation.features


def _truth_of(
    number: int, table: TruthTable | None, options: TruthOptions | None, features: Features
) -> Joined | None:
    """Join the truth of one sample."""
    if table is None or options is None:
        return None
    column = options.columns[number if len(options.columns) > 1 else 0]
    return join_truth(table, column, features, attribute=options.attribute)


# -- per sample --------------------------------------------------------------------------------------------------------


def _count(job: Job, path: str, say: Say) -> SampleCounts:
    """Count one file: the only pass over it."""
    result, _ = count_alignments(
        path,
        job.annotation,
        job.options,
        threads=job.threads,
        want_sites=True,
        reference=job.reference,
        on_header=lambda header: job.check_header(path, header),
        warn=lambda text: say(f"Warning: {text}"),
    )
    if not job.quiet:
        say(processed(result.fragments, result.paired))
    return result


def _prepare(
    job: Job, counts: SampleCounts, edges: Features, genome: str, name: str
) -> tuple[PreparedSample, int]:
    """Cut a sample into folds; its number of distinct starts comes with it."""
    plan, sites, features = job.plan, counts.sites, job.annotation.features
    assert plan is not None
    assert sites is not None
    ends = []
    for reads in read_ends(sites, job.options.stranded):
        ends.append((reads, fold_sample(sites, features, edges, plan.genome, end=reads.end)))

    def weigh(kind: ModelChoice) -> SampleBias:
        own = replace(job, plan=replace(plan, kind=kind), progress=None)
        return own.weigh(counts, "-", name, lambda text: None, False)

    shared = {key: value for key, value in asdict(plan.options).items() if key not in _NOT_SETTINGS}
    settings: dict[str, Any] = {**shared, "stranded": job.options.stranded}
    numbers: NDArray[Any] = np.asarray(counts.counts)
    digest = f"{digest_of_sample(sites, features, edges, numbers)}-{genome}"
    return PreparedSample(digest, tuple(ends), weigh, settings), sum(
        len(folds.starts) for _, folds in ends
    )
