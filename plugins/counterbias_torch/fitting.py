"""Train the networks of several fits: side by side on a GPU, on several threads of a processor."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from counterbias_torch.checks import draws_random_numbers
from counterbias_torch.data import Form
from counterbias_torch.devices import is_out_of_memory, reproducible
from counterbias_torch.lessons import kinds
from counterbias_torch.stack import Stack, stack_modules
from counterbias_torch.trainer import Course, Job, Plan, Trainer

_PROCESSOR = torch.device("cpu")
_generator = threading.Lock()


def matrices(module: nn.Module) -> frozenset[str]:
    """Return the names of the parameters with two axes or more: no biases, no scales."""
    return frozenset(name for name, value in module.named_parameters() if value.dim() > 1)


@dataclass(frozen=True)
class Pupil:
    """A network to be trained.

    Args:
        module: untrained.
        job: what it learns from.
        plan: how; only networks with the same plan are trained side by side.
    """

    module: nn.Module
    job: Job
    plan: Plan


@dataclass(frozen=True)
class Trained:
    """How a network was trained.

    Args:
        course: of its training, with its state.
        pieces: into how many pieces each batch was cut to fit in memory.
        plan: of its training.
    """

    course: Course
    pieces: int
    plan: Plan


@dataclass(frozen=True)
class Schooling:
    """What the training of all networks has in common.

    Args:
        takes: how modules take windows, one of ``stack.INPUTS``.
        form: of the windows.
        device: where networks are trained.
        threads: networks trained at a time on a processor.
        advance: called with numbers of steps taken.
        decayed: returns the names of the parameters with weight decay; by default :func:`matrices`.
        make_stack: stacks modules, with windows to try it with; by default ``stack.stack_modules``.
    """

    takes: str
    form: Form
    device: torch.device
    threads: int
    advance: Callable[[int], None]
    decayed: Callable[[nn.Module], frozenset[str]] = matrices
    make_stack: Callable[[Sequence[nn.Module], Tensor], Stack] | None = None


@contextmanager
def seeded(seed: int, device: torch.device = _PROCESSOR) -> Iterator[None]:
    """Seed torch's global generators, from which modules draw, and put them back afterwards.

    One thread at a time may do so.
    """
    with _generator, torch.random.fork_rng(devices=[] if device.type == "cpu" else [device]):
        torch.manual_seed(seed)
        yield


def train_pupils(pupils: Sequence[Pupil], schooling: Schooling) -> list[Trained]:
    """Train copies of networks of one architecture; return how, in their order.

    On a processor each is trained by itself, so that the number of threads changes nothing. On a
    GPU all networks with the same kinds of data and the same plan are trained side by side, where
    memory allows.

    Raises:
        MemoryError: it does not even allow one network with one row at a time.
    """
    if schooling.device.type == "cpu":
        return _one_by_one(pupils, schooling)
    trained: list[Trained | None] = [None] * len(pupils)
    groups: dict[object, list[int]] = {}
    for number, pupil in enumerate(pupils):
        groups.setdefault((kinds(pupil.job), pupil.plan), []).append(number)
    for numbers in groups.values():
        group = [pupils[number] for number in numbers]
        with seeded(group[0].job.seed, schooling.device), reproducible(schooling.device):
            found = _side_by_side(group, schooling)
        for number, one in zip(numbers, found, strict=True):
            trained[number] = one
    return [one for one in trained if one is not None]


def _one_by_one(pupils: Sequence[Pupil], schooling: Schooling) -> list[Trained]:
    with seeded(0):
        random = draws_random_numbers(pupils[0].module, schooling.takes, schooling.form.width)
    stop = threading.Event()

    def advance(steps: int) -> None:
        if stop.is_set():
            raise RuntimeError("training was stopped")
        schooling.advance(steps)

    def train(pupil: Pupil) -> Trained:
        # Where networks draw random numbers, one at a time does.
        own = seeded(pupil.job.seed) if random else nullcontext()
        with own, reproducible(schooling.device):
            (trained,) = _side_by_side([pupil], replace(schooling, advance=advance))
            return trained

    with ThreadPoolExecutor(min(schooling.threads, len(pupils))) as pool:
        try:
            return list(pool.map(train, pupils))
        except BaseException:
            stop.set()  # nobody wants the others any more
            raise


def _side_by_side(pupils: Sequence[Pupil], schooling: Schooling) -> list[Trained]:
    """Train networks at once, or one half after the other where memory is too small for that."""
    try:
        return _train(pupils, schooling)
    except (RuntimeError, MemoryError) as problem:
        if not is_out_of_memory(problem):
            raise
        if len(pupils) == 1:
            raise MemoryError(
                "memory is too small to train the network with one row at a time: make it smaller"
                + (", or use --bias-device cpu" if schooling.device.type == "cuda" else "")
            ) from problem
    if schooling.device.type == "cuda":
        torch.cuda.empty_cache()
    half = len(pupils) // 2
    return [*_side_by_side(pupils[:half], schooling), *_side_by_side(pupils[half:], schooling)]


def _train(pupils: Sequence[Pupil], schooling: Schooling) -> list[Trained]:
    device, jobs = schooling.device, [pupil.job for pupil in pupils]
    # Copies, so that networks can be trained anew where memory was too small for so many.
    modules = [deepcopy(pupil.module).to(device) for pupil in pupils]
    trial = torch.zeros(2, schooling.form.width, dtype=torch.uint8, device=device)
    if schooling.make_stack is not None:
        stack = schooling.make_stack(modules, trial)
    else:
        stack = stack_modules(modules, schooling.takes, trial)
    plan = replace(pupils[0].plan, decayed=schooling.decayed(modules[0]))
    trainer = Trainer(stack, jobs, plan, schooling.form, device)
    trainer.run(schooling.advance)
    return [Trained(course, trainer.pieces, plan) for course in trainer.courses]
