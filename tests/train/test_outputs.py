"""Where train's model goes into a stream: the report needs a place, the model its own stream."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.helpers.output_inputs import fails, make_inputs, names, run

INPUTS = ("reads.bam", "genes.gtf")
TRAIN = ("train", "-q", "--bias-no-own", "--bias-model", "pwm", "--bias-genome", "genome.fa", "-o")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    make_inputs(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/2", "/dev/null", "pipe"])
def test_a_stream_beside_which_there_is_no_place_for_the_report(files: Path, name: str) -> None:
    os.mkfifo(files / "pipe")
    before = names(files)
    line = fails(run(files, *TRAIN, name, *INPUTS))
    assert line == (
        f"counterbias: {name}: -o is not a file, and the report is written next to the model. "
        "Name a file, or a link or pipe that ends in .model"
    )
    assert names(files) == before
    assert not os.path.exists("/dev/stdout.counterbias-train.json")


def test_the_model_has_standard_output_for_itself(files: Path) -> None:
    (files / "m.model").symlink_to("/dev/stdout")
    done = run(files, *TRAIN, "m.model", *INPUTS)
    assert done.returncode == 0, done.stderr
    (files / "copy.model").write_bytes(done.stdout)
    again = run(
        files, "count", "-q", "--bias-model", "copy.model", "--bias-genome", "genome.fa", *INPUTS
    )
    assert again.returncode == 0, again.stderr
