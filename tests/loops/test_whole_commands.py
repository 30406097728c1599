"""Loops compiled before give the bytes that numba gives, which compiles them for this processor.

``python -m tests.fuzz loops`` compares many more commands.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.case import Case
from tests.fuzz.targets import loops

PAIRS = "--order pos --stranded no {data}/sample1.bam {data}/genes.gtf"
SINGLE = "{data}/sample1.bam {data}/genes.gtf"
BIAS = "--bias-output bias --bias-genome {data}/genome.fa"
FEW_STEPS = "--bias-option min_steps=2 --bias-option max_steps=2"
#: As many steps as it takes until another last bit shows in what is saved.
STEPS = "--bias-option hidden=4 --bias-option epochs=3 --bias-option min_steps=300"
#: Number of the simulated samples, command: each runs loops that no other does.
COMMANDS = (
    (0, f"count --bias-threads 2 --nonunique fraction -o tagged.bam -p bam {PAIRS}"),
    (0, f"count --bias-model none --bias-lengths transcripts --bias-output lengths {PAIRS}"),
    (0, f"count --bias-model heptamer --bias-context transcript {BIAS} {PAIRS}"),
    (0, f"count --bias-model vlmm --bias-sampling seqbias {BIAS} {PAIRS}"),
    (0, f"count --bias-model bayesnet --bias-counts rounded {BIAS} {PAIRS}"),
    (1, f"count --bias-model pwm --bias-sampling paper -o tagged.sam {BIAS} {SINGLE}"),
    (0, f"count --bias-model cnn {FEW_STEPS} {BIAS} {PAIRS}"),
    (0, f"count --bias-model gru {STEPS} {BIAS} {PAIRS}"),
    (0, f"count --bias-model lstm {STEPS} {BIAS} {PAIRS}"),
    (1, "compare --models pwm,vlmm --folds 2 --seeds 1 --no-figures --output compared"
        " --bias-genome {data}/genome.fa " + SINGLE),
    (0, "simulate --pairs 2000 --genes 20 --fastq --order both --output simulated"),
    (1, "simulate --pairs 2000 --library single --gc-bias 0.1 --output simulated"
        " --genome {data}/genome.fa --annotation {data}/genes.gtf"),
)  # fmt: skip


@pytest.fixture(scope="module")
def processes() -> Iterator[None]:
    """End the two processes after the tests."""
    yield
    loops.stop()


# A test per command, in one module: two modules would compile most loops twice, and pytest-xdist,
# which begins with the modules that have most tests, would leave a single long test to the end.
@pytest.mark.slow
@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(("data", "command"), COMMANDS, ids=range(len(COMMANDS)))
def test_a_whole_command_writes_the_same_bytes(data: int, command: str) -> None:
    words = [*command.split(), "--quiet"]
    assert loops.check(Case([], {"data": data, "commands": [words]})).endswith("done")
