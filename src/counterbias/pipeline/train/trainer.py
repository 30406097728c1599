"""Windows of all samples → one pooled model per read end, compared with the samples' own."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from counterbias.errors import InputError
from counterbias.evaluation.folds import Folds
from counterbias.model import Resources
from counterbias.model_file import EndModel, ModelFile, Training
from counterbias.options import TrainOptions
from counterbias.pipeline.bias.choice import ModelChoice, choice_for_starts
from counterbias.pipeline.bias.cross_fitting import (
    CrossFitted,
    EndSample,
    blaming,
    cross_fit_together,
    fitted_or_raise,
)
from counterbias.pipeline.bias.warnings import FEW_STARTS, remarks_of
from counterbias.pipeline.train.held_out import (
    Evidence,
    Judged,
    calibrate_pooled,
    evidence_of,
    judge,
)
from counterbias.pipeline.train.pooling import (
    MOST_STARTS,
    MOST_TILES,
    even_cap,
    factors,
    pool_samples,
    thin,
)
from counterbias.pipeline.train.reader import CohortReader, CohortSample
from counterbias.pipeline.train.report import CALIBRATION, Findings, train_report
from counterbias.pipeline.train.results import Cohort, SampleGain
from counterbias.records import FitReport, FoldedSample
from counterbias.sampling import FoldedWindows
from counterbias.weights import Calibration

#: Held-out starts of all samples together by which the pooled model is calibrated.
MOST_HELD_OUT = 200_000
#: What the pooled model is called in progress.
POOLED = "pooled model"
#: What it is fitted to, as messages put it.
ALL_SAMPLES = "all samples together"
#: A sample whose starts weigh this many times those of an average one is named in a warning.
HEAVY = 20.0


@dataclass(frozen=True, slots=True)
class _Own:
    """A sample's own model: its backend, and how it was judged."""

    backend: str
    judged: Judged


@dataclass(frozen=True, slots=True)
class _Pool:
    """The windows of all samples, pooled for one read end.

    Args:
        sample: the windows.
        shares: each sample's share.
        factors: what each sample's weights were multiplied by.
        own: each sample's own model; None where there is none.
    """

    sample: FoldedSample
    shares: Sequence[float]
    factors: Sequence[float]
    own: Sequence[_Own | None]


class Trainer:
    """Fit the pooled model of each read end, and compare it with the samples' own."""

    def __init__(self, reader: CohortReader, options: TrainOptions) -> None:
        self.reader, self.options = reader, options
        self.bias = reader.inputs.bias_inputs
        self.folds: dict[str, Folds] = {}
        self.gains: list[SampleGain] = []
        self.ends: list[dict[str, Any]] = []

    @property
    def _seed(self) -> int:
        return self.bias.options.seed

    @property
    def _threads(self) -> int:
        return self.bias.options.threads

    def train(self, begin: float) -> Cohort:
        """Fit and judge all models; ``begin`` is when the run began, for the report."""
        reader = self.reader
        while self._drop_untrainable():
            continue
        if not reader.samples:
            raise InputError(
                "no sample has a read start that can be learnt from",
                remedy="check -s, -t and -i, and that the alignments fit the annotation",
            )
        fewest = min(sum(one.starts[label] for one in reader.samples) for label in reader.labels)
        choice = choice_for_starts(self.bias.choice, fewest, self.bias.manager)
        if fewest < FEW_STARTS:
            reader.warn(
                f"only {fewest:,} distinct read starts in all samples (fewer than "
                f"{FEW_STARTS:,}): expect a noisy model"
            )
        each = [[label] for label in reader.labels]
        groups = [list(reader.labels)] if self._trains_together(choice) else each
        models = tuple(model for labels in groups for model in self._train_ends(labels, choice))
        order = {label: i for i, label in enumerate(reader.labels)}
        self.gains.sort(key=lambda row: (row.sample, order[row.end]))
        model = self._model_file(choice, models)
        gains, warnings = tuple(self.gains), tuple(reader.warnings)
        seconds = time.perf_counter() - begin
        found = Findings(reader.paths, reader.skipped, self.ends, gains, warnings, seconds)
        report = train_report(model, reader.inputs.options, self.options, found)
        return Cohort(model, gains, dict(reader.skipped), report, warnings)

    def _model_file(self, choice: ModelChoice, models: tuple[EndModel, ...]) -> ModelFile:
        names = tuple(sample.name for sample in self.reader.samples)
        scheme = self.bias.options.sampling
        training = Training(names, self._seed, scheme, version("counterbias"))
        return ModelFile(
            choice.backend, choice.distribution, choice.version, choice.window, models, training
        )

    def _drop_untrainable(self) -> bool:
        """Make the folds, and leave out the first sample without a window in them, if there is one.

        The folds are then to be made once more: the other samples must not depend on it.
        """
        reader = self.reader
        self.folds = {label: reader.folds(label) for label in reader.labels if reader.samples}
        for sample in reader.samples:
            for label in reader.labels:
                windows = self._folded(sample, label).windows
                if not len(windows.foreground) or not len(windows.background):
                    reader.samples.remove(sample)
                    reader.skip(
                        sample.name,
                        "no read start can be learnt from: none has its window and background "
                        "within a block",
                    )
                    return True
        return False

    def _folded(self, sample: CohortSample, label: str) -> FoldedWindows:
        choice = self.bias.choice
        drawn = self.reader.store.get(sample.number, label)
        return drawn.fold(choice.window, self.folds[label], choice.model.judging_folds)

    def _each(self, label: str) -> Iterator[tuple[CohortSample, FoldedWindows]]:
        """Yield the samples with their windows, one at a time."""
        for sample in self.reader.samples:
            yield sample, self._folded(sample, label)

    def _trains_together(self, choice: ModelChoice) -> bool:
        """Whether the pooled models of all read ends are to be fitted with one call.

        Otherwise the windows of one read end at a time are in memory.
        """
        with blaming(choice.backend, ALL_SAMPLES, "was prepared for"):
            model = choice.model(choice.window, choice.options)
            model.resources = Resources(self._threads, self.bias.options.device)
            return model.trains_together()

    def _train_ends(self, labels: Sequence[str], choice: ModelChoice) -> list[EndModel]:
        """Fit and judge the pooled models of read ends."""
        pools = []
        for label in labels:
            pools.append(self._pool(label))
            of = "" if label == "both" else f" of {label}"
            self.reader.messages.info(
                f"fitting one {choice.backend} model{of} to "
                f"{len(pools[-1].sample.foreground_parts):,} windows of "
                f"{len(self.reader.samples)} samples"
            )
        every = {label: pool.sample for label, pool in zip(labels, pools, strict=True)}
        models = []
        for label, pool, fitted in zip(
            labels, pools, self._fit(choice, every, POOLED), strict=True
        ):
            self._pass_on(POOLED, fitted, choice, label)
            models.append(self._judge_pooled(label, fitted, pool))
        return models

    def _pool(self, label: str) -> _Pool:
        """Pool the windows of all samples, and fit the samples' own models on the way."""
        number, by_reads = self.reader.numbers[label], self.options.pool == "reads"
        shares = [float(one.reads[label]) if by_reads else 1.0 for one in self.reader.samples]
        sizes = [(len(one.windows), len(one.sample.tile_parts)) for _, one in self._each(label)]
        most = even_cap([starts for starts, _ in sizes], MOST_STARTS)
        most_tiles = even_cap([tiles for _, tiles in sizes], MOST_TILES)
        parts, own = [], []
        for i, (sample, folded) in enumerate(self._each(label)):
            own.append(self._own(sample, label, folded) if self.options.own else None)
            rng = np.random.default_rng([self._seed, 4, number, i])
            starts, tiles = sizes[i]
            share, tile_share = min(1.0, most / starts), min(1.0, most_tiles / max(tiles, 1))
            parts.append(thin(folded.sample, share, tile_share, rng))
        scale = factors([float(part.everything.foreground_weight.sum()) for part in parts], shares)
        self._warn_of_heavy(scale, [len(part.foreground_parts) for part in parts])
        pooled = pool_samples(parts, shares, np.random.default_rng([self._seed, 5, number]))
        return _Pool(pooled, shares, scale, own)

    def _fit(
        self, choice: ModelChoice, samples: Mapping[str, FoldedSample], name: str
    ) -> list[CrossFitted]:
        """Fit models to the windows of read ends with one call. Raises InputError."""
        progress = self.reader.messages.progress_of(name)
        resources = Resources(self._threads, self.bias.options.device, progress)
        ends = []
        for label, sample in samples.items():
            number = self.reader.numbers[label]
            rng = np.random.default_rng([self._seed, 2, number])
            folded = replace(sample, folds=choice.model.judging_folds)
            ends.append(EndSample(folded, number, rng))
        what = ALL_SAMPLES if name == POOLED else name
        with blaming(choice.backend, what, "was fitted to"):
            return [fitted_or_raise(one) for one in cross_fit_together(choice, ends, resources)]

    def _own(self, sample: CohortSample, label: str, folded: FoldedWindows) -> _Own | None:
        """Fit a sample's own model, and judge it; None where it cannot be fitted."""
        fewest = min(sample.starts.values())
        choice = choice_for_starts(self.bias.choice, fewest, self.bias.manager)
        try:
            (fitted,) = self._fit(choice, {label: folded.sample}, sample.name)
        except InputError as error:
            self.reader.warn(f"{sample.name} has no model of its own: {error.problem}")
            return None
        self._pass_on(sample.name, fitted, choice, label)
        return _Own(choice.backend, judge(fitted, folded, threads=self._threads))

    def _pass_on(self, name: str, fitted: CrossFitted, choice: ModelChoice, label: str) -> None:
        """Warn the user of what a model remarks on its fit."""
        for text in remarks_of(fitted.report, choice.backend, label):
            self.reader.warn(f"{name}: {text}")

    def _judge_pooled(self, label: str, fitted: CrossFitted, pool: _Pool) -> EndModel:
        """Judge the pooled model sample by sample, then calibrate it on all of them."""
        samples, threads = self.reader.samples, self._threads
        evidence: list[Evidence] = []
        limit = MOST_HELD_OUT // len(samples)
        for i, (sample, folded) in enumerate(self._each(label)):
            judged = judge(fitted, folded, threads=threads)
            gain = _compared(sample, label, judged, pool.own[i])
            self.gains.append(replace(gain, factor=pool.factors[i]))
            rng = np.random.default_rng([self._seed, 6, self.reader.numbers[label], i])
            evidence.append(evidence_of(judged, fitted.model, limit, rng, threads=threads))
        calibration = calibrate_pooled(evidence, pool.shares)
        if not calibration.applied:
            of = "" if label == "both" else f" of {label}"
            self.reader.warn(
                f"the pooled model{of} is not shown to gain anything in all samples together: "
                f"{calibration.reason}"
            )
        self.ends.append(self._describe_end(label, fitted, calibration, evidence))
        return EndModel(
            label=label,
            model=fitted.model,
            offset=-calibration.constant if calibration.applied else 0.0,
            slope=calibration.slope if calibration.applied else 0.0,
            starts=sum(sample.starts[label] for sample in samples),
            held_out_gain=calibration.gain if math.isfinite(calibration.gain) else None,
        )

    def _warn_of_heavy(self, scale: Sequence[float], starts: Sequence[int]) -> None:
        for sample, factor, count in zip(self.reader.samples, scale, starts, strict=True):
            if factor > HEAVY:
                self.reader.warn(
                    f"{sample.name}: its {count:,} starts for training weigh {factor:.0f} times as "
                    "much as an average start, so that the sample has its share; --bias-pool reads "
                    "weighs samples by their reads"
                )

    def _describe_end(
        self,
        label: str,
        fitted: CrossFitted,
        calibration: Calibration,
        evidence: Sequence[Evidence],
    ) -> dict[str, Any]:
        """Return a read end's entry in the report."""
        folds, pooled = self.folds[label], fitted.sample
        report = fitted.report or FitReport(0.0, 0)
        check = int((pooled.foreground_parts[:, 0] == 1).sum())
        return {
            "end": label,
            "block": folds.block,
            "blocks": len(folds.keys),
            "training_starts": len(pooled.foreground_parts) - check,
            "validation_starts": check,
            "tiles": len(pooled.tile_parts),
            "held_out_starts": sum(len(one.windows.starts) for one in evidence),
            "calibration": {name: getattr(calibration, name) for name in CALIBRATION},
            "training": {
                "seconds": report.seconds,
                "parameters": report.parameters,
                "curves": report.curves,
                "perplexity": report.perplexity,
                "details": report.details,
            },
        }


def _compared(sample: CohortSample, label: str, judged: Judged, own: _Own | None) -> SampleGain:
    """Compare the pooled model with the sample's own; the factor is still to be set."""
    difference = difference_error = own_gain = own_error = math.nan
    if own is not None:
        own_gain = own.judged.calibration.gain
        own_error = own.judged.calibration.gain_error
        difference, difference_error = judged.better_than(own.judged)
    return SampleGain(
        sample=sample.name,
        end=label,
        starts=sample.starts[label],
        reads=sample.reads[label],
        held_out_starts=judged.calibration.starts,
        factor=1.0,
        own_model=None if own is None else own.backend,
        own=own_gain,
        own_error=own_error,
        pooled=judged.calibration.gain,
        pooled_error=judged.calibration.gain_error,
        difference=difference,
        difference_error=difference_error,
    )
