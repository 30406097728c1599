"""Networks that do not do what they should are named, on one line, by every command."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks of torch need it (extra torch)")

import torch
from torch import Tensor, nn

from counterbias import Backend, InputError, Resources
from counterbias.cli import main
from counterbias.testing import check_backend, planted_sample
from counterbias_torch import NetworkModel, TrainingOptions
from counterbias_torch.checks import check_network
from tests.networks.examples import (
    WINDOW,
    Convolution,
    Language,
    Matrix,
    Recurrent,
    Words,
    convolution,
    fitted,
)


class Returns(nn.Module):
    """Returns what a function makes of letters, with the scores of a sound network."""

    def __init__(self, make: Callable[[Tensor, Tensor], object]) -> None:
        super().__init__()
        self.score, self.make = nn.Linear(4 * WINDOW.width, 1), make

    def forward(self, letters: Tensor) -> object:
        return self.make(letters, self.score(letters.flatten(1)))


class LooksAhead(nn.Module):
    """Predicts each base from the one after it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))

    def forward(self, letters: Tensor) -> Tensor:
        return letters.roll(-1, dims=2).transpose(1, 2) @ self.weight


class Padded(nn.Module):
    """Slides, with zeros beyond the ends of a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 3, 3, padding=1)
        self.second = nn.Conv1d(3, 1, WINDOW.width)

    def forward(self, letters: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(letters))).flatten(1)


def check(
    module: nn.Module, objective: str = "conditional", slides: bool = False, takes: str = "letters"
) -> None:
    check_network(module, takes, slides, WINDOW.width, objective)


BATCH = "the network's output for a window depends on the rest of its batch"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda letters, score: score.expand(-1, 2),
            r"the network returned shape \(7, 2\) for 7 windows of 8 bases, "
            r"expected \(7,\) or \(7, 1\) or \(7, 8, 4\)",
        ),
        (lambda letters, score: score.mean(), r"the network returned shape \(\) for 7 windows"),
        (lambda letters, score: (score, score), "returned a tuple, expected a tensor"),
        (lambda letters, score: None, "returned a NoneType, expected a tensor"),
        (lambda letters, score: (100 * score).long(), "returned int64, expected floating-point"),
        (lambda letters, score: score > 0, "returned bool, expected floating-point numbers"),
        (lambda letters, score: score + 0j, "returned complex64, expected floating-point numbers"),
        (lambda letters, score: score / 0, "returned NaN or infinity for windows of bases"),
        (lambda letters, score: (score - 9).log(), "returned NaN or infinity for windows of bases"),
        (lambda letters, score: score.softmax(dim=0), BATCH),
        (lambda letters, score: score - score.mean(), BATCH),
        (lambda letters, score: score.cumsum(dim=0), BATCH),
        (lambda letters, score: score + torch.rand(len(score), 1), BATCH),
    ],
)
def test_bad_outputs_are_named(make: Callable[[Tensor, Tensor], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(Returns(make))


def test_language_models_must_not_look_ahead() -> None:
    with pytest.raises(
        ValueError, match="output for base 1 depends on that base or later ones: a language model"
    ):
        check(LooksAhead(), "language")
    with pytest.raises(ValueError, match=r"returned shape \(7, 1\) .* expected \(7, 8, 4\)$"):
        check(convolution(WINDOW.width), "language")
    check(Recurrent(), "language", takes="codes")


def test_networks_that_slide_score_windows_as_alone() -> None:
    with pytest.raises(ValueError, match=r"otherwise than each alone: correct it \(padding\?\), "):
        check(Padded(), slides=True)
    with pytest.raises(
        ValueError, match=r"shape \(1, 1\) for a sequence of 15 bases, expected \(1, 8\)"
    ):
        check(nn.Sequential(nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(4, 1)), slides=True)
    check(Padded())
    check(convolution(WINDOW.width), slides=True)


def test_running_means_and_dropout_are_sound() -> None:
    check(nn.Sequential(nn.Conv1d(4, 3, WINDOW.width), nn.BatchNorm1d(3), nn.Flatten(),
                        nn.Linear(3, 1)))  # fmt: skip
    check(Words(WINDOW.width, 0.5), takes="codes")


def test_what_no_model_file_can_hold_is_named_before_training() -> None:
    module = Matrix(WINDOW.width)
    module.register_buffer("mask", torch.full((3,), -torch.inf))
    with pytest.raises(ValueError, match=r"'mask' of the network .* with persistent=False"):
        check(module)
    module.register_buffer("mask", torch.full((3,), -torch.inf), persistent=False)
    check(module)
    with pytest.raises(ValueError, match="no parameters that could be trained"):
        check(module.requires_grad_(False))


@pytest.mark.parametrize(
    ("change", "name", "kind"),
    [
        (nn.Module.double, "1.weight", "float64"),
        (nn.Module.half, "1.weight", "float16"),
        (nn.Module.bfloat16, "1.weight", "bfloat16"),
        (
            lambda module: module.register_buffer("phase", torch.ones(3, dtype=torch.complex64)),
            "phase",
            "complex64",
        ),
        (
            lambda module: module.register_buffer("scale", torch.ones(3, dtype=torch.float64)),
            "scale",
            "float64",
        ),
    ],
)
def test_numbers_of_another_precision_are_named(
    change: Callable[[nn.Module], object], name: str, kind: str
) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(4 * WINDOW.width, 1))
    change(module)
    with pytest.raises(ValueError, match=f"^'{name}' of the network is {kind}, expected float32"):
        check(module)


def test_integers_need_not_be_saved() -> None:
    module = Matrix(WINDOW.width)
    module.register_buffer("order", torch.arange(3))
    check(module)


class Late(nn.Module):
    """Makes a parameter when it is first called."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(4 * WINDOW.width, 1)

    def forward(self, letters: Tensor) -> Tensor:
        if not hasattr(self, "shift"):
            self.shift = nn.Parameter(torch.zeros(1))
        return self.score(letters.flatten(1)) + self.shift


class MoreState(Matrix):
    """Has state beyond parameters and buffers."""

    def get_extra_state(self) -> object:
        return {"version": 1}

    def set_extra_state(self, state: object) -> None:
        pass


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_networks_that_cannot_be_copied_or_saved_are_named() -> None:
    with pytest.raises(ValueError, match=r"^'1\.weight' of the network has no shape yet: give its"):
        check(nn.Sequential(nn.Flatten(), nn.LazyLinear(1)))
    with pytest.raises(ValueError, match=r"^the network made 'shift' when it was first called: "):
        check(Late())
    with pytest.raises(ValueError, match=r"^'_extra_state' of the network is a dict, which a"):
        check(MoreState(WINDOW.width))
    scripted = torch.jit.script(nn.Linear(4, 1))
    with pytest.raises(ValueError, match=r"^the network is compiled by torch\.jit, .* as it is$"):
        check(nn.Sequential(nn.Flatten(), scripted))


@pytest.mark.parametrize("when", ["always", "in training"])
def test_outputs_without_gradient_are_named(when: str) -> None:
    class Detached(Convolution):
        def network(self) -> nn.Module:
            module = super().network()
            module.register_forward_hook(
                lambda own, given, found: (
                    found.detach() if own.training or when == "always" else found
                )
            )
            return module

    with pytest.raises(
        ValueError, match=r"^the network's output does not depend on its parameters .*no_grad"
    ):
        fitted(Detached)


def test_a_network_that_is_none_is_named() -> None:
    class Forgetful(Convolution):
        def network(self) -> nn.Module:
            super().network()

    with pytest.raises(
        ValueError, match=r"^network\(\) returned a NoneType, expected a torch.nn.M"
    ):
        fitted(Forgetful)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("objective", "regression", "is 'regression', expected conditional or classification or"),
        ("takes", "bases", "Bad.takes is 'bases', expected letters or codes"),
    ],
)
def test_bad_settings_are_named_when_the_class_is_defined(
    name: str, value: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        type("Bad", (Convolution,), {name: value})
    with pytest.raises(ValueError, match="slides is of no use where the objective is language"):
        type("Bad", (Language,), {"slides": True})


@dataclass(frozen=True)
class NoOptionsOfTraining:
    channels: int = 8


class Undecorated(TrainingOptions):
    channels: int = 8


@pytest.mark.parametrize("options", [NoOptionsOfTraining, Undecorated, TrainingOptions(), None])
def test_bad_options_are_named_when_the_class_is_defined(options: object) -> None:
    with pytest.raises(
        ValueError,
        match=r"^Bad\.Options must be TrainingOptions, or derive from it with "
        r"@dataclass\(frozen=True\)$",
    ):
        type("Bad", (Convolution,), {"Options": options})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weight_decay_is_finite(value: float) -> None:
    with pytest.raises(InputError, match=f"weight_decay={value}: must be a number"):
        TrainingOptions(weight_decay=value)


def test_a_loss_that_is_not_finite_is_named() -> None:
    class Steep(Convolution):
        def network(self) -> nn.Module:
            return nn.Sequential(super().network(), Exponential())

    with pytest.raises(ValueError, match="loss is not finite in epoch 1: lower learning_rate, or"):
        fitted(Steep, options=TrainingOptions(learning_rate=1e6))


class Exponential(nn.Module):
    def forward(self, scores: Tensor) -> Tensor:
        return scores.exp()


def test_weights_that_no_model_file_can_hold_are_named_after_training() -> None:
    with pytest.raises(ValueError, match=r"of the network holds .* beyond 10,000, .* lower learn"):
        fitted(Convolution, options=TrainingOptions(learning_rate=1e6, weight_decay=0))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_missing_gpu_is_one_line() -> None:
    model = Convolution(WINDOW)
    model.resources = Resources(device="cuda")
    line = r"^--bias-device cuda: torch finds no GPU. Use --bias-device cpu$"
    with pytest.raises(InputError, match=line):
        model.check_resources()
    with pytest.raises(InputError, match=line):
        model.fit(planted_sample(WINDOW, starts=100, seed=1), np.random.default_rng(1))


class WrongShape(NetworkModel):
    def network(self) -> nn.Module:
        return nn.Conv1d(4, 2, self.window.width)


class DependsOnBatch(NetworkModel):
    def network(self) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(4 * self.window.width, 1), nn.Softmax(dim=0))


class Huge(NetworkModel):
    def network(self) -> nn.Module:
        return OutOfMemory(self.window.width)


class OutOfMemory(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(4 * width, 1)

    def forward(self, letters: Tensor) -> Tensor:
        if len(letters) > 7 or torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return self.score(letters.flatten(1))


PROBLEMS = {
    WrongShape: "ValueError: the network returned shape (7, 2, 1) for 7 windows of 21 bases, "
    "expected (7,) or (7, 1) or (7, 21, 4)",
    DependsOnBatch: f"ValueError: {BATCH}",
    Huge: "MemoryError: memory is too small to train the network with one row at a time: "
    "make it smaller",
}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_count_names_the_problem_on_one_line(
    kind: type[NetworkModel],
    count: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    install: Callable[[type[NetworkModel]], None],
) -> None:
    install(kind)
    assert count() == 1
    assert capsys.readouterr().err.splitlines() == [
        f"counterbias: backend 'mine' failed while it was fitted to good: {PROBLEMS[kind]}. "
        "Take another model, or tell the author of the plug-in "
        "(`counterbias models` lists where it comes from)"
    ]
    assert list(tmp_path.iterdir()) == []


class Double(NetworkModel):
    def network(self) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(4 * self.window.width, 1)).double()


def test_count_tells_a_long_problem_in_full(
    count: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    install: Callable[[type[NetworkModel]], None],
) -> None:
    install(Double)
    assert count() == 1
    assert capsys.readouterr().err.splitlines() == [
        "counterbias: backend 'mine' failed while it was fitted to good: ValueError: "
        "'1.weight' of the network is float64, expected float32: convert the network with "
        ".float(), or what it calculates with within forward. "
        "Take another model, or tell its author"
    ]
    assert list(tmp_path.iterdir()) == []


def test_compare_names_the_problem(
    sample_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    install: Callable[[type[NetworkModel]], None],
) -> None:
    install(DependsOnBatch)
    words = ["compare", "-q", "-s", "yes", "--models", "mine,pwm", "--folds", "1", "--seeds", "1"]
    more = ["--no-figures", "--bias-genome", f"{sample_folder}/genome.fa", "-o", str(tmp_path)]
    assert main([*words, *more, f"{sample_folder}/good.sam", f"{sample_folder}/genes.gtf"]) == 3
    captured = capsys.readouterr()
    assert f"failed: {PROBLEMS[DependsOnBatch]}" in captured.out
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("kind", [WrongShape, DependsOnBatch])
def test_the_conformance_suite_names_the_problem(kind: type[NetworkModel]) -> None:
    problem = PROBLEMS[kind].removeprefix("ValueError: ").partition(" for 7")[0]
    with pytest.raises(ValueError, match="the network") as refusal:
        check_backend(Backend("mine", "a network", lambda: kind), starts=50)
    assert problem in str(refusal.value)


def test_without_torch_count_names_the_extra(
    count: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    install: Callable[[type[NetworkModel]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(Convolution)
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    assert count() == 1
    assert capsys.readouterr().err.splitlines() == [
        "counterbias: Backend 'mine' needs: pip install 'mine[deep]'"
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_count_refuses_a_gpu_that_is_missing_before_it_counts(
    count: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    install: Callable[[type[NetworkModel]], None],
) -> None:
    install(Convolution)
    assert count("--bias-device", "cuda") == 1
    assert capsys.readouterr().err.splitlines() == [
        "counterbias: --bias-device cuda: torch finds no GPU. Use --bias-device cpu"
    ]
