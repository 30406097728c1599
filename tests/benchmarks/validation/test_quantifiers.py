"""The command lines of other programs: pairs, single-end reads, their corrections of bias."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterbias.options import AssumedLengths
from tests.benchmarks.validation.scripts import script

INDEX, OUT = Path("index"), Path("out")
PAIR = [Path("1.fq"), Path("2.fq")]


def test_pairs_need_no_fragment_lengths() -> None:
    made = script("quantifiers")
    salmon = made.salmon_quant(INDEX, PAIR, OUT, corrects=True, threads=3)
    assert " ".join(salmon) == ("salmon quant -i index -l IU -1 1.fq -2 2.fq -p 3 -o out --seqBias")
    kallisto = made.kallisto_quant(INDEX, PAIR, OUT, corrects=True)
    assert " ".join(kallisto) == (
        "kallisto quant -i index --plaintext -t 1 -o out --bias 1.fq 2.fq"
    )


def test_single_reads_are_told_the_fragment_lengths() -> None:
    made, lengths = script("quantifiers"), AssumedLengths(180, 20.5)
    salmon = made.salmon_quant(INDEX, PAIR[:1], OUT, lengths=lengths)
    assert " ".join(salmon) == (
        "salmon quant -i index -l U -r 1.fq --fldMean 180 --fldSD 20.5 -p 1 -o out"
    )
    kallisto = made.kallisto_quant(INDEX, PAIR[:1], OUT, lengths=lengths)
    assert kallisto[-6:] == ["--single", "-l", "180", "-s", "20.5", "1.fq"]
    # kallisto has no lengths of its own: what counting assumes is what it is told.
    assert made.kallisto_quant(INDEX, PAIR[:1], OUT)[-4:] == ["200", "-s", "80", "1.fq"]


def test_a_failure_is_told_in_the_program_s_words() -> None:
    with pytest.raises(RuntimeError, match=r"ls --no-such-option failed: .*unrecognized option"):
        script("quantifiers").run(["ls", "--no-such-option"])
    assert script("quantifiers").version("no-such-program") is None
