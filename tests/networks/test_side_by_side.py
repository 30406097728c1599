"""Networks side by side: the same outputs, gradients and courses of training as alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks of torch need it (extra torch)")

import torch
from torch import nn

from counterbias import TrainingSet
from counterbias.testing import planted_sample
from counterbias_torch import NetworkModel, TrainingOptions, fitting
from counterbias_torch.data import Form
from counterbias_torch.devices import reproducible
from counterbias_torch.fitting import Pupil, Schooling, Trained, seeded
from counterbias_torch.lessons import make_lesson, make_plan
from counterbias_torch.losses import log_probabilities, scores_of
from counterbias_torch.stack import (
    CODES,
    LETTERS,
    Modules,
    Vectorised,
    as_input,
    stack_modules,
)
from tests.networks.examples import (
    PROCESSOR,
    WINDOW,
    Attention,
    Convolution,
    Language,
    Matrix,
    PerBase,
    Recurrent,
    Words,
    convolution,
    random_windows,
)

pytestmark = pytest.mark.usefixtures("few_steps", "one_thread")


class Normalised(nn.Module):
    """A convolution with running means, a tied weight and a buffer that is not saved."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv1d(4, 5, 3, padding=1), nn.BatchNorm1d(5)
        self.second, self.again = (nn.Conv1d(5, 5, 1, bias=False) for _ in range(2))
        self.again.weight = self.second.weight
        self.register_buffer("scale", torch.tensor(0.5), persistent=False)
        self.score = nn.Linear(5 * WINDOW.width, 1)

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.norm(self.first(letters)))
        return self.score(self.again(torch.tanh(self.second(hidden))).flatten(1) * self.scale)


KINDS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "convolution": (lambda: convolution(WINDOW.width), LETTERS),
    "outputs per base": (lambda: Matrix(WINDOW.width), LETTERS),
    "attention": (lambda: Attention(WINDOW.width), CODES),
    "running means": (Normalised, LETTERS),
}


def make_modules(make: Callable[[], nn.Module], number: int) -> list[nn.Module]:
    with seeded(1):
        return [make() for _ in range(number)]


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_gradients_are_those_of_each_alone(kind: str) -> None:
    make, takes = KINDS[kind]
    modules = make_modules(make, 3)
    windows = torch.from_numpy(np.stack([random_windows(6, seed=seed) for seed in range(3)]))
    stack = stack_modules(modules, takes, windows[0])
    assert isinstance(stack, Vectorised)
    alone = Modules(modules, takes)
    for one in (stack, alone):
        one.train(False)
    with torch.no_grad():
        torch.testing.assert_close(stack(windows), alone(windows))
    for one in (stack, alone):
        one.train(True)
    found, expected = stack(windows), alone(windows)
    torch.testing.assert_close(found, expected)
    for outputs in (found, expected):
        (outputs * torch.linspace(1, 2, outputs.numel()).reshape(outputs.shape)).sum().backward()
    own = [parameter.grad for _, parameter in alone.parameters()]
    for number, (_, parameter) in enumerate(stack.parameters()):
        each = own[number :: len(stack.parameters())]
        torch.testing.assert_close(parameter.grad, torch.stack(each), rtol=1e-4, atol=1e-5)
    for number, module in enumerate(modules):
        state = stack.snapshot(number)
        assert list(state) == list(module.state_dict())
        for name, value in module.state_dict().items():
            torch.testing.assert_close(state[name], value)


def test_trying_out_leaves_running_means_as_they_were() -> None:
    modules = make_modules(Normalised, 2)
    stack = stack_modules(modules, LETTERS, torch.from_numpy(random_windows(5)))
    assert isinstance(stack, Vectorised)
    assert stack.snapshot(1)["norm.running_var"].tolist() == [1] * 5


def test_what_cannot_be_vectorised_is_evaluated_one_after_another() -> None:
    modules = make_modules(Recurrent, 2)
    stack = stack_modules(modules, CODES, torch.from_numpy(random_windows(5)))
    assert isinstance(stack, Modules)
    assert stack(torch.from_numpy(random_windows(6).reshape(2, 3, -1))).shape == (2, 3, 8, 4)


def test_networks_draw_their_own_random_numbers() -> None:
    module = Words(WINDOW.width, 0.5)
    windows = torch.from_numpy(random_windows(20))
    stack = stack_modules([module, module], CODES, windows)
    assert isinstance(stack, Vectorised)
    stack.train(True)
    with seeded(1):
        one, two = stack(windows.expand(2, -1, -1))
    assert not torch.equal(one, two)
    stack.train(False)
    torch.testing.assert_close(*stack(windows.expand(2, -1, -1)))


def make_pupils(
    kind: type[NetworkModel], samples: Sequence[TrainingSet], options: TrainingOptions
) -> list[Pupil]:
    pupils = []
    for sample in samples:
        model = kind(sample.window, options)
        lesson = make_lesson(
            sample, model.objective, options, model.slides, np.random.default_rng(3)
        )
        for job in lesson.jobs:
            with seeded(job.seed):
                pupils.append(Pupil(model.network(), job, make_plan(job, options)))
    # Whatever their sizes, as if they were close enough to each other for one plan.
    plan = max((pupil.plan for pupil in pupils), key=lambda one: one.batches)
    return [replace(pupil, plan=plan) for pupil in pupils]


def train(kind: type[NetworkModel], pupils: Sequence[Pupil]) -> list[Trained]:
    """Train networks side by side, as on a GPU, and each alone."""
    schooling = Schooling(
        kind.takes, Form(WINDOW.width, kind.slides), PROCESSOR, 1, lambda steps: None
    )
    with seeded(1), reproducible(PROCESSOR):
        together = fitting._side_by_side(pupils, schooling)
        alone = [fitting._side_by_side([pupil], schooling)[0] for pupil in pupils]
    for one, other in zip(together, alone, strict=True):
        assert len(one.course.training) == len(other.course.training)
        assert one.course.best == other.course.best
        np.testing.assert_allclose(one.course.training, other.course.training, rtol=1e-4)
        np.testing.assert_allclose(one.course.validation, other.course.validation, rtol=1e-4)
        scores = [centred_scores(kind, trained) for trained in (one, other)]
        assert scores[0].std() > 0.01
        np.testing.assert_allclose(*scores, rtol=0, atol=1e-3)
    return together


def centred_scores(kind: type[NetworkModel], trained: Trained) -> np.ndarray:
    """Score windows; a constant that is added to all is of no account."""
    module = kind(WINDOW).network()
    module.load_state_dict(trained.course.state)
    windows = torch.from_numpy(random_windows(200))
    with torch.no_grad():
        outputs = module.train(False)(as_input(windows, kind.takes))
        values = log_probabilities if kind.objective == "language" else scores_of
        scores = values(outputs, windows)
    return (scores - scores.mean()).numpy()


@pytest.mark.parametrize("kind", [Convolution, PerBase, Language])
def test_trained_side_by_side_as_alone(kind: type[NetworkModel]) -> None:
    options = TrainingOptions(epochs=2, learning_rate=5e-3)
    # Of different sizes, with and without a validation part of its own.
    samples = [planted_sample(WINDOW, starts=starts, seed=starts) for starts in (200, 850, 120)]
    pupils = make_pupils(kind, samples, options)
    trained = train(kind, pupils)
    sizes = [len(pupil.job.parts[-1].chosen) for pupil in pupils]
    assert len(set(sizes)) > 2
    assert len({tuple(map(tuple, one.course.training)) for one in trained}) == len(pupils)


def test_each_network_stops_by_itself() -> None:
    options = TrainingOptions(epochs=8, patience=1, batch=32, learning_rate=0.05, weight_decay=0)
    samples = [planted_sample(WINDOW, starts=starts, seed=starts) for starts in (20, 800)]
    small, large = train(Convolution, make_pupils(Convolution, samples, options))
    assert len(small.course.training) != len(large.course.training)
    for course in (small.course, large.course):
        losses = np.sum(course.validation, axis=1)
        assert course.best == 1 + losses.argmin()
        assert len(losses) == min(course.best + options.patience, options.epochs)


def test_only_networks_with_one_plan_are_trained_side_by_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that none of them depends on which others there are."""
    options = TrainingOptions(epochs=1)
    sizes = (2400, 500, 2360, 510)
    jobs = [
        make_lesson(
            planted_sample(WINDOW, starts=starts, seed=1), "conditional", options, True,
            np.random.default_rng(3),
        ).jobs[0]
        for starts in sizes
    ]  # fmt: skip
    pupils = [Pupil(nn.Identity(), job, make_plan(job, options)) for job in jobs]
    groups = []

    def trained(some: Sequence[Pupil], schooling: Schooling) -> list[int]:
        groups.append([pupils.index(pupil) for pupil in some])
        return groups[-1]

    monkeypatch.setattr(fitting, "_side_by_side", trained)
    monkeypatch.setattr(fitting, "reproducible", lambda device: nullcontext())
    monkeypatch.setattr(fitting, "seeded", lambda seed, device: nullcontext())
    schooling = Schooling(CODES, Form(WINDOW.width, True), torch.device("cuda"), 1, print)
    assert fitting.train_pupils(pupils, schooling) == [0, 1, 2, 3]
    assert groups == [[0, 2], [1, 3]]


def test_networks_are_halved_where_memory_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    options = TrainingOptions(epochs=1, batch=4)
    samples = [planted_sample(WINDOW, starts=50, seed=seed) for seed in range(5)]
    pupils, tried = make_pupils(PerBase, samples, options), []
    train_them = fitting._train

    def too_many(some: Sequence[Pupil], schooling: Schooling) -> list[Trained]:
        tried.append(len(some))
        if len(some) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return train_them(some, schooling)

    monkeypatch.setattr(fitting, "_train", too_many)
    train(PerBase, pupils)
    assert tried == [5, 2, 3, 1, 2, *[1] * 5]


def test_training_leaves_the_untrained_networks_as_they_are() -> None:
    """Where memory was too small half way, they are trained anew."""
    options = TrainingOptions(epochs=1, batch=4)
    pupils = make_pupils(Language, [planted_sample(WINDOW, starts=50, seed=1)], options)
    before = [parameter.clone() for parameter in pupils[0].module.parameters()]
    train(Language, pupils)
    for one, two in zip(before, pupils[0].module.parameters(), strict=True):
        assert torch.equal(one, two)
