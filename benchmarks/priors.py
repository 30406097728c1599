r"""Blend models of few read starts with a model of another library, and evaluate all three.

    python benchmarks/priors.py --data rlp5 --prior fly --starts 300,1000,3000,10000,all
    python benchmarks/priors.py --data fly --models cnn --partner bayesnet --starts all \
        --folds 1,2,3,4

The sample's own model, the prior and the blend are evaluated on blocks that none of them was
trained on. The prior is fitted to four fifths of a library of another organism, so it cannot know
the positions on which it is evaluated. Coefficients, slope and gate are determined as
`counterbias count --bias-prior` does, on the starts outside the held-out fold, each scored by a
model of this sample that was not trained on it; nothing depends on the held-out fold. With
``--partner``, the other model is not a prior but another backend fitted to the same starts and
evaluated in the same way: an ensemble of two with learnt weights. The data are those of
COUNTERBIAS_DATA; docs/explanation/priors.md has the results.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_samples import DATASETS, load_sample
from numpy.typing import NDArray
from shared import log, markdown, whole_numbers, write_json

from counterbias.blend import Blend
from counterbias.evaluation import measures
from counterbias.model import BiasModel, Resources
from counterbias.model_file import EndModel
from counterbias.options import AUTO, FOLDS
from counterbias.pipeline.bias.choice import ModelChoice, choice_for_starts, choose_model
from counterbias.pipeline.bias.cross_fitting import CrossFitted, cross_fit
from counterbias.pipeline.bias.held_out import calibrate_on_held_out, calibrate_scores
from counterbias.pipeline.bias.prior import blend
from counterbias.pipeline.compare.candidates import find_candidates
from counterbias.pipeline.compare.evaluation import FoldSample, Trial, fold_trial
from counterbias.plugins import Manager, load_plugins
from counterbias.records import Window
from counterbias.sampling import Windows
from counterbias.scoring import score
from counterbias.weights import Calibration, best_shares

WINDOW = Window(10, 10)
COLUMNS = ("own", "other", "blend")
#: The part of a sample that lies outside the held-out fold.
LEARNT = 1 - 1 / FOLDS

#: Scores of starts and background, nats.
Scores = tuple[NDArray[np.float64], NDArray[np.float64]]


def fit(
    kind: ModelChoice, sample: FoldSample, trial: Trial, threads: int
) -> tuple[CrossFitted, Windows]:
    """Fit a model, and those for evaluation, without the held-out fold.

    Returns them together with the windows that they were trained on.
    """
    folded = fold_trial(kind, sample, trial)
    return cross_fit(
        kind, folded.sample, 0, np.random.default_rng([trial.seed, 2]), Resources(threads)
    ), folded.windows


def mix(
    models: tuple[BiasModel, BiasModel], scores: tuple[Scores, Scores], windows: Windows
) -> tuple[Blend, Calibration]:
    """Blend two models of the same starts, by the scores of cross-fitted models."""
    foreground, background = (np.stack(pair, axis=1) for pair in zip(*scores, strict=True))
    shares = best_shares(foreground, background, windows.foreground_weight, windows.origin)
    return Blend(*models, *shares.tolist()), calibrate_scores(
        foreground @ shares, background @ shares, windows, own=True
    )


def run_trial(
    kind: ModelChoice, sample: FoldSample, trial: Trial, other: EndModel | ModelChoice, threads: int
) -> dict[str, float]:
    """Evaluate the sample's own model, another one and their blend in one fold.

    ``other``: a prior, or a backend to fit to the same starts.
    """
    own, windows = fit(kind, sample, trial, threads)
    scores = own.score(windows, threads=threads)
    used: dict[str, tuple[BiasModel, Calibration]] = {
        "own": (own.model, calibrate_scores(*scores, windows, own=True))
    }
    if isinstance(other, ModelChoice):
        partner, same = fit(other, sample, trial, threads)
        if not np.array_equal(same.starts.position, windows.starts.position):
            raise RuntimeError("the two models were fitted to different starts")
        partner_scores = partner.score(windows, threads=threads)
        used["other"] = partner.model, calibrate_scores(*partner_scores, windows, own=True)
        used["blend"] = mix((own.model, partner.model), (scores, partner_scores), windows)
    else:
        mixed, calibration, _ = blend(own.model, scores, other, windows, threads=threads)
        used |= {
            "other": (other.model, calibrate_on_held_out(other.model, windows, threads=threads)),
            "blend": (mixed, calibration),
        }
    return measure(sample, trial.fold, used, threads)


def measure(
    sample: FoldSample, fold: int, used: dict[str, tuple[BiasModel, Calibration]], threads: int
) -> dict[str, float]:
    """Return gain_cap5 of each model on the held-out fold, calibrated as for weighting reads."""
    units = sample.held_out(fold)
    contexts, valid = sample.cut(units.positions(), WINDOW)
    found = {}
    for name, (model, calibration) in used.items():
        log_bias = np.full(len(valid), np.nan)
        log_bias[valid] = calibration(score(model, contexts[valid], threads=threads))
        found[name] = measures.gain(log_bias, units).value
    return found


def table(trials: Sequence[dict[str, Any]]) -> str:
    """Format the means, one row per number of starts, and the differences to the blend."""
    lines = [["data", "other", "model", "starts", *COLUMNS, "blend − own", "blend − other"]]
    for key in dict.fromkeys(
        (one["data"], one["source"], one["model"], one["starts"]) for one in trials
    ):
        own = [
            one
            for one in trials
            if (one["data"], one["source"], one["model"], one["starts"]) == key
        ]
        cells = [f"{statistics.fmean(one[name] for one in own):.3f}" for name in COLUMNS]
        folds = sorted({one["fold"] for one in own})
        for other in ("own", "other"):
            by_fold = [
                statistics.fmean(one["blend"] - one[other] for one in own if one["fold"] == fold)
                for fold in folds
            ]
            error = (
                statistics.stdev(by_fold) / len(by_fold) ** 0.5
                if len(by_fold) > 1
                else float("nan")
            )
            cells.append(f"{statistics.fmean(by_fold):+.3f} ± {error:.3f}".replace("-", "−"))
        lines.append([*map(str, key[:3]), "all" if key[3] is None else f"{key[3]:,}", *cells])
    return markdown(lines)


def run(arguments: argparse.Namespace, manager: Manager) -> list[dict[str, Any]]:
    """Run all trials."""
    partner = (
        None
        if arguments.partner is None
        else find_candidates([arguments.partner], [WINDOW], manager)[0].choice
    )
    source = None if partner is not None else load_sample(arguments.prior, "unique")
    sizes = [None if size == "all" else int(size) for size in arguments.starts.split(",")]
    trials = []
    for name in arguments.models.split(","):
        chosen = choose_model(name, manager, window=WINDOW)
        other: EndModel | ModelChoice | None = partner
        if source is not None:
            suited = choice_for_starts(chosen, round(LEARNT * len(source.starts)), manager)
            other = EndModel("both", fit(suited, source, Trial(0), arguments.threads)[0].model)
        assert other is not None
        for data in arguments.data.split(","):
            sample = load_sample(data, "unique")
            for starts in sizes:
                kind = choice_for_starts(
                    chosen, starts or round(LEARNT * len(sample.starts)), manager
                )
                for fold in whole_numbers(arguments.folds):
                    for seed in whole_numbers(arguments.seeds):
                        gains = run_trial(
                            kind, sample, Trial(fold, seed, starts), other, arguments.threads
                        )
                        label = f"{name} ({kind.backend})" if name == AUTO else name
                        about = {
                            "data": data,
                            "source": arguments.partner or arguments.prior,
                            "model": label,
                            "starts": starts,
                        }
                        about |= {"fold": fold, "seed": seed}
                        trials.append(about | gains)
                        listed = (f"{column} {value:.3f}" for column, value in gains.items())
                        log(f"{about}: {', '.join(listed)}")
    return trials


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Evaluate models blended with a model of another library."
    )
    parser.add_argument(
        "--data",
        default="rlp5",
        help=f"comma-separated data sets: {', '.join(DATASETS)} [%(default)s]",
    )
    parser.add_argument(
        "--prior", default="fly", help="the data set the prior is trained on [%(default)s]"
    )
    parser.add_argument(
        "--partner",
        metavar="MODEL",
        help="a backend to be fitted to the same starts, in place of a prior",
    )
    parser.add_argument(
        "--models",
        default=AUTO,
        help="comma-separated backends, for sample and prior [%(default)s]",
    )
    parser.add_argument(
        "--starts",
        default="300,1000,3000,10000,all",
        help="numbers of distinct starts to train on [%(default)s]",
    )
    parser.add_argument(
        "--folds", default="0,1,2,3,4", help="folds to hold out in turn [%(default)s]"
    )
    parser.add_argument("--seeds", default="1", help="seeds [%(default)s]")
    parser.add_argument("--threads", type=int, default=1, help="threads [%(default)s]")
    parser.add_argument("--json", type=Path, help="write every trial to this file")
    arguments = parser.parse_args(argv)
    trials = run(arguments, load_plugins())
    print(table(trials))
    write_json(arguments.json, trials)
    return 0


if __name__ == "__main__":
    sys.exit(main())
