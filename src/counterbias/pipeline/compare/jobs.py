"""One trial of one model: what it is, what its result holds, and whose fault a failure is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import NDArray

from counterbias.errors import InputError
from counterbias.options import Device
from counterbias.pipeline.bias.choice import ModelChoice
from counterbias.pipeline.bias.ends import ReadEnd
from counterbias.pipeline.compare.cache import describe_model
from counterbias.pipeline.compare.candidates import guarded
from counterbias.pipeline.compare.design import Design, PreparedSample
from counterbias.pipeline.compare.evaluation import Evaluated, FoldSample, Trial
from counterbias.pipeline.compare.outcome import FAILED, Outcome, finite_or_none
from counterbias.pipeline.compare.trial_models import keep_calibration, model_arrays

#: What is kept of a trial: a mapping as JSON can hold it, and the model's arrays, name → array.
Kept = tuple[dict[str, Any], dict[str, NDArray[Any]]]


@dataclass(frozen=True, slots=True)
class Job:
    """One trial of one model on one read end.

    Args:
        outcome: the model's.
        choice: the model, guarded.
        end, folds: the read end, and its sample.
        trial: the fold and the seed.
        device: where it is trained.
        key: what its result depends on, for the cache.
    """

    outcome: Outcome
    choice: ModelChoice
    end: ReadEnd
    folds: FoldSample
    trial: Trial
    device: Device
    key: Mapping[str, Any]

    @property
    def place(self) -> str:
        """The trial, as messages name it."""
        return f"fold {self.trial.fold}, seed {self.trial.seed}"


def jobs_of(sample: PreparedSample, outcomes: Sequence[Outcome], design: Design) -> Iterator[Job]:
    """Yield the trials of all models, except for read ends that nothing can be learnt from."""
    for outcome in outcomes:
        choice = outcome.candidate.choice
        assert choice is not None
        described = describe_model(choice)
        fitted_here = guarded(choice) if choice.fitted is None else None
        for end, folds in sample.ends:
            if end.label in outcome.count["nothing"]:
                continue
            guarded_choice = fitted_here or guarded(choice, number=end.numbers[0])
            for fold in design.folds:
                for seed in design.seeds:
                    trial = Trial(fold, seed, sampling=design.sampling)
                    key = {
                        "what": "trial",
                        "sample": sample.digest,
                        "model": described,
                        "end": end.label,
                        **asdict(trial),
                        "device": design.device,
                    }
                    yield Job(outcome, guarded_choice, end, folds, trial, design.device, key)


@contextmanager
def noting(job: Job, number: int, problems: dict[int, str], place: str = "") -> Iterator[None]:
    """Note what goes wrong in the block, which then ends.

    A lack of reads is a problem of the trial, any other exception a failure of the model.

    Args:
        job: the trial.
        number: its number.
        problems: gets (number → problem) where reads are lacking.
        place: what was done, if not this trial alone.
    """
    place = place or job.place
    try:
        yield
    except InputError as problem:
        problems[number] = " ".join(f"{place}: {problem.line()}".split())
    except (Exception, SystemExit) as problem:  # a plug-in may raise anything
        job.outcome.give_up(FAILED, f"{place}: {type(problem).__name__}: {problem}")


def result_of(job: Job, evaluated: Evaluated) -> Kept:
    """Return what is kept of a trial.

    The model is among it, so that other genes can be drawn later without another fit.
    """
    perplexity = {
        f"perplexity_{name}": value
        for name, value in evaluated.report.perplexity.items()
        if name in ("foreground", "background")
    }
    gain = evaluated.calibrated_cap5
    values = {
        **asdict(evaluated.accuracy),
        "gain_used": gain if math.isfinite(gain) else 0.0,
        "gate_open": float(evaluated.calibration.applied),
        "reliability_slope": evaluated.reliability.slope,
        "perplexity_foreground": None,
        "perplexity_background": None,
        **perplexity,
    }
    result = {
        "fold": job.trial.fold,
        "seed": job.trial.seed,
        "end": job.end.label,
        "values": {name: finite_or_none(value) for name, value in values.items()},
        "reliability": evaluated.reliability.report()["bins"],
        "seconds": evaluated.report.seconds,
        "parameters": evaluated.report.parameters,
        "windows_per_second": evaluated.windows_per_second,
        "remarks": list(evaluated.report.remarks),
        "calibration": keep_calibration(evaluated.calibration),
    }
    return result, model_arrays(job.outcome.candidate, evaluated.model)
