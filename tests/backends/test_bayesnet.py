"""``bayesnet``: planted dependence, climbing to a top, limits, agreement with seqbias."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from counterbias import InputError, Resources, TrainingSet, Window, load_plugins, parse_options
from counterbias.testing import conformance, planted_sample
from counterbias_backends.bayesnet.model import BayesianNetwork
from counterbias_backends.bayesnet.options import Options
from counterbias_backends.bayesnet.search import LabelledWindows, climb
from tests.helpers.scripts import load as load_script

TestBayesnet = conformance("bayesnet", learns=0.85)


def dependent_sample(starts: int = 3000, seed: int = 1) -> TrainingSet:
    """Draw windows of nine columns.

    At read starts, column 2 prefers A, and column 7 often is what column 4 is; the rest is noise.
    """
    rng = np.random.default_rng(seed)
    foreground = rng.integers(0, 4, (starts, 9), dtype=np.uint8)
    foreground[rng.random(starts) < 0.3, 2] = 0
    foreground[rng.random(starts) < 0.2, 4] = 3
    same = rng.random(starts) < 0.5
    foreground[same, 7] = foreground[same, 4]
    background = rng.integers(0, 4, (2 * starts, 9), dtype=np.uint8)
    return TrainingSet(Window(4, 4), foreground, np.ones(starts), background, np.ones(2 * starts))


def fit(sample: TrainingSet, *options: str):
    model = BayesianNetwork(sample.window, parse_options(BayesianNetwork, list(options)))
    return model, model.fit(sample, np.random.default_rng(1))


def score(graph: dict[int, tuple[int, ...]], sample: TrainingSet, penalty: float) -> float:
    """Calculate a graph's score from scratch, window by window."""
    both = np.concatenate((sample.foreground, sample.background))
    n, starts = len(both), len(sample.foreground)
    odds = np.full(n, np.log(starts / (n - starts)))
    parameters = 0
    for own in graph.values():
        sides = []
        for part in (sample.foreground, sample.background):
            counts = np.ones((4,) * len(own))
            np.add.at(counts, tuple(part[:, column] for column in own), 1)
            sides.append(counts / counts.sum(axis=0))
        odds += np.log(sides[0] / sides[1])[tuple(both[:, column] for column in own)]
        parameters += 2 * (4 ** len(own) - 1)
    wrong = np.where(np.arange(n) < starts, -odds, odds)
    return float(-np.logaddexp(0, wrong).sum() - penalty * parameters * np.log(n))


def is_acyclic(graph: dict[int, tuple[int, ...]]) -> bool:
    left = {column: set(own[1:]) & set(graph) for column, own in graph.items()}
    while left:
        free = [column for column, parents in left.items() if not parents]
        if not free:
            return False
        left = {
            column: parents - set(free) for column, parents in left.items() if column not in free
        }
    return True


def neighbours(graph: dict[int, tuple[int, ...]], width: int, most: int):
    """Yield every graph that one move leads to."""
    for column in range(width):
        own = graph.get(column, ())
        rest = {other: parents for other, parents in graph.items() if other != column}
        if not own:
            yield {**rest, column: (column,)}
            continue
        if len(own) == 1:
            yield rest
        for parent in own[1:]:
            without = {**rest, column: tuple(other for other in own if other != parent)}
            yield without
            if parent in graph and len(graph[parent]) < most:
                yield {**without, parent: (*graph[parent], column)}
        if len(own) < most:
            for parent in set(range(width)) - set(own):
                yield {**rest, column: (*own, parent)}


def test_planted_dependence_is_found_and_noise_left_out() -> None:
    _, report = fit(dependent_sample(), "penalty=0.5")
    edges = [sorted(edge) for edge in report.details["edges"]]
    assert edges == [[0, 3]]
    # A parent need not be a column that is used itself.
    assert {*report.details["offsets"], *edges[0]} == {-2, 0, 3}
    assert report.parameters in (2 * (3 + 12), 2 * (3 + 3 + 12))


@pytest.mark.parametrize("penalty", [0.3, 0.05])
def test_climbs_to_a_top(penalty: float) -> None:
    sample = dependent_sample(800, seed=2)
    windows = LabelledWindows.of(
        sample.foreground, sample.foreground_weight, sample.background, sample.background_weight
    )
    found = climb(windows, Options(3, 8, penalty, 1.0))
    assert (np.diff(found.scores) > 0).all()
    assert sum(found.moves.values()) == len(found.scores) - 1 >= 3
    top = score(found.graph, sample, penalty)
    assert top == pytest.approx(found.scores[-1], rel=1e-9)
    assert is_acyclic(found.graph)
    better = [
        other
        for other in neighbours(found.graph, 9, 3)
        if is_acyclic(other) and score(other, sample, penalty) > top + 1e-3
    ]
    assert not better


def test_weights_count_as_windows_do() -> None:
    sample = dependent_sample(600)
    twice = TrainingSet(
        sample.window,
        sample.foreground,
        7 * sample.foreground_weight,
        sample.background,
        7 * sample.background_weight,
    )
    one, two = fit(sample)[0].to_arrays(), fit(twice)[0].to_arrays()
    for name in one:
        # The scale of the weights does not matter.
        np.testing.assert_allclose(one[name], two[name], rtol=1e-9)


def test_limits_are_kept() -> None:
    sample = planted_sample(Window(8, 8), starts=3000, seed=1)
    _, report = fit(sample, "max_parents=2", "max_distance=3", "penalty=0.002")
    edges = report.details["edges"]
    assert len(edges) > 5
    assert max(abs(parent - column) for parent, column in edges) <= 3
    assert max(np.bincount([column + 8 for _, column in edges])) <= 1
    assert fit(sample, "max_parents=1", "penalty=0.002")[1].details["edges"] == []
    assert fit(sample, "penalty=1000")[1].parameters == 0  # nothing is worth so much
    assert not fit(sample, "penalty=1000")[0].log_bias(sample.foreground).any()


def test_threads_change_nothing() -> None:
    sample = dependent_sample(700)
    found = []
    for threads in (1, 4):
        model = BayesianNetwork(sample.window)
        model.resources = Resources(threads)
        model.fit(sample, np.random.default_rng(1))
        found.append(model.to_arrays())
    one, four = found
    assert all(np.array_equal(one[name], four[name]) for name in one)


@pytest.mark.parametrize(
    ("row", "change"),
    [(2, [2, 2]), (2, [3]), (2, [2, 9]), (2, [2, -3]), (2, [2, -1, 4]), (2, [2, 4.5]), (0, [1])],
)
def test_anything_but_a_graph_is_refused(row: int, change: list[float]) -> None:
    model, _ = fit(dependent_sample(500))
    arrays = model.to_arrays()
    columns = arrays["columns"].astype(np.float64)
    columns[row] = [*change, *[-1] * (columns.shape[1] - len(change))]
    with pytest.raises(InputError, match=f"row {row} that is not a column with its parents"):
        BayesianNetwork(model.window).from_arrays({**arrays, "columns": columns})


@pytest.mark.parametrize(
    "pair",
    [
        "max_parents=0",
        "max_parents=8",
        "max_distance=-1",
        "penalty=-1",
        "penalty=nan",
        "pseudocount=0",
    ],
)
def test_options_out_of_range_are_refused(pair: str) -> None:
    with pytest.raises(InputError, match=pair):
        parse_options(BayesianNetwork, [pair])


def test_samples_that_cannot_be_learnt_from_are_refused() -> None:
    some, none = np.zeros((3, 21), np.uint8), np.zeros((0, 21), np.uint8)
    with pytest.raises(InputError, match="needs read starts"):
        BayesianNetwork(Window()).fit(
            TrainingSet(Window(), none, np.ones(0), some, np.ones(3)), np.random.default_rng(1)
        )
    with pytest.raises(ValueError, match="not 0, 1, 2 or 3"):
        BayesianNetwork(Window()).fit(
            TrainingSet(Window(), some + 4, np.ones(3), some, np.ones(3)), np.random.default_rng(1)
        )


def test_agrees_with_seqbias(data_dir: Path) -> None:
    """Trained like seqbias, on its data, it finds the same bias on a fold that neither has seen."""
    from counterbias.pipeline.bias.choice import choose_model
    from counterbias.pipeline.compare.evaluation import Trial, evaluate_scores, fold_trial
    from counterbias.scoring import score_positions

    samples = load_script("accuracy_samples")
    sample, window, fold = samples.load_sample("fly", "unique"), Window(10, 10), 1
    choice = choose_model("bayesnet", load_plugins(), window=window, model_options=("penalty=1",))
    assert choice.options == Options(penalty=1.0)
    model = choice.model(window, choice.options)
    model.fit(
        fold_trial(choice, sample, Trial(fold, 1, sampling="seqbias")).sample.without(None),
        np.random.default_rng(1),
    )

    def ours(positions):
        return score_positions(model, lambda chosen: sample.cut(chosen, window), positions)

    theirs = samples.seqbias_scores(sample)
    exonic = sample.held_out(fold).positions()
    pair = np.stack([ours(exonic), theirs(exonic)])
    pair = pair[:, np.isfinite(pair).all(axis=0)]
    assert pair.shape[1] > 10_000
    assert np.corrcoef(pair)[0, 1] >= 0.95
    gains = [evaluate_scores(scores, sample, fold, window).gain_cap5 for scores in (ours, theirs)]
    assert gains[0] == pytest.approx(gains[1], abs=0.03)
