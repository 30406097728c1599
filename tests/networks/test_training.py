"""The loop: learning rates, weight decay and early stopping, against one written out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks of torch need it (extra torch)")

import torch
from torch import nn

from counterbias_torch.data import Form
from counterbias_torch.fitting import matrices
from counterbias_torch.rows import SOFTMAX, Part, Rows
from counterbias_torch.stack import CODES, Modules
from counterbias_torch.trainer import Job, Plan, Trainer
from tests.networks.examples import PROCESSOR, Words, convolution, random_windows

pytestmark = pytest.mark.usefixtures("one_thread")
PLAN = Plan(epochs=4, steps=25, batches=(6,), learning_rate=0.05, decay=0.3, patience=9)


def test_learning_rate_rises_for_a_twentieth_of_the_steps_then_falls_to_nothing() -> None:
    rates = [PLAN.rate(step) for step in range(1, 101)]
    assert rates[0] == pytest.approx(0.05 * 0.2 * (1 + math.cos(math.pi / 100)) / 2)
    assert rates[4] == max(rates) == pytest.approx(0.05 * (1 + math.cos(math.pi / 20)) / 2)
    assert rates[49] == pytest.approx(0.025)
    assert rates[99] == 0


def test_weight_decay_is_for_matrices() -> None:
    assert matrices(convolution(8)) == {"0.weight", "2.weight"}
    assert matrices(Words(8, 0.0)) == {"base.weight", "score.weight"}


def planted_sets(n: int, seed: int) -> Rows:
    """Return sets of three windows of four bases; what is chosen tends to begin with A."""
    rng = np.random.default_rng(seed)
    windows = random_windows(3 * n, 4, seed).reshape(n, 3, 4)
    odds = np.where(windows[:, :, 0] == 0, 5.0, 1.0)
    edges = (odds / odds.sum(axis=1, keepdims=True)).cumsum(axis=1)
    chosen = (rng.random((n, 1)) > edges[:, :2]).sum(axis=1)
    return Rows(
        windows.reshape(n, -1),
        np.eye(3, dtype=np.float32)[chosen],
        rng.uniform(0.5, 2, n).astype(np.float32),
        SOFTMAX,
    )


def loss_of(module: nn.Module, rows: Rows, chosen: np.ndarray) -> torch.Tensor:
    """Return the mean loss of some sets, weighted."""
    windows = torch.from_numpy(rows.sequence[chosen]).long().reshape(-1, 4)
    scores = module(windows).reshape(len(chosen), 3)
    targets = torch.from_numpy(rows.targets[chosen])
    each = -(targets * torch.log_softmax(scores, dim=1)).sum(dim=1)
    return (torch.from_numpy(rows.weights[chosen]) * each).mean() / float(rows.weights.mean())


def test_training_is_a_plain_loop_of_adamw() -> None:
    learnt, checked = planted_sets(50, 1), planted_sets(30, 2)
    torch.manual_seed(1)
    module, other = Words(4, 0.0), Words(4, 0.0)
    other.load_state_dict(module.state_dict())
    job = Job((Part.of_all(learnt),), (Part.of_all(checked),), seed=3)
    plan = Plan(**{**vars(PLAN), "decayed": matrices(module)})
    trainer = Trainer(Modules([module], CODES), [job], plan, Form(4, False), PROCESSOR)
    steps: list[int] = []
    trainer.run(steps.append)
    (course,) = trainer.courses

    optimizer = torch.optim.AdamW(
        [
            {"params": [other.base.weight, other.score.weight], "weight_decay": 0.3},
            {"params": [other.score.bias], "weight_decay": 0.0},
        ]
    )
    rng, order = np.random.default_rng(3), np.zeros(0, np.int64)
    validation, states = [], []
    for step in range(1, 101):
        if len(order) < 6:
            order = np.concatenate([order, rng.permutation(50)])
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * min(1, step / 5) * 0.5 * (1 + math.cos(math.pi * step / 100))
        optimizer.zero_grad()
        loss_of(other, learnt, order[:6]).backward()
        optimizer.step()
        order = order[6:]
        if step % 25 == 0:
            validation.append(loss_of(other, checked, np.arange(30)).item())
            states.append({name: value.clone() for name, value in other.state_dict().items()})

    assert sum(steps) == 100
    assert [loss for (loss,) in course.validation] == pytest.approx(validation, rel=1e-4)
    assert min(validation) < 0.97 * math.log(3)
    assert course.best == 1 + int(np.argmin(validation))
    for name in ("base.weight", "score.weight"):  # a bias changes no softmax
        torch.testing.assert_close(
            course.state[name], states[course.best - 1][name], rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize("early", [True, False])
def test_the_best_epoch_is_kept_where_validation_decides(early: bool) -> None:
    """Validated on its opposite, a network is the worse the longer it learns."""
    learnt = planted_sets(50, 1)
    opposite = Rows(learnt.sequence, 1 - learnt.targets, learnt.weights, SOFTMAX)
    plan = Plan(**{**vars(PLAN), "patience": 2, "early_stopping": early})
    job = Job((Part.of_all(learnt),), (Part.of_all(opposite),), seed=3)
    module = Words(4, 0.0)
    trainer = Trainer(Modules([module], CODES), [job], plan, Form(4, False), PROCESSOR)
    steps: list[int] = []
    trainer.run(steps.append)
    (course,) = trainer.courses
    assert (course.best, len(course.training)) == ((1, 3) if early else (4, 4))
    assert sum(steps) == plan.total  # those that were saved are counted, too
    same = [torch.equal(value, course.state[name]) for name, value in module.state_dict().items()]
    assert all(same) is not early
