"""Many samples → one pooled bias model, and for each sample what such a model gains on genome that it did not see.

The folds are made once, over the starts of all samples, so that a fold that a model does not see is kept from it in every sample. Each
file is read once; the windows drawn from it wait on disk (:mod:`counterbias.pipeline.train.window_store`) until the folds are known.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.evaluation.folds import Folds
from counterbias.inputs import read_again
from counterbias.messages import ProgressCallback
from counterbias.model import Resources
from counterbias.model_file import EndModel, ModelFile, Training, is_model_file
from counterbias.options import AnnotationOptions, BiasOptions, CountingOptions
from counterbias.pipeline.bias.auto import AUTO
from counterbias.pipeline.bias.cross_fitting import CrossFitted, blaming, cross_fit, score_unseen
from counterbias.pipeline.bias.fitting import FEW_STARTS, ModelChoice, choice_for_starts
from counterbias.pipeline.bias.held_out import calibrate_scores, gain_blocks
from counterbias.pipeline.count import Say, needed_again, open_job
from counterbias.pipeline.train.pooling import (
    MOST_STARTS,
    MOST_TILES,
    even_cap,
    factors,
    pool_samples,
    thin,
)
from counterbias.pipeline.train.reader import CohortReader, CohortSample
from counterbias.pipeline.train.window_store import WindowStore
from counterbias.records import FitReport, FoldedSample
from counterbias.sampling import FoldedWindows, Windows
from counterbias.scoring import score
from counterbias.weights import (
    Calibration,
    HeldOutScores,
    calibrate,
    mean_over_blocks,
    recentred,
    start_gains,
)
from counterbias.writers.training import TAG, VERSION

#: What ``--bias-pool`` may say: samples weigh the same, or as their reads.
POOLS = ("samples", "reads")
#: Held-out starts of all samples together by which the pooled model is calibrated.
MOST_HELD_OUT = 200_000
#: What the pooled model is called in progress.
POOLED = "pooled model"
#: A sample whose starts weigh so many times those of an average one is named in a warning.
HEAVY = 20.0


@dataclass(frozen=True, slots=True)
class SampleGain:
    """What the models gain on one end class of one sample, each start judged by models that saw its fold in no sample.

    Gains are bits per start, as in the QC file, of the models as they are (slope 1); NaN where not measured.

    Args:
        sample, end: names.
        starts, reads: distinct trainable starts (of a large sample those looked at) and trainable reads.
        held_out_starts: starts with background that the gains are means over.
        factor: what the weights of the sample's windows were multiplied by in the pool.
        own_model: backend of the sample's own model; None without one.
        own, own_error: gain of the own model and its standard error.
        pooled, pooled_error: of the pooled model.
        difference, difference_error: pooled − own, start by start, and its standard error.
    """

    sample: str
    end: str
    starts: int
    reads: int
    held_out_starts: int
    factor: float
    own_model: str | None
    own: float
    own_error: float
    pooled: float
    pooled_error: float
    difference: float
    difference_error: float

    @property
    def better(self) -> str | None:
        """Name the model that is better by two standard errors: ``pooled``, ``own`` or ``neither``; None where not compared."""
        if not math.isfinite(self.difference) or not math.isfinite(self.difference_error):
            return None
        if abs(self.difference) <= 2 * self.difference_error:
            return "neither"
        return "pooled" if self.difference > 0 else "own"


@dataclass(frozen=True, slots=True)
class Cohort:
    """What training on several samples gave.

    Args:
        model: the pooled model, for :func:`counterbias.save_models`.
        gains: one per sample and end class, sorted by sample.
        skipped: sample → why nothing was learnt from it.
        report: the JSON document.
        warnings: what the user should know, one line each.
    """

    model: ModelFile
    gains: tuple[SampleGain, ...]
    skipped: Mapping[str, str]
    report: dict[str, Any]
    warnings: tuple[str, ...]


def train_files(
    paths: Sequence[str],
    choice: AnnotationOptions,
    options: CountingOptions,
    bias: BiasOptions,
    *,
    samples: Sequence[str],
    pool: str = "reads",
    own: bool = True,
    alias_file: str | None = None,
    quiet: bool = False,
    say: Say = lambda text: None,
    command_line: str = "",
    progress: ProgressCallback | None = None,
) -> Cohort:
    """Fit one model to several alignment files.

    Neither the order of the files nor the number of threads changes the result.

    Args:
        paths, choice, options, alias_file, quiet, say, command_line, progress: as in :func:`~counterbias.pipeline.count.count_files`.
        bias: the model; its ``cap`` and ``ends`` do not matter here.
        samples: a name for each file, all different.
        pool: one of :data:`POOLS`.
        own: also fit each sample's own model, for comparison.

    Raises:
        InputError: for everything that a user can mend.
    """
    _check_request(paths, samples, bias.model, pool)
    begin = time.perf_counter()
    with read_again(*needed_again(choice, bias)):
        job = open_job(
            paths,
            choice,
            options,
            bias=bias,
            reference=bias.genome,
            alias_file=alias_file,
            threads=bias.threads,
            quiet=quiet,
            say=say,
            command_line=command_line,
            progress=progress,
        )
        with WindowStore() as stash:
            intake = CohortReader(job, stash, say)
            for number, (sample, path) in enumerate(sorted(zip(samples, paths, strict=True))):
                intake.take(number, sample, path, len(paths))
            return Trainer(intake, pool, own).train(begin)


def _check_request(paths: Sequence[str], samples: Sequence[str], model: str, pool: str) -> None:
    """Refuse what cannot be done, before any file is opened."""
    if pool not in POOLS:
        raise InputError(
            f"'{pool}' is no way to pool samples", remedy=f"choose one of {', '.join(POOLS)}"
        )
    if is_model_file(model):
        raise InputError(
            "a model file cannot be trained",
            file=model,
            remedy="name a backend of `counterbias models`",
        )
    known: dict[str, str] = {}
    for sample, path in zip(samples, paths, strict=True):
        if sample in known:
            raise InputError(
                f"two alignment files are both named '{sample}': {known[sample]} and {path}",
                remedy="give each sample once, by a file name of its own (a link will do)",
            )
        known[sample] = path


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of a sample's windows, nats. Args: foreground, background: by models that did not see them; again: background by the model
    itself.
    """

    foreground: NDArray[np.float64]
    background: NDArray[np.float64]
    again: NDArray[np.float64]


@dataclass(slots=True)
class Judged:
    """A model's gains on the held-out part of one sample."""

    bits: NDArray[np.float64]
    calibration: Calibration
    foreground: NDArray[np.float64]
    background: NDArray[np.float64]


class Trainer:
    """Fit the pooled model of each end class, and compare it with the samples' own."""

    def __init__(self, intake: CohortReader, pool: str, own: bool) -> None:
        self.intake, self.pool, self.own = intake, pool, own
        self.plan = intake.plan
        self.options = intake.plan.options
        self.window = intake.plan.kind.window
        self.folds: dict[str, Folds] = {}
        self.gains: list[SampleGain] = []
        self.ends: list[dict[str, Any]] = []

    def train(self, begin: float) -> Cohort:
        """Do it all. ``begin`` is when the run began, for the report."""
        members, intake = self.intake.members, self.intake
        while self._drop_untrainable():
            continue
        if not members:
            raise InputError(
                f"no read start can be learnt from in any of {len(intake.skipped)} samples",
                remedy="check -s, -t and -i, and that the alignments fit the annotation",
            )
        fewest = min(sum(member.starts[label] for member in members) for label in intake.labels)
        kind = choice_for_starts(self.plan.kind, fewest, self.plan.manager)
        if fewest < FEW_STARTS:
            intake.warn(
                f"only {fewest:,} distinct read starts in all samples (fewer than {FEW_STARTS:,}): expect a noisy model"
            )
        models = tuple(self._train_end(label, kind) for label in intake.labels)
        order = {label: i for i, label in enumerate(intake.labels)}
        self.gains.sort(key=lambda row: (row.sample, order[row.end]))
        intake.warnings.extend(self.plan.manager.problems)
        self.plan.manager.problems.clear()
        from importlib.metadata import version

        training = Training(
            tuple(member.name for member in members),
            self.options.seed,
            self.options.sampling,
            version("counterbias"),
        )
        model = ModelFile(
            kind.backend, kind.distribution, kind.version, self.window, models, training
        )
        report = self._report(model, begin)
        return Cohort(
            model, tuple(self.gains), dict(intake.skipped), report, tuple(intake.warnings)
        )

    def _drop_untrainable(self) -> bool:
        """Make the folds, and leave out the first sample without a window in them; tell whether there was one.

        The folds are then made once more: the others must not depend on it.
        """
        members = self.intake.members
        self.folds = (
            {label: self.intake.folds(label) for label in self.intake.labels} if members else {}
        )
        for member in members:
            for label in self.intake.labels:
                windows = self._folded(member, label).windows
                if not len(windows.foreground) or not len(windows.background):
                    members.remove(member)
                    self.intake.skip(
                        member.name,
                        "no read start can be learnt from: none has its window and background within a block",
                    )
                    return True
        return False

    def _folded(self, member: CohortSample, label: str) -> FoldedWindows:
        return self.intake.stash.get(member.number, label).fold(
            self.window, self.folds[label], self.plan.kind.model.judging_folds
        )

    def _each(self, label: str) -> Iterator[tuple[CohortSample, FoldedWindows]]:
        """Give the samples with their windows, one at a time."""
        for member in self.intake.members:
            yield member, self._folded(member, label)

    def _train_end(self, label: str, kind: ModelChoice) -> EndModel:
        """Fit and judge the pooled model of one end class."""
        members, number = self.intake.members, self.intake.numbers[label]
        shares = [
            1.0 if self.pool == "samples" else float(member.reads[label]) for member in members
        ]
        sizes = [
            (len(folded.windows), len(folded.sample.tile_parts)) for _, folded in self._each(label)
        ]
        most, most_tiles = (
            even_cap([size[0] for size in sizes], MOST_STARTS),
            even_cap([size[1] for size in sizes], MOST_TILES),
        )
        parts, owns = [], []
        for i, (member, folded) in enumerate(self._each(label)):
            owns.append(self._own(member, label, folded) if self.own else None)
            rng = np.random.default_rng([self.options.seed, 4, number, i])
            starts, tiles = sizes[i]
            parts.append(
                thin(
                    folded.sample,
                    min(1.0, most / starts),
                    min(1.0, most_tiles / max(tiles, 1)),
                    rng,
                )
            )
        scale = factors([float(part.everything.foreground_weight.sum()) for part in parts], shares)
        self._warn_of_heavy(scale, [len(part.foreground_parts) for part in parts])
        pooled = pool_samples(parts, shares, np.random.default_rng([self.options.seed, 5, number]))
        parts.clear()
        if not self.intake.job.quiet:
            of = "" if label == "both" else f" of {label}"
            self.intake.say(
                f"fitting one {kind.backend} model{of} to {len(pooled.foreground_parts):,} windows of {len(members)} samples"
            )
        fitted = self._fit(kind, pooled, number, POOLED)
        return self._judge_pooled(label, fitted, owns, scale, shares)

    def _fit(self, kind: ModelChoice, sample: FoldedSample, number: int, name: str) -> CrossFitted:
        progress = self.intake.job.progress
        resources = Resources(
            threads=self.options.threads,
            device=self.options.device,
            progress=None
            if progress is None
            else lambda stage, done, total: progress(f"{name}: {stage}", done, total),
        )
        folds = replace(sample, folds=kind.model.judging_folds)
        with blaming(
            kind.backend, "all samples together" if name == POOLED else name, "was fitted to"
        ):
            return cross_fit(
                kind,
                folds,
                number,
                np.random.default_rng([self.options.seed, 2, number]),
                resources,
            )

    def _own(
        self, member: CohortSample, label: str, folded: FoldedWindows
    ) -> tuple[str, Judged] | None:
        """Fit a sample's own model, and judge it; None where it cannot be fitted."""
        kind = choice_for_starts(self.plan.kind, min(member.starts.values()), self.plan.manager)
        try:
            fitted = self._fit(kind, folded.sample, self.intake.numbers[label], member.name)
        except InputError as error:
            self.intake.warn(f"{member.name} has no model of its own: {error.problem}")
            return None
        return kind.backend, self._judge(fitted, folded)

    def _judge(self, fitted: CrossFitted, folded: FoldedWindows) -> Judged:
        """Score a sample's windows by models that did not see their fold, and measure the gain."""
        windows = folded.windows
        sample = replace(folded.sample, folds=fitted.sample.folds)
        foreground, background = score_unseen(
            fitted.judges, sample, windows, threads=self.options.threads
        )
        calibration = calibrate_scores(foreground, background, windows)
        return Judged(
            start_gains(foreground, background, windows.origin), calibration, foreground, background
        )

    def _judge_pooled(
        self,
        label: str,
        fitted: CrossFitted,
        owns: Sequence[tuple[str, Judged] | None],
        scale: Sequence[float],
        shares: Sequence[float],
    ) -> EndModel:
        """Judge the pooled model sample by sample, then calibrate it on all of them."""
        members = self.intake.members
        scored: list[Windows] = []
        values: list[Scores] = []
        limit = MOST_HELD_OUT // len(members)
        for i, (member, folded) in enumerate(self._each(label)):
            part = folded.windows
            judged = self._judge(fitted, folded)
            self.gains.append(_compared(member, label, part, judged, owns[i], scale[i]))
            rng = np.random.default_rng([self.options.seed, 6, self.intake.numbers[label], i])
            kept, rows, back = _fewer(part, limit, rng)
            scored.append(kept)
            again = score(fitted.model, part.background[back], threads=self.options.threads)
            values.append(Scores(judged.foreground[rows], judged.background[back], again))
        calibration = _calibrate_all(scored, values, shares)
        if not calibration.applied:
            of = "" if label == "both" else f" of {label}"
            self.intake.warn(
                f"the pooled model{of} is not shown to gain anything in all samples together: {calibration.reason}"
            )
        self.ends.append(self._describe_end(label, fitted, calibration, scored))
        gain = calibration.gain
        return EndModel(
            label=label,
            model=fitted.model,
            offset=-calibration.constant if calibration.applied else 0.0,
            slope=calibration.slope if calibration.applied else 0.0,
            starts=sum(member.starts[label] for member in members),
            held_out_gain=gain if math.isfinite(gain) else None,
        )

    def _warn_of_heavy(self, scale: Sequence[float], starts: Sequence[int]) -> None:
        for member, factor, count in zip(self.intake.members, scale, starts, strict=True):
            if factor > HEAVY:
                self.intake.warn(
                    f"{member.name}: its {count:,} starts for training weigh {factor:.0f} times as much as an average start, so that the "
                    "sample has its share; --bias-pool reads weighs samples by their reads"
                )

    def _describe_end(
        self, label: str, fitted: CrossFitted, calibration: Calibration, scored: Sequence[Windows]
    ) -> dict[str, Any]:
        split, pooled = self.folds[label], fitted.sample
        told = fitted.report or FitReport(0.0, 0)
        check = int((pooled.foreground_parts[:, 0] == 1).sum())
        return {
            "end": label,
            "block": split.block,
            "blocks": len(split.keys),
            "training_starts": len(pooled.foreground_parts) - check,
            "validation_starts": check,
            "tiles": len(pooled.tile_parts),
            "held_out_starts": sum(len(part.starts) for part in scored),
            "calibration": {
                name: getattr(calibration, name)
                for name in ("applied", "reason", "slope", "constant", "gain", "gain_error")
            },
            "training": {
                "seconds": told.seconds,
                "parameters": told.parameters,
                "curves": told.curves,
                "perplexity": told.perplexity,
                "details": told.details,
            },
        }

    def _report(self, model: ModelFile, begin: float) -> dict[str, Any]:
        job = self.intake.job
        mine = {
            name: value
            for name, value in asdict(self.options).items()
            if name not in ("threads", "window", "cap", "ends")
        }
        return {
            TAG: list(VERSION),
            "version": model.training.counterbias_version,
            "command_line": job.command_line,
            "inputs": {
                "alignments": dict(self.intake.paths),
                "annotation": job.choice.path,
                "genome": self.options.genome,
            },
            "options": {
                **asdict(job.options),
                **{f"bias_{name}": value for name, value in mine.items()},
                "bias_pool": self.pool,
            },
            "model": {
                "backend": model.backend,
                "distribution": model.distribution,
                "version": model.version,
                "options": asdict(model.options),
                "upstream": model.window.upstream,
                "downstream": model.window.downstream,
                "auto": self.options.model == AUTO,
            },
            "samples": list(model.training.samples),
            "skipped": [
                {"sample": sample, "reason": reason}
                for sample, reason in self.intake.skipped.items()
            ],
            "ends": self.ends,
            "gains": [{**asdict(row), "better": row.better} for row in self.gains],
            "summary": summarise(self.gains),
            "warnings": list(self.intake.warnings),
            "run": {"seconds": time.perf_counter() - begin, "threads": self.options.threads},
        }


def summarise(gains: Sequence[SampleGain]) -> dict[str, Any]:
    """Give the mean difference pooled − own over samples and end classes, its standard error, and how many are better with which."""
    compared = [row for row in gains if row.better is not None]
    differences = np.array([row.difference for row in compared])
    error = (
        float(differences.std(ddof=1) / math.sqrt(len(differences)))
        if len(differences) > 1
        else math.nan
    )
    return {
        "compared": len(compared),
        "difference": float(differences.mean()) if len(differences) else math.nan,
        "difference_error": error,
        **{
            which: sum(row.better == which for row in compared)
            for which in ("pooled", "own", "neither")
        },
    }


def _compared(
    member: CohortSample,
    label: str,
    part: Windows,
    judged: Judged,
    own: tuple[str, Judged] | None,
    factor: float,
) -> SampleGain:
    """Compare the pooled model with the sample's own, start by start."""
    nothing = math.nan
    difference = difference_error = own_gain = own_error = nothing
    if own is not None:
        own_gain, own_error = own[1].calibration.gain, own[1].calibration.gain_error
        difference, difference_error = mean_over_blocks(
            judged.bits - own[1].bits, part.foreground_weight, gain_blocks(part.starts)
        )
    return SampleGain(
        sample=member.name,
        end=label,
        starts=member.starts[label],
        reads=member.reads[label],
        held_out_starts=judged.calibration.starts,
        factor=factor,
        own_model=None if own is None else own[0],
        own=own_gain,
        own_error=own_error,
        pooled=judged.calibration.gain,
        pooled_error=judged.calibration.gain_error,
        difference=difference,
        difference_error=difference_error,
    )


def _fewer(
    part: Windows, most: int, rng: np.random.Generator
) -> tuple[Windows, NDArray[np.int64], NDArray[np.int64]]:
    """Keep at most so many held-out starts, with their background; gives the kept rows of both as well."""
    rows = np.arange(len(part.foreground), dtype=np.int64)
    if len(rows) > most:
        rows = np.sort(rng.choice(rows, most, replace=False))
    new = np.full(len(part.foreground), -1, np.int64)
    new[rows] = np.arange(len(rows))
    back = np.flatnonzero(new[part.origin] >= 0)
    kept = Windows(
        part.foreground[:0],
        part.foreground_weight[rows],
        part.background[:0],
        part.background_weight[back],
        new[part.origin[back]],
        part.starts.take(rows),
    )
    return kept, rows, back


def _calibrate_all(
    parts: Sequence[Windows], values: Sequence[Scores], shares: Sequence[float]
) -> Calibration:
    """Calibrate on the held-out windows of all samples, each with its share of the weight."""
    scale = factors([float(part.foreground_weight.sum()) for part in parts], shares)
    first = np.concatenate(([0], np.cumsum([len(part.foreground_weight) for part in parts])))
    background_weight = np.concatenate(
        [part.background_weight * by for part, by in zip(parts, scale, strict=True)]
    )
    scores = HeldOutScores(
        np.concatenate([one.foreground for one in values]),
        np.concatenate([one.background for one in values]),
        np.concatenate(
            [part.foreground_weight * by for part, by in zip(parts, scale, strict=True)]
        ),
        background_weight,
        np.concatenate([part.origin + begin for part, begin in zip(parts, first, strict=False)]),
        np.concatenate([gain_blocks(part.starts) for part in parts]),
    )
    return recentred(
        calibrate(scores), np.concatenate([one.again for one in values]), background_weight
    )
