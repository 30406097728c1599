"""Start sites → one calibrated bias model per end class, judged on genomic blocks that it never saw.

An *end class* is a set of reads that share a model: reads 1 and 2 pooled in unstranded libraries (and single reads), read 1 and
read 2 apart in stranded ones, where the two are made by different chemistry.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.blend import Blend
from counterbias.errors import InputError
from counterbias.evaluation import composition
from counterbias.genome import Genome, Splices, extract, extract_stretches, extract_tiles
from counterbias.messages import ProgressCallback
from counterbias.model import BiasModel, Resources, parse_options
from counterbias.model_file import EndModel, ModelFile, load_models
from counterbias.no_model import NoModel
from counterbias.options import AssumedLengths, Device
from counterbias.pipeline.bias.auto import AUTO, ENOUGH, backend_for, distinct_starts
from counterbias.pipeline.bias.cross_fitting import BackendFault, CrossFitted, blaming, cross_fit
from counterbias.pipeline.bias.deferred import Deferred
from counterbias.pipeline.bias.diagnostics import (
    describe_end,
    describe_nothing,
    find_signature,
    judged_units,
)
from counterbias.pipeline.bias.held_out import calibrate_scores
from counterbias.pipeline.bias.learnable import SplitEnd, split_end, why_nothing
from counterbias.pipeline.bias.prior import blend, prior_end
from counterbias.plugins import Manager
from counterbias.records import Features, Positions, StartSites, Stretches, Window
from counterbias.sampling import End, FoldedWindows
from counterbias.scoring import score, score_positions, score_stretches
from counterbias.weights import UNUSED, Calibration, recentred, ungated

#: Fewer distinct starts than this and the user is warned.
FEW_STARTS = 2000

_DEFAULT_WINDOW = Window()


@dataclass(frozen=True, slots=True)
class ReadEnd:
    """Which reads share a model: a label for files, the reads as sampling names them, and their numbers."""

    label: str
    end: End
    numbers: tuple[int, ...]


def read_ends(sites: StartSites, stranded: str) -> tuple[ReadEnd, ...]:
    """Give the end classes of a library."""
    if stranded == "no" or len(sites.ends) == 1:
        return (ReadEnd("both", "both", tuple(range(len(sites.ends)))),)
    return ReadEnd("read1", 0, (0,)), ReadEnd("read2", 1, (1,))


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What is to be fitted, or was fitted before.

    Args:
        backend, distribution, version: as in :class:`~counterbias.model_file.ModelFile`.
        model: the class, for fitting.
        options: its options.
        window: the window.
        fitted: the models of a file, or None.
        path: that file.
        auto: whether the backend is chosen per sample, by :func:`choice_for_sample`.
    """

    backend: str
    distribution: str
    version: str
    model: type[BiasModel]
    options: Any
    window: Window
    fitted: ModelFile | None = None
    path: str | None = None
    auto: bool = False


def choose_model(
    name: str, is_file: bool, window: Window | None, pairs: tuple[str, ...], manager: Manager
) -> ModelChoice:
    """Find a backend, or load a model file; raises InputError before anything is counted."""
    if is_file:
        if pairs:
            raise InputError(
                f"--bias-option {pairs[0]} cannot change a model that is already fitted",
                file=name,
                remedy="leave it out",
            )
        file = load_models(name, manager, window=window)
        models = [end.model for end in file.ends]
        model = next((type(one) for one in models if not isinstance(one, NoModel)), NoModel)
        return ModelChoice(
            file.backend,
            file.distribution,
            file.version,
            model,
            file.options,
            file.window,
            file,
            name,
        )
    if name == AUTO:
        if pairs:
            raise InputError(
                f"--bias-option {pairs[0]} needs a model's name",
                remedy=f"name one instead of '{AUTO}'",
            )
        able = backend_for(ENOUGH, manager, window=window or _DEFAULT_WINDOW)
        return replace(choose_model(able, False, window, (), manager), auto=True)
    found = manager.registration(name)
    manager.require(name)
    model = found.backend.load()
    options = parse_options(model, list(pairs))
    chosen = window or _DEFAULT_WINDOW
    model(chosen, options)
    return ModelChoice(
        name, found.plugin.distribution, found.plugin.version, model, options, chosen
    )


def idle_device(device: Device, kinds: Sequence[ModelChoice]) -> str | None:
    """Say that a GPU was asked for and none of the models to be fitted is one that would be trained there; None where one is."""
    if device != "cuda" or any(
        one.fitted is None and one.model.check_resources is not BiasModel.check_resources
        for one in kinds
    ):
        return None
    named = ", ".join(dict.fromkeys(one.backend for one in kinds if one.fitted is None))
    return f"--bias-device cuda changes nothing: {named or 'a saved model'} is not trained on a GPU"


def choice_for_sample(
    kind: ModelChoice,
    sites: StartSites,
    stranded: str,
    manager: Manager,
    *,
    teaches: Callable[[ReadEnd], bool] = lambda reads: True,
) -> ModelChoice:
    """Give the kind for a sample: itself, or with ``--bias-model auto`` what fits the end class with the fewest starts.

    Ends that teach nothing have no say: the other one gets the model that it would get alone.
    """
    if not kind.auto:
        return kind
    found = [(distinct_starts(sites, reads.end), reads) for reads in read_ends(sites, stranded)]
    return choice_for_starts(
        kind,
        min((starts for starts, reads in found if starts >= ENOUGH or teaches(reads)), default=0),
        manager,
    )


def choice_for_starts(kind: ModelChoice, starts: int, manager: Manager) -> ModelChoice:
    """Give the kind for so many distinct starts."""
    if not kind.auto:
        return kind
    name = backend_for(starts, manager, window=kind.window)
    return (
        kind
        if name == kind.backend
        else replace(choose_model(name, False, kind.window, (), manager), auto=True)
    )


@dataclass(slots=True)
class FittedEnd:
    """A model of one end class, with all that is known of it.

    Args:
        reads: the end class.
        model: the fitted model.
        calibration: found by models that did not see the windows they were judged on.
        fitted: the sample's own model and those that judge it.
        scores: what these gave to the windows of starts and background, float64 each, nats; NaN where there was none.
        starts: distinct trainable starts of the sample.
        background: scores of the background windows by the model itself, nats, and their weights.
        report: parts of the QC file's entry in ``ends``.
        signature: where composition differs from the background, in the wide window.
        describe: makes the report and finds the signature.
        pending: that work, while it goes on beside others, or None.
        blended: where the model is a blend, the shares, and the gain of each of its parts alone.
        silent: whether its reads teach nothing: no model is used for them.
    """

    reads: ReadEnd
    model: BiasModel
    calibration: Calibration
    fitted: CrossFitted
    scores: tuple[NDArray[np.float64], NDArray[np.float64]]
    starts: int
    background: tuple[NDArray[np.float64], NDArray[np.float64]]
    report: dict[str, Any] = field(default_factory=dict)
    signature: composition.Signature | None = None
    describe: Callable[[], None] = lambda: None
    pending: Deferred[None] | None = None
    blended: dict[str, float] = field(default_factory=dict)
    silent: bool = False

    def begin_report(self, aside: Executor | None) -> None:
        """Begin to work on the report, once the calibration is settled."""
        self.pending = Deferred(aside, self.describe)

    def finish(self) -> None:
        """Wait until ``report`` and ``signature`` are there; raises what went wrong with them."""
        if self.pending is not None:
            self.pending()
            self.pending = None

    def end_model(self) -> EndModel:
        """Give the entry for the model file; slope and offset are 0 where the model is not used."""
        used = self.calibration.applied
        gain = self.calibration.gain
        return EndModel(
            label=self.reads.label,
            model=self.model,
            offset=-self.calibration.constant if used else 0.0,
            slope=self.calibration.slope if used else 0.0,
            starts=self.starts,
            held_out_gain=float(gain) if np.isfinite(gain) else None,
            length_slope=self.calibration.length_slope
            if used and self.calibration.length_slope < 1 and self.fitted.report
            else None,
        )


@dataclass(frozen=True, slots=True)
class SampleContext:
    """What all steps of one sample need.

    Args:
        sites: start sites of the counted fragments.
        features: the annotation's.
        contig_of: per contig of ``features`` its index in ``sites.contigs``, or -1.
        genome: the genome.
        kind: backend or fitted models.
        sampling: scheme.
        seed: seed.
        threads: threads for scoring.
        cap: a weight is at most this many times the median; None for no limit.
        manager: plug-ins, for their metrics.
        splices: what follows the exons' edges, or None for windows of the genome.
        device: what models are fitted on.
        progress: told of progress in fitting, or None.
        prior: models of other samples to blend with, or None.
        sample: the sample's name.
        assumed: fragment lengths for a library that does not show its own; None for the default.
    """

    sites: StartSites
    features: Features
    contig_of: NDArray[np.int64]
    genome: Genome
    kind: ModelChoice
    sampling: str
    seed: int
    threads: int
    cap: float | None
    manager: Manager
    splices: Splices | None = None
    device: Device = "cpu"
    progress: ProgressCallback | None = None
    prior: ModelFile | None = None
    sample: str = ""
    assumed: AssumedLengths | None = None

    @property
    def resources(self) -> Resources:
        """What a model may use while it is fitted."""
        return Resources(self.threads, self.device, self.progress)

    def blaming(self, doing: str) -> AbstractContextManager[None]:
        """Name backend and sample in what the backend's code raises."""
        return blaming(self.kind.backend, self.sample, doing)

    def extract(
        self, positions: Positions, window: Window | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Cut windows at positions."""
        return extract(
            self.genome,
            self.sites.contigs,
            positions,
            window or self.kind.window,
            splices=self.splices,
        )

    def score_stretches(
        self, model: BiasModel, stretches: Stretches, *, threads: int
    ) -> NDArray[np.float64]:
        """Score all positions of stretches, row after row in genome order; NaN where there is no window."""
        window = self.kind.window

        def cut(part: Stretches) -> tuple[NDArray[np.uint8], bool]:
            return extract_stretches(self.genome, self.sites.contigs, part, window)

        with self.blaming("scored"):
            if self.splices is not None:
                # Neighbouring windows may follow different transcripts.
                return score_positions(model, self.extract, stretches.positions(), threads=threads)
            return score_stretches(model, window.width, cut, stretches, threads=threads)

    def fetch(self, only: NDArray[np.bool_]) -> None:
        """Read the genome where some features lie, as far as it can be kept; whoever asks for it later need not wait.

        The last contig comes first, since others begin with the first one.
        """
        features = self.features
        chosen = np.repeat(only, np.diff(features.block_offsets))
        mapped = np.where(chosen, self.contig_of[features.block_contig], -1)
        for contig in np.unique(mapped[mapped >= 0])[::-1].tolist():
            rows = mapped == contig
            if not self.genome.fetch(
                self.sites.contigs[contig],
                features.block_start[rows],
                features.block_end[rows],
                around=self.kind.window.width,
            ):
                break

    def extract_tiles(
        self, positions: Positions, wide: Window
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Cut tiles of consecutive positions, with flanks."""
        return extract_tiles(
            self.genome, self.sites.contigs, positions, wide, self.kind.window, self.splices
        )


def fit_end(
    context: SampleContext,
    reads: ReadEnd,
    timed: Callable[[str, float], None],
    *,
    aside: Executor | None = None,
) -> FittedEnd:
    """Sample, fit (unless the model comes from a file), and judge one end class.

    ``timed(stage, seconds)`` collects wall times. What weighing does not wait for, the signature and the report, is worked out by
    ``aside`` where it is given, as far as possible while the model is fitted; :meth:`FittedEnd.finish` waits for it.
    """
    begin = time.perf_counter()
    split = split_end(context, reads)
    starts, folded = split.starts, split.folded
    nothing = why_nothing(context, reads, split)
    timed("sampling", time.perf_counter() - begin)
    file = None if context.kind.fitted is None else context.kind.fitted.end(reads.numbers[0]).model
    if nothing or isinstance(file, NoModel):
        return _end_without(context, reads, split, nothing)
    signature = Deferred(aside, lambda: find_signature(context, reads, starts))
    units = Deferred(aside, lambda: judged_units(context, starts.positions, split.folds))
    begin = time.perf_counter()
    fitted = _fit(context, reads, folded)
    timed("training", time.perf_counter() - begin)
    if isinstance(fitted, str):
        return _end_without(context, reads, split, fitted)
    end = _judge(context, reads, fitted, folded, len(starts), timed)

    def describe() -> None:
        begin = time.perf_counter()
        end.signature = signature()
        end.report = describe_end(context, end, folded, split.folds, units())
        timed("evaluation", time.perf_counter() - begin)

    end.describe = describe
    return end


def _end_without(
    context: SampleContext, reads: ReadEnd, split: SplitEnd, nothing: str
) -> FittedEnd:
    """Give an end that no model is used for: there is ``nothing`` to learn from, or to judge the model of a file by, or no model there."""
    kind = context.kind
    if kind.fitted is None:
        model: BiasModel = NoModel(kind.window, kind.options, nothing)
        reason = nothing
    else:
        model = kind.fitted.end(reads.numbers[0]).model
        reason = f"nothing tells whether it fits: {nothing}"
        if isinstance(model, NoModel):
            reason = f"there is none in {kind.path}: {model.reason}"
    none = np.empty(0)
    judges = CrossFitted(model, None, (None,) * split.folded.sample.folds, split.folded.sample)
    unused = replace(UNUSED, reason=reason)
    end = FittedEnd(
        reads,
        model,
        unused,
        judges,
        (none, none),
        len(split.starts),
        (none, none),
        silent=bool(nothing),
    )
    end.report = describe_nothing(context, end, split.folded, split.folds)
    return end


def settle_ends(ends: tuple[FittedEnd, ...]) -> None:
    """Correct an end whose model gains too little by itself as strongly as its own starts ask for, where another end's model passes.

    The library is then known to be biased, and one end left out would leave half of the bias in effective lengths; an end without bias asks
    for a slope near 0 (``benchmarks/validation/stranded_ends.py``). Where no end's model passes, nothing is corrected.
    """
    if not any(end.calibration.applied for end in ends):
        return
    for end in ends:
        if not end.calibration.applied:
            end.calibration = recentred(ungated(end.calibration), *end.background)


def _fit(context: SampleContext, reads: ReadEnd, folded: FoldedWindows) -> CrossFitted | str:
    """Fit one end class, or take its model from the file; where the backend refuses so few starts, its reason."""
    number = reads.numbers[0]
    try:
        with context.blaming("was fitted to"):
            return cross_fit(
                context.kind,
                folded.sample,
                number,
                np.random.default_rng([context.seed, 2, number]),
                context.resources,
            )
    except BackendFault:
        raise
    except InputError as refusal:
        return f"{refusal.problem}; {refusal.remedy}" if refusal.remedy else refusal.problem


def _judge(
    context: SampleContext,
    reads: ReadEnd,
    fitted: CrossFitted,
    folded: FoldedWindows,
    starts: int,
    timed: Callable[[str, float], None],
) -> FittedEnd:
    """Calibrate the model of one end class, blended with the prior where there is one."""
    begin = time.perf_counter()
    number, windows = reads.numbers[0], folded.windows
    with context.blaming("scored"):
        scores = fitted.score(windows, threads=context.threads)
    model: BiasModel | Blend = fitted.model
    blended: dict[str, float] = {}
    if context.prior is None:
        known = _own_calibration(context, number, starts)
        calibration = (
            calibrate_scores(*scores, windows, own=fitted.report is not None)
            if known is None
            else known
        )
    else:
        model, calibration, blended = blend(
            model, scores, prior_end(context.prior, number), windows, threads=context.threads
        )
        fitted = fitted.blended(model)
        scores = fitted.score(windows, threads=context.threads)
    # It is the model itself whose bias is to average 1, not those that judge it.
    with context.blaming("scored"):
        background = (
            score(model, windows.background, threads=context.threads),
            windows.background_weight,
        )
    calibration = recentred(calibration, *background)
    end = FittedEnd(reads, model, calibration, fitted, scores, starts, background, blended=blended)
    timed("evaluation", time.perf_counter() - begin)
    return end


def _own_calibration(context: SampleContext, number: int, starts: int) -> Calibration | None:
    """Give the calibration of a model file that has learnt from this very sample: judged on what it has seen, a model would be flattered.

    None for other files. The sample is known by its name and the number of its distinct starts.
    """
    file = context.kind.fitted
    if file is None or file.end(number).starts != starts:
        return None
    if len(file.training.samples) != 1 or not file.training.includes(context.sample):
        return None
    end = file.end(number)
    gain = math.nan if end.held_out_gain is None else end.held_out_gain
    if end.slope == 0:
        return Calibration(
            False,
            0.0,
            0.0,
            gain,
            math.nan,
            starts,
            "it gained nothing when it was fitted to this sample",
        )
    length_slope = max(end.slope, 1.0) if end.length_slope is None else end.length_slope
    return Calibration(True, end.slope, 0.0, gain, math.nan, starts, length_slope=length_slope)
