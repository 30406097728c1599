"""Blend models of few read starts with a model of another library, and measure both and the blend on blocks that none of them saw.

    python benchmarks/priors.py --data rlp5 --prior fly --starts 300,1000,3000,10000,all
    python benchmarks/priors.py --data fly --models cnn --partner bayesnet --starts all --folds 1,2,3,4

The prior is fitted to four fifths of another library, of another organism, so that it cannot know the places it is measured at. Shares,
slope and gate are found as `counterbias count --bias-prior` finds them, on the held-out fold; for the figures, blocks of odd number are
scored with what the even ones gave and the other way round, so that no place has a say in its own score, and of those as many starts
are looked at as a sample of that size would have held out. With ``--partner`` the other
model is no prior, but another backend fitted to the same starts: an ensemble of two whose shares are learnt. The data are those of
COUNTERBIAS_DATA; docs/accuracy.md has the figures.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent))
from accuracy import DATASETS, load_sample, markdown, say, whole_numbers

from counterbias.evaluation import measures
from counterbias.model import BiasModel, Resources
from counterbias.model_file import EndModel
from counterbias.pipeline.auto import AUTO
from counterbias.pipeline.blending import blend
from counterbias.pipeline.candidates import find_candidates
from counterbias.pipeline.evaluating import FoldSample, Trial, assemble_trial
from counterbias.pipeline.fitting import Kind, choose_kind, suit_starts
from counterbias.pipeline.judging import judge
from counterbias.plugins import Manager, load_plugins
from counterbias.records import Positions, Window
from counterbias.sampling import Windows
from counterbias.scoring import score
from counterbias.weights import GAIN_BLOCK, Calibration

WINDOW = Window(10, 10)
COLUMNS = ("own", "other", "blend")
#: Starts of a sample, and those that a count holds out, for each that its model learns from.
WHOLE, HELD_OUT = 1.5, 0.3

#: A calibrated score of windows.
Used = Callable[[NDArray[np.uint8]], NDArray[np.float64]]


def fit(kind: Kind, sample: FoldSample, trial: Trial, threads: int) -> tuple[BiasModel, Windows]:
    """Fit a model; give it with the windows of the fold held out."""
    assembled = assemble_trial(kind, sample, trial)
    model = kind.model(kind.window, kind.options)
    model.resources = Resources(threads)
    model.fit(assembled.training, np.random.default_rng([trial.seed, 2]))
    return model, assembled.held_out


def half_of(windows: Windows, odd: bool, most: int | None, rng: np.random.Generator) -> Windows:
    """Give the windows of the starts in blocks of odd, or even, number; of more than ``most`` starts so many drawn at random."""
    kept = odd_blocks(windows.starts) == odd
    if most is not None and kept.sum() > most:
        drawn = rng.choice(np.flatnonzero(kept), most, replace=False)
        kept = np.zeros(len(kept), bool)
        kept[drawn] = True
    rows, places = np.flatnonzero(kept), np.flatnonzero(kept[windows.origin])
    return replace(
        windows,
        foreground=windows.foreground[rows],
        foreground_weight=windows.foreground_weight[rows],
        background=windows.background[places],
        background_weight=windows.background_weight[places],
        origin=(np.cumsum(kept) - 1)[windows.origin[places]],
        starts=windows.starts.take(rows),
    )


def odd_blocks(positions: Positions) -> NDArray[np.bool_]:
    return np.asarray(positions.position // (10 * GAIN_BLOCK) % 2 == 1)


def used(model: BiasModel, calibration: Calibration) -> Used:
    """Give what a count would take as log bias."""
    return lambda contexts: calibration(score(model, contexts))


def measure(sample: FoldSample, trial: Trial, windows: Windows, uses: Callable[[Windows], dict[str, Used]]) -> dict[str, float]:
    """Give gain_cap5 of each model as a count would use it, each half of the blocks with what the other half gave.

    Of the other half as many starts are looked at as a count would hold out of a sample of this size.
    """
    units = sample.held_out(trial.fold)
    most = None if trial.starts is None else round(HELD_OUT * trial.starts)
    rng = np.random.default_rng([trial.seed, 5, trial.starts or 0])
    positions = units.positions()
    contexts, valid = sample.cut(positions, WINDOW)
    scores = {name: np.full(len(positions), np.nan) for name in COLUMNS}
    odd = odd_blocks(positions)
    for half in (False, True):
        rows = np.flatnonzero(valid & (odd == half))
        for name, scoring in uses(half_of(windows, not half, most, rng)).items():
            scores[name][rows] = scoring(contexts[rows])
    return {name: measures.gain(values, units).value for name, values in scores.items()}


def run_trial(kind: Kind, sample: FoldSample, trial: Trial, other: EndModel | Kind, threads: int) -> dict[str, float]:
    """Measure own model, prior and blend in one fold; what ``other`` is the kind of is fitted to the same starts."""
    own, windows = fit(kind, sample, trial, threads)
    prior = EndModel("both", fit(other, sample, trial, threads)[0]) if isinstance(other, Kind) else other

    def uses(part: Windows) -> dict[str, Used]:
        mixed, calibration, _ = blend(own, prior, part, threads=threads)
        models = {"own": (own, judge(own, part)), "other": (prior.model, judge(prior.model, part)), "blend": (mixed, calibration)}
        return {name: used(*one) for name, one in models.items()}

    return measure(sample, trial, windows, uses)


def table(trials: Sequence[dict[str, Any]]) -> str:
    """Lay the means out: a line per number of starts, and the difference of blend and own."""
    lines = [["data", "other", "model", "starts", *COLUMNS, "blend − own", "blend − other"]]
    for key in dict.fromkeys((one["data"], one["source"], one["model"], one["starts"]) for one in trials):
        own = [one for one in trials if (one["data"], one["source"], one["model"], one["starts"]) == key]
        cells = [f"{statistics.fmean(one[name] for one in own):.3f}" for name in COLUMNS]
        folds = sorted({one["fold"] for one in own})
        for other in ("own", "other"):
            by_fold = [statistics.fmean(one["blend"] - one[other] for one in own if one["fold"] == fold) for fold in folds]
            error = statistics.stdev(by_fold) / len(by_fold) ** 0.5 if len(by_fold) > 1 else float("nan")
            cells.append(f"{statistics.fmean(by_fold):+.3f} ± {error:.3f}".replace("-", "−"))
        lines.append([*map(str, key[:3]), "all" if key[3] is None else f"{key[3]:,}", *cells])
    return markdown(lines)


def run(arguments: argparse.Namespace, manager: Manager) -> list[dict[str, Any]]:
    """Run all trials."""
    partner = None if arguments.partner is None else find_candidates([arguments.partner], [WINDOW], manager)[0].kind
    source = None if partner is not None else load_sample(arguments.prior, "unique")
    sizes = [None if size == "all" else int(size) for size in arguments.starts.split(",")]
    trials = []
    for name in arguments.models.split(","):
        chosen = choose_kind(name, False, WINDOW, (), manager)
        other: EndModel | Kind | None = partner
        if source is not None:
            other = EndModel("both", fit(suit_starts(chosen, len(source.starts), manager), source, Trial(0), arguments.threads)[0])
        assert other is not None
        for data in arguments.data.split(","):
            sample = load_sample(data, "unique")
            for starts in sizes:
                kind = suit_starts(chosen, round((starts or len(sample.starts)) * WHOLE), manager)
                for fold in whole_numbers(arguments.folds):
                    for seed in whole_numbers(arguments.seeds):
                        told = run_trial(kind, sample, Trial(fold, seed, starts), other, arguments.threads)
                        label = f"{name} ({kind.backend})" if name == AUTO else name
                        about = {"data": data, "source": arguments.partner or arguments.prior, "model": label, "starts": starts}
                        about |= {"fold": fold, "seed": seed}
                        trials.append(about | told)
                        say(f"{about}: " + ", ".join(f"{column} {value:.3f}" for column, value in told.items()))
    return trials


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure models blended with one of another library.")
    parser.add_argument("--data", default="rlp5", help=f"comma-separated sets out of {', '.join(DATASETS)} [%(default)s]")
    parser.add_argument("--prior", default="fly", help="the set that the prior learns from [%(default)s]")
    parser.add_argument("--partner", metavar="MODEL", help="a backend to be fitted to the same starts, in the place of a prior")
    parser.add_argument("--models", default=AUTO, help="comma-separated backends, for sample and prior [%(default)s]")
    parser.add_argument("--starts", default="300,1000,3000,10000,all", help="distinct starts to learn from [%(default)s]")
    parser.add_argument("--folds", default="0,1,2,3,4", help="folds to hold out in turn [%(default)s]")
    parser.add_argument("--seeds", default="1", help="seeds [%(default)s]")
    parser.add_argument("--threads", type=int, default=1, help="threads [%(default)s]")
    parser.add_argument("--json", type=Path, help="write every trial to this file")
    arguments = parser.parse_args(argv)
    trials = run(arguments, load_plugins())
    print(table(trials))
    if arguments.json:
        arguments.json.write_text(json.dumps(trials, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
