"""The networks of `paper.py`: trained without one fold of a sample, and measured on that fold."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterbias import BiasModel, Resources, TrainingSet
from counterbias.evaluation import folds
from counterbias.evaluation.accuracy import measure_accuracy
from counterbias.pipeline.bias.choice import choose_model
from counterbias.pipeline.compare.evaluation import FoldSample, Trial, fold_trial
from counterbias.plugins import Manager, load_plugins
from counterbias.records import Positions, Window
from counterbias.sampling import LOCAL_REACH, inside_exons, merged_exons
from counterbias.scoring import score_positions
from counterbias_backends.rnn.loss import CompiledLoss
from counterbias_backends.rnn.parameters import Parameters, shapes
from counterbias_backends.rnn.position import PROBABILITY
from counterbias_backends.rnn.windows import Batch, Windows

#: Width of the paper's windows in bases → window.
WINDOWS = {21: Window(10, 10), 41: Window(20, 20)}
CELLS = ("gru", "lstm")
#: Ways to train: the paper's, the language models with our settings, the conditional objective.
PAPER, LANGUAGE, RATIO = "paper", "language", "ratio"
TRAININGS = (PAPER, LANGUAGE, RATIO)
#: The two networks of a language model.
ROLES = ("foreground", "background")
#: The measures that are kept.
MEASURES = ("gain_cap5", "r2", "auc")

#: Positions → log bias, float64, nats; NaN where it is not known.
Scores = Callable[[Positions], NDArray[np.float64]]


@dataclass(frozen=True)
class Network:
    """A network of the paper and the way it is trained.

    Args:
        cell: ``gru`` or ``lstm``; or another backend, for reference.
        bases: width of its windows, one of :data:`WINDOWS`.
        hidden: hidden units; None for another backend.
        training: one of :data:`TRAININGS`; :data:`LANGUAGE` for another backend: its defaults.
    """

    cell: str
    bases: int
    hidden: int | None = None
    training: str = LANGUAGE

    def key(self) -> dict[str, Any]:
        """Return what distinguishes the network from all others."""
        return asdict(self)

    @property
    def window(self) -> Window:
        """The window."""
        return WINDOWS[self.bases]

    @property
    def sampling(self) -> str:
        """The scheme of ``--bias-sampling``."""
        return "paper" if self.training == PAPER else "local"

    def options(self, effort: Effort) -> tuple[str, ...]:
        """Return the backend's options."""
        if self.hidden is None:
            return ()
        how = {PAPER: effort.as_in_paper(), LANGUAGE: (), RATIO: ("objective=ratio",)}
        return (f"hidden={self.hidden}", f"max_windows={effort.windows}", *how[self.training])


@dataclass(frozen=True)
class Effort:
    """What training may cost.

    Args:
        iterations: passes over the windows where networks are trained as in the paper.
        windows: most windows per network.
        threads: threads for training.
    """

    iterations: int
    windows: int
    threads: int

    def as_in_paper(self) -> tuple[str, ...]:
        """Return the options for one pass per iteration, and no early stopping."""
        return (f"epochs={self.iterations}", "min_steps=0", f"patience={self.iterations}")


@dataclass(frozen=True)
class Trained:
    """A trained model.

    Args:
        network: what it is.
        model: the fitted model.
        learnt: the windows that it was fitted to.
        parameters: their number.
        seconds: processor time of fitting.
    """

    network: Network
    model: BiasModel
    learnt: TrainingSet
    parameters: int
    seconds: float

    def scores(self, sample: FoldSample) -> Scores:
        """Return the model as a function of positions of a sample."""
        window = self.network.window
        return lambda positions: score_positions(
            self.model, lambda part: sample.cut(part, window), positions
        )


@functools.cache
def plugins() -> Manager:
    """Load the plug-ins once."""
    return load_plugins()


def networks_of(
    hidden: Sequence[int], bases: Sequence[int], trainings: Sequence[str]
) -> list[Network]:
    """Return the networks of the page, in its order."""
    return [
        Network(cell, width, size, training)
        for training in trainings
        for width in bases
        for size in hidden
        for cell in CELLS
    ]


def train(network: Network, sample: FoldSample, trial: Trial, effort: Effort) -> Trained:
    """Fit a model to four folds, once: neither gate nor slope are needed, as in the paper."""
    choice = choose_model(
        network.cell, plugins(), window=network.window, model_options=network.options(effort)
    )
    learnt = fold_trial(choice, sample, trial).sample.without(None)
    model = choice.model(choice.window, choice.options)
    model.resources = Resources(effort.threads)
    began = time.process_time()
    report = model.fit(learnt, np.random.default_rng([trial.seed, 2]))
    return Trained(network, model, learnt, report.parameters, time.process_time() - began)


def trial_of(network: Network, fold: int, seed: int) -> Trial:
    """Return the trial of a network on a fold."""
    return Trial(fold, seed, sampling=network.sampling)


def held_out_accuracy(
    scores: Scores, sample: FoldSample, fold: int, window: Window
) -> dict[str, float]:
    """Measure a log bias on the fold that it has not seen."""
    units = sample.held_out(fold)
    positions = units.positions()
    found = measure_accuracy(scores(positions), units, *sample.cut(positions, window))
    return {name: getattr(found, name) for name in MEASURES}


# -- perplexity ------------------------------------------------------------------------------------


def held_out_windows(
    sample: FoldSample, fold: int, window: Window, seed: int
) -> dict[str, NDArray[np.uint8]]:
    """Cut windows of the held-out fold: at distinct read starts, and at ±1…100 bases from them.

    They lie within exons, and are the same for all networks of one width.
    """
    rotated = folds.rotate(sample.starts, block=sample.block, held_out=fold)
    places = sample.starts.take(
        rotated.of(sample.starts.contig, sample.starts.position) == folds.HELD_OUT_FOLD
    )
    rng = np.random.default_rng([seed, 4])
    offset = rng.integers(1, LOCAL_REACH + 1, len(places)) * rng.choice([-1, 1], len(places))
    near = Positions(places.contig, places.position + offset, places.strand, places.weight)
    exons = merged_exons(sample.features, sample.contig_of)
    found = {}
    for role, positions in zip(ROLES, (places, near), strict=True):
        contexts, valid = sample.cut(positions, window)
        found[role] = contexts[valid & inside_exons(positions, window, exons)]
    return found


def perplexities(
    trained: Trained, held_out: Mapping[str, NDArray[np.uint8]]
) -> dict[str, dict[str, float]] | None:
    """Measure both models on the windows that they learnt from and on those held out.

    Returns role → side → perplexity per base; None for the conditional objective, which has none.
    """
    if trained.network.training == RATIO:
        return None
    learnt = {"foreground": trained.learnt.foreground, "background": trained.learnt.background}
    of = _of_tables if trained.network.hidden is None else _of_network
    return {
        role: {"learnt": of(trained, role, learnt[role]), "held_out": of(trained, role, windows)}
        for role, windows in held_out.items()
    }


def _of_network(trained: Trained, role: str, contexts: NDArray[np.uint8]) -> float:
    """Return the perplexity per base of one network, all windows counting the same."""
    network, arrays = trained.network, trained.model.to_arrays()
    hidden = network.hidden or 0
    named = {name: arrays[f"{role}_{name}"] for name in shapes(network.cell, hidden)}
    parameters = Parameters.from_arrays(network.cell, hidden, named)
    loss = CompiledLoss(network.cell, hidden, 0, PROBABILITY)
    windows = Windows.of(contexts, np.ones(len(contexts)))
    total = loss(parameters.flat, Batch.of_all(windows), np.zeros(0, np.float32))
    return math.exp(total / contexts.size)


def _of_tables(trained: Trained, role: str, contexts: NDArray[np.uint8]) -> float:
    """Return the perplexity per base of a table of frequencies per position (``pwm``)."""
    logs = trained.model.to_arrays()[f"log_{role}"]
    return math.exp(-float(logs[np.arange(contexts.shape[1]), contexts].mean()))
