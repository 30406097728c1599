"""``counterbias compare``: the order of its stages.

Annotation and truth are read first, so that mistakes show at once. Then each alignment file is
counted once, and all models are fitted and measured on its read starts (:mod:`.sample`). What needs
several models or several samples comes last (:mod:`.report`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.annotation import load_annotation
from counterbias.errors import InputError
from counterbias.evaluation.truth import Joined, TruthTable, join_truth, read_truth
from counterbias.inputs import read_again
from counterbias.messages import SILENT, Messages, StepCallback
from counterbias.model_file import is_model_file
from counterbias.options import UNION, AnnotationOptions, CompareOptions, RunOptions, TruthOptions
from counterbias.pipeline.bias.choice import ModelChoice, idle_device
from counterbias.pipeline.bias.ends import read_ends
from counterbias.pipeline.bias.sample import SampleBias
from counterbias.pipeline.compare.along import tracks_along
from counterbias.pipeline.compare.cache import Cache, digest_of_genome, digest_of_sample
from counterbias.pipeline.compare.candidates import Candidate, find_candidates
from counterbias.pipeline.compare.design import Design, PreparedSample
from counterbias.pipeline.compare.evaluation import fold_sample
from counterbias.pipeline.compare.genes import Gene, find_genes
from counterbias.pipeline.compare.outcome import why_left_out
from counterbias.pipeline.compare.results import Comparison, SampleResult, truth_column
from counterbias.pipeline.compare.sample import number_of_steps, run_models
from counterbias.pipeline.inputs import (
    BiasInputs,
    RunInputs,
    load_aliases,
    open_counting_inputs,
    open_genome,
    rename_contigs,
)
from counterbias.pipeline.sample import check_strandedness, count_sample, weigh_counts
from counterbias.plugins import Manager, load_plugins
from counterbias.records import Features, SampleCounts

#: The attributes that name an exon's transcript, in GTF and in GFF3.
TRANSCRIPT_ATTRIBUTES = ("transcript_id", "Parent")
#: Bias options that do not change a count's numbers, or are in the cache's key otherwise.
_NOT_SETTINGS = frozenset({"model", "genome", "window", "model_options", "threads"})
#: The stage that progress is reported for.
STAGE = "comparing models"


def compare_models(
    options: RunOptions,
    compare: CompareOptions,
    messages: Messages = SILENT,
    *,
    manager: Manager | None = None,
) -> Comparison:
    """Compare bias models on alignment files.

    Args:
        options: files and options; of ``bias``, all except ``model`` and ``window`` apply to every
            model.
        compare: which models are compared, and how.
        messages: where progress and warnings go.
        manager: plug-ins; by default those installed.

    Raises:
        InputError: for everything that a user can fix. A model that fails raises nothing: its
            outcome says so.
    """
    manager = manager or load_plugins()
    # Models are compared by what they do to lengths that are the same for all of them.
    options = options.with_lengths(UNION)
    bias, truth = options.bias, compare.truth
    assert bias is not None
    models = [label for label in compare.models if is_model_file(label)]
    # The annotation is read several times: for features, for exons per transcript, and for
    # transcripts. The genome and model files are also digested for the cache.
    with read_again(options.annotation.path, bias.genome, *models):
        candidates = find_candidates(compare.models, compare.windows, manager)
        if not candidates:
            raise InputError("no bias model is installed", remedy="`counterbias models` says why")
        table = None
        if truth is not None:
            table = read_truth(truth.path, truth.columns, identifier=truth.identifier)
        inputs = _open(_with_attribute(options, truth), candidates, manager, messages)
        features, genes = inputs.annotation.features, find_genes(compare.genes, inputs)
        result = Comparison(
            _chosen_attributes(features, options.annotation),
            candidates,
            compare,
            bias,
            table,
            genes,
        )
        truths = [
            _truth_of(number, table, truth, features) for number in range(len(options.samples))
        ]
        stages = _Stages.prepare(inputs, result, messages)
        for number, path in enumerate(options.alignments):
            sample = stages.run(options.samples[number], path)
            sample.group = compare.groups[number] if compare.groups else None
            sample.truth = truths[number]
            result.samples.append(sample)
        if all(why_left_out(one.outcomes) for one in result.samples):
            raise _nothing_to_compare(result.samples, messages)
        result.fitted, result.cached = stages.cache.stored, stages.cache.found
        return result


def _nothing_to_compare(samples: Sequence[SampleResult], messages: Messages) -> InputError:
    """Warn why each sample cannot be learnt from, and return the error."""
    for one in samples:
        messages.warn(f"{one.name} is left out: {why_left_out(one.outcomes)}")
    return InputError(
        "models cannot be compared: no sample has read starts that can be learnt from",
        remedy="check -s, -t and -i, and that the alignments fit the annotation",
    )


class _Progress:
    """Progress over all samples.

    Samples that are not yet counted are assumed to have as many steps as the present one.
    """

    def __init__(self, callback: StepCallback | None, samples: int) -> None:
        self._callback, self._samples_left = callback, samples
        self._done = self._total = 0
        self._sample = ""

    def begin(self, sample: str, steps: int) -> None:
        """Begin a sample, which has this many steps."""
        self._sample = sample
        self._total = self._done + steps * self._samples_left
        self._samples_left -= 1
        self._report(sample)

    def step(self, number: int, text: str) -> None:
        """Report that ``number`` steps were done, and what they did."""
        self._done += number
        self._report(f"{self._sample}: {text}" if text else self._sample)

    def _report(self, text: str) -> None:
        if self._callback is not None:
            self._callback(STAGE, self._done, self._total, text)


# -- before the samples ----------------------------------------------------------------------------


def _with_attribute(options: RunOptions, truth: TruthOptions | None) -> RunOptions:
    """Request also the attribute by which the truth is joined."""
    annotation = options.annotation
    extra = annotation.additional_attributes
    if truth is None or truth.attribute is None or truth.attribute in extra:
        return options
    wanted = replace(annotation, additional_attributes=(*extra, truth.attribute))
    return replace(options, annotation=wanted)


def _chosen_attributes(features: Features, options: AnnotationOptions) -> Features:
    """Keep only the attributes that the user asked for."""
    known = features.attributes
    return replace(
        features, attributes={name: known[name] for name in options.columns if name in known}
    )


def _open(
    options: RunOptions, candidates: Sequence[Candidate], manager: Manager, messages: Messages
) -> RunInputs:
    """Load the annotation, open the genome, and check all headers."""
    bias = options.bias
    assert bias is not None
    inputs = open_counting_inputs(options, load_aliases(options.alias_file), messages)
    choices = [one.choice for one in candidates if one.choice is not None]
    if not choices:
        first = candidates[0]
        raise InputError(
            f"no model can be trained: {first.label}: {first.reason}",
            remedy="`counterbias models` says what is missing",
        )
    if idle := idle_device(bias.device, choices):
        messages.warn(idle)
    genome = open_genome(bias.genome, inputs.aliases)
    return inputs.with_bias(BiasInputs(bias, manager, choices[0], genome), messages)


def _exons_by_transcript(inputs: RunInputs, messages: Messages) -> Features:
    """Load exons per transcript, so that units are cut at every exon's edge.

    The exons of features are merged.
    """
    wanted = inputs.options.annotation
    for attribute in TRANSCRIPT_ATTRIBUTES:
        try:
            annotation = load_annotation(
                replace(
                    wanted,
                    id_attributes=(*wanted.id_attributes, attribute),
                    additional_attributes=(),
                    chromosome=False,
                ),
                stranded=inputs.options.counting.stranded != "no",
            )
        except InputError:
            continue
        return rename_contigs(annotation, inputs.aliases).features
    messages.warn(
        f"{wanted.path}: not every exon names its transcript, so that units are cut at the edges "
        "of merged exons only"
    )
    return inputs.annotation.features


def _truth_of(
    number: int, table: TruthTable | None, options: TruthOptions | None, features: Features
) -> Joined | None:
    """Return the true values of one sample, joined to the features."""
    if table is None or options is None:
        return None
    column = truth_column(options, number)
    return join_truth(table, column, features, attribute=options.attribute)


# -- per sample ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Stages:
    """What is done with each sample, and what they all share."""

    inputs: RunInputs
    candidates: Sequence[Candidate]
    genes: Sequence[Gene]
    design: Design
    exons: Features
    genome_digest: str
    cache: Cache
    progress: _Progress
    messages: Messages

    @classmethod
    def prepare(cls, inputs: RunInputs, result: Comparison, messages: Messages) -> _Stages:
        """Do what is needed once for all samples, which ``result`` does not hold yet."""
        bias, compare = inputs.bias_inputs, result.options
        options = bias.options
        return cls(
            inputs=inputs,
            candidates=result.candidates,
            genes=result.genes,
            design=Design(
                compare.folds, compare.seeds, options.sampling, options.threads, options.device
            ),
            exons=_exons_by_transcript(inputs, messages),
            genome_digest=digest_of_genome(bias.genome),
            cache=Cache(compare.cache, fresh=compare.fresh),
            progress=_Progress(messages.step, len(inputs.options.alignments)),
            messages=messages,
        )

    def run(self, name: str, path: str) -> SampleResult:
        """Count a sample, in the only pass over its file, then fit and measure all models on it."""
        counts = count_sample(self.inputs, path, self.messages)
        prepared, starts = self._prepare(name, counts)
        _, hint = check_strandedness(self.inputs, counts, None)
        if hint:
            self.messages.warn(f"{name}: {hint}")
        self.progress.begin(name, number_of_steps(self.candidates, len(prepared.ends), self.design))
        outcomes = run_models(
            prepared, self.candidates, self.design, self.cache, self.progress.step
        )
        return SampleResult(
            name,
            None,
            replace(counts, sites=None),
            starts,
            outcomes,
            tracks=prepared.tracks,
        )

    def _prepare(self, name: str, counts: SampleCounts) -> tuple[PreparedSample, int]:
        """Split a sample into folds; also return its number of distinct starts."""
        inputs, bias, sites = self.inputs, self.inputs.bias_inputs, counts.sites
        features, stranded = inputs.annotation.features, inputs.options.counting.stranded
        assert sites is not None
        ends = [
            (reads, fold_sample(sites, features, self.exons, bias.genome, end=reads.end))
            for reads in read_ends(sites, stranded)
        ]

        def weigh(choice: ModelChoice) -> SampleBias:
            chosen = replace(inputs, bias=replace(bias, choice=choice))
            return weigh_counts(chosen, counts, name, SILENT, path=None)

        settings: dict[str, Any] = {
            key: value for key, value in asdict(bias.options).items() if key not in _NOT_SETTINGS
        }
        settings["stranded"] = stranded
        numbers: NDArray[Any] = np.asarray(counts.counts)
        digest = f"{digest_of_sample(sites, features, self.exons, numbers)}-{self.genome_digest}"
        starts = sum(len(folds.starts) for _, folds in ends)
        tracks = tracks_along(self.genes, ends, stranded)
        return PreparedSample(digest, tuple(ends), weigh, settings, tracks), starts
