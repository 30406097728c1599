"""Start sites → one calibrated bias model per end class, judged on genomic blocks that it never saw.

An *end class* is a set of reads that share a model: reads 1 and 2 pooled in unstranded libraries (and single reads), read 1 and
read 2 apart in stranded ones, where the two are made by different chemistry.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias import sampling
from counterbias.contexts import Genome, extract
from counterbias.errors import InputError
from counterbias.evaluation import composition, folds, measures, units
from counterbias.model import BiasModel, parse_options
from counterbias.model_file import EndModel, ModelFile, load_models
from counterbias.pipeline.auto import AUTO, ENOUGH, backend_for, distinct_starts
from counterbias.plugins import Manager
from counterbias.records import Features, FitReport, Positions, StartSites, Tiles, TrainingSet, Window
from counterbias.sampling import Assembled, End
from counterbias.scoring import score, score_positions
from counterbias.weights import GAIN_BLOCK, Calibration, calibrate

#: Fewer distinct starts than this and the user is warned.
FEW_STARTS = 2000
#: The wide window in which a signature is looked for, and the starts that are looked at.
WIDE, WIDE_STARTS = Window(40, 40), 20_000

_DEFAULT_WINDOW = Window()


@dataclass(frozen=True, slots=True)
class EndClass:
    """Which reads share a model: a label for files, the reads as sampling names them, and their numbers."""

    label: str
    end: End
    numbers: tuple[int, ...]


def end_classes(sites: StartSites, stranded: str) -> tuple[EndClass, ...]:
    """Give the end classes of a library."""
    if stranded == "no" or len(sites.ends) == 1:
        return (EndClass("both", "both", tuple(range(len(sites.ends)))),)
    return EndClass("read1", 0, (0,)), EndClass("read2", 1, (1,))


@dataclass(frozen=True, slots=True)
class Kind:
    """What is to be fitted, or was fitted before.

    Args:
        backend, distribution, version: as in :class:`~counterbias.model_file.ModelFile`.
        model: the class, for fitting.
        options: its options.
        window: the window.
        fitted: the models of a file, or None.
        path: that file.
        auto: whether the backend is chosen per sample, by :func:`suit`.
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


def choose_kind(name: str, is_file: bool, window: Window | None, pairs: tuple[str, ...], manager: Manager) -> Kind:
    """Find a backend, or load a model file; raises InputError before anything is counted."""
    if is_file:
        if pairs:
            raise InputError(
                f"--bias-option {pairs[0]} cannot change a model that is already fitted", file=name, remedy="leave it out"
            )
        file = load_models(name, manager, window=window)
        return Kind(
            file.backend, file.distribution, file.version, type(file.ends[0].model), file.options, file.window, file, name
        )
    if name == AUTO:
        if pairs:
            raise InputError(f"--bias-option {pairs[0]} needs a model's name", remedy=f"name one instead of '{AUTO}'")
        return replace(choose_kind(backend_for(ENOUGH, manager), False, window, (), manager), auto=True)
    found = manager.registration(name)
    manager.require(name)
    model = found.backend.load()
    options = parse_options(model, list(pairs))
    chosen = window or _DEFAULT_WINDOW
    model(chosen, options)
    return Kind(name, found.plugin.distribution, found.plugin.version, model, options, chosen)


def suit(kind: Kind, sites: StartSites, stranded: str, manager: Manager) -> Kind:
    """Give the kind for a sample: itself, or with ``--bias-model auto`` what fits the end class with the fewest starts."""
    if not kind.auto:
        return kind
    starts = min(distinct_starts(sites, reads.end) for reads in end_classes(sites, stranded))
    name = backend_for(starts, manager)
    return kind if name == kind.backend else replace(choose_kind(name, False, kind.window, (), manager), auto=True)


@dataclass(slots=True)
class FittedEnd:
    """A model of one end class, with all that is known of it.

    Args:
        reads: the end class.
        model: the fitted model.
        calibration: found on held-out windows.
        training: what the backend told; None for a model that was loaded.
        starts: distinct trainable starts of the sample.
        report: parts of the QC file's entry in ``ends``.
        signature: where composition differs from the background, in the wide window.
        windows_scored, seconds_scoring: throughput so far.
    """

    reads: EndClass
    model: BiasModel
    calibration: Calibration
    training: FitReport | None
    starts: int
    report: dict[str, Any] = field(default_factory=dict)
    signature: composition.Signature | None = None

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
        )


@dataclass(frozen=True, slots=True)
class Context:
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
        cap: a weight is at most this many times the median.
        manager: plug-ins, for their metrics.
    """

    sites: StartSites
    features: Features
    contig_of: NDArray[np.int64]
    genome: Genome
    kind: Kind
    sampling: str
    seed: int
    threads: int
    cap: float
    manager: Manager

    def extract(self, positions: Positions, window: Window | None = None) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Cut windows at positions."""
        return extract(self.genome, self.sites.contigs, positions, window or self.kind.window)


def fit_end(context: Context, reads: EndClass, timed: Callable[[str, float], None]) -> FittedEnd:
    """Sample, fit (unless the model comes from a file), and judge one end class.

    ``timed(stage, seconds)`` collects wall times.
    """
    begin = time.perf_counter()
    number = reads.numbers[0]
    starts = sampling.unique_starts(context.sites, end=reads.end)
    dealt = folds.make_folds(starts)
    assembled = _sample(context, reads, starts, dealt, np.random.default_rng([context.seed, 1, number]))
    timed("sampling", time.perf_counter() - begin)

    begin = time.perf_counter()
    fitted = context.kind.fitted
    report = None
    if fitted is None:
        model = context.kind.model(context.kind.window, context.kind.options)
        report = model.fit(_learnable(assembled), np.random.default_rng([context.seed, 2, number]))
    else:
        model = fitted.end(number).model
    timed("training", time.perf_counter() - begin)

    begin = time.perf_counter()
    end = _judge(context, reads, model, assembled, report, len(starts))
    end.signature = _signature(context, reads)
    _describe(context, end, assembled, starts, dealt)
    timed("evaluation", time.perf_counter() - begin)
    return end


def _learnable(assembled: Assembled) -> TrainingSet:
    """Give the training part; where a tiny sample has none, its held-out part, since calibration will not let such a model be used."""
    training = assembled.training
    if len(training.foreground) and len(training.background):
        return training
    held_out = held_out_set(assembled)
    if len(held_out.foreground) and len(held_out.background):
        return held_out
    raise InputError(
        "no read start can be learnt from: none of the assigned reads is unclipped and uniquely aligned with its window in the genome",
        remedy="count without --bias-model, or use a fitted model with --bias-model FILE",
    )


def _sample(
    context: Context, reads: EndClass, starts: Positions, dealt: folds.Folds, rng: np.random.Generator
) -> Assembled:
    """Draw windows and deal them to training, validation and held-out parts."""
    window = context.kind.window
    drawn = sampling.draw(context.sites, rng, scheme=context.sampling, end=reads.end)
    parts = tuple(dealt.parts(positions, margin=window.width) for positions in (drawn.foreground, drawn.background))
    inside = None
    if context.sampling == "paper":
        both = (drawn.foreground, drawn.background)
        masks = [sampling.inside_exons(positions, window, context.features, context.contig_of) for positions in both]
        inside = (masks[0], masks[1])
    tiles, tile_parts = _tiles(context, starts, dealt) if context.kind.model.needs_tiles else (None, None)
    return sampling.assemble(
        window,
        drawn,
        context.extract(drawn.foreground),
        context.extract(drawn.background),
        (parts[0], parts[1]),
        tiles=tiles,
        tile_parts=tile_parts,
        inside=inside,
    )


def _tiles(context: Context, starts: Positions, dealt: folds.Folds) -> tuple[Tiles, NDArray[np.int8]]:
    """Cut tiles of consecutive positions, for models that learn from counts."""
    positions, counts, wide = sampling.draw_tiles(starts, context.features, context.contig_of, context.kind.window)
    sequence, valid = context.extract(positions, wide)
    return Tiles(sequence[valid], counts[valid]), dealt.parts(positions, margin=wide.width)[valid]


def _judge(
    context: Context, reads: EndClass, model: BiasModel, assembled: Assembled, report: FitReport | None, starts: int
) -> FittedEnd:
    """Calibrate a model on held-out windows."""
    held_out = assembled.held_out
    foreground = score(model, held_out.foreground, threads=context.threads)
    background = score(model, held_out.background, threads=context.threads)
    place = held_out.starts
    calibration = calibrate(
        foreground,
        background,
        foreground_weight=held_out.foreground_weight,
        background_weight=held_out.background_weight,
        origin=held_out.origin,
        block=place.contig.astype(np.int64) * (1 << 40) + place.position // GAIN_BLOCK,
    )
    return FittedEnd(reads, model, calibration, report, starts)


def _inverse(context: Context, end: FittedEnd, contexts: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Give 1/b of windows, capped as reads are."""
    inverse = np.exp(-end.calibration(score(end.model, contexts, threads=context.threads)))
    return np.minimum(inverse, context.cap * np.median(inverse)) if len(inverse) else inverse


def _describe(
    context: Context, end: FittedEnd, assembled: Assembled, starts: Positions, dealt: folds.Folds
) -> None:
    """Fill in the end's part of the QC file."""
    training, held_out, window = assembled.training, assembled.held_out, context.kind.window
    inverse = _inverse(context, end, held_out.foreground)
    parts = (held_out.foreground, held_out.foreground_weight, inverse, held_out.background, held_out.background_weight)
    learnt = (
        training.foreground,
        training.foreground_weight,
        _inverse(context, end, training.foreground),
        training.background,
        training.background_weight,
    )
    validation = training.validation
    signature, calibration = end.signature, end.calibration
    end.report = {
        "end": end.reads.label,
        "block": dealt.block,
        "blocks": len(dealt.keys),
        "unique_starts": len(starts),
        "training_starts": len(training.foreground),
        "validation_starts": 0 if validation is None else len(validation.foreground),
        "held_out_starts": len(held_out.foreground),
        "skipped": assembled.skipped,
        "offsets": list(range(-window.upstream, window.downstream + 1)),
        "composition": composition.composition_report(*parts),
        "divergence": {
            "held_out": composition.divergence_report(*parts),
            "training": composition.divergence_report(*learnt),
        },
        "calibration": {
            "applied": calibration.applied,
            "reason": calibration.reason,
            "slope": calibration.slope,
            "constant": calibration.constant,
            "gain": calibration.gain,
            "gain_error": calibration.gain_error,
        },
        "training": {},
        "metrics": context.manager.qc_metrics(end.model, held_out_set(assembled)),
    }
    if signature is not None:
        end.report["signature"] = {
            "found": signature.found,
            "first": signature.first,
            "last": signature.last,
            "peak": signature.peak,
            "before_start": signature.before_start,
            "outside": signature.outside,
            "upstream": signature.window.upstream,
            "downstream": signature.window.downstream,
        }
    if end.training is not None:
        told = end.training
        end.report["training"] = {
            "parameters": told.parameters,
            "curves": _plain(told.curves),
            "perplexity": _plain(told.perplexity),
            "details": _plain(told.details),
        }
    end.report.update(_measure(context, end, starts, dealt))


def held_out_set(assembled: Assembled) -> TrainingSet:
    """Give the held-out windows in the form that plug-ins know."""
    part = assembled.held_out
    return TrainingSet(
        assembled.training.window, part.foreground, part.foreground_weight, part.background, part.background_weight
    )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _measure(context: Context, end: FittedEnd, starts: Positions, dealt: folds.Folds) -> dict[str, Any]:
    """Measure gain, deviance, AUC on held-out units, with the log bias as the model gives it."""
    every = units.make_units(starts, context.features, context.contig_of, block=dealt.block)
    chosen = every.take(dealt.of(every.contig, every.start) == folds.HELD_OUT_FOLD)
    log_bias = score_positions(end.model, context.extract, chosen.positions(), threads=context.threads)
    auc, log_loss = measures.discrimination(log_bias, chosen)
    gains = measures.gains(log_bias, chosen)
    found: dict[str, Any] = {name: {"value": gain.value, "error": gain.standard_error} for name, gain in gains.items()}
    return {
        "gain": {**found, "units": len(chosen)},
        "deviance_explained": measures.deviance_explained(log_bias, chosen),
        "auc": auc,
        "log_loss": log_loss,
    }


def _signature(context: Context, reads: EndClass) -> composition.Signature | None:
    """Look for the bias signature in a window wider than the model's."""
    rng = np.random.default_rng([context.seed, 3, reads.numbers[0]])
    drawn = sampling.draw(context.sites, rng, end=reads.end, most=WIDE_STARTS)
    foreground, valid = context.extract(drawn.foreground, WIDE)
    background, background_valid = context.extract(drawn.background, WIDE)
    if not valid.any() or not background_valid.any():
        return None
    first = composition.composition(foreground[valid], drawn.foreground.weight[valid])
    second = composition.composition(background[background_valid], drawn.background.weight[background_valid])
    profile, noise = composition.symmetrised_kl(first, second), composition.noise_floor(first, second)
    return composition.signature_span(profile, noise, upstream=WIDE.upstream, window=context.kind.window)
