"""What ``count`` says of each sample at its end, and how it words what a quality report holds."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterbias.cli.count_summary import count_summary
from counterbias.pipeline.bias.auto import LADDER
from counterbias.weights.calibration import GAINS_TOO_LITTLE
from counterbias.writers.qc import build_qc

ENDINGS = (".counts.tsv", ".model", ".log")


def one_end(label: str = "both", **calibration: Any) -> dict[str, Any]:
    """Return the entry of a read end with a good model."""
    return {
        "end": label,
        "unique_starts": 36_172,
        "calibration": {
            "applied": True, "reason": "", "gain": 0.33021, "gain_error": 0.00485, **calibration,
        },
        "reliability": {"slope": 0.9943, "low": 0.9803, "high": 1.0084},
    }  # fmt: skip


#: A deep sample with a good model.
GOOD: dict[str, Any] = {
    "sample": "fly",
    "options": {"bias_model": "auto", "bias_prior": None, "nonunique": "none"},
    "counting": {"paired": True, "fragments": 40_000, "assigned": 34_234.0},
    "inputs": {"model": None},
    "model": {"backend": "cnn"},
    "ends": [one_end()],
    "weights": {
        "reads": 68_468, "capped": 379, "capped_share": 379 / 68_468,
        "effective_sample_size": 0.48749503,
    },
}  # fmt: skip


def summary(**changed: Any) -> dict[str, str]:
    """Return what is said of the good sample with some parts changed, by the lines' names."""
    parts = copy.deepcopy(GOOD)
    for name, value in changed.items():
        parts[name] = {**parts[name], **value} if isinstance(value, dict) else value
    lines = count_summary(build_qc(parts), "out/fly", ENDINGS)
    split = [line.split(": ", 2) for line in lines]
    assert {sample for sample, _, _ in split} == {"fly"}
    return {name: text for _, name, text in split}


def test_a_deep_sample_in_six_lines_that_fit_a_terminal() -> None:
    lines = count_summary(build_qc(GOOD), "out/fly", ENDINGS)
    assert lines == [
        "fly: assigned: 34,234 of 40,000 read pairs (85.6%) to a feature",
        "fly: model: cnn, which auto takes from 2,000 distinct read starts on; here are 36,172",
        "fly: gain: 0.330 ± 0.005 bits per read start on held-out parts of the genome "
        "(0 is chance)",
        "fly: size: right, slope 0.99, 95% interval 0.98 to 1.01 (1 is right)",
        "fly: weights: as precise as 48.7% of 68,468 equal reads (effective sample size); 0.6% "
        "capped",
        "fly: files: out/fly.counts.tsv, next to it .model, .log",
    ]
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("counting", "nonunique", "expected"),
    [
        ({"paired": False}, "none", "34,234 of 40,000 reads (85.6%) to a feature"),
        (
            {"paired": False, "fragments": 1, "assigned": 1.0},
            "none",
            "1 of 1 read (100.0%) to a feature",
        ),
        ({"assigned": 34_234.5}, "fraction", "34,234.5 of 40,000 read pairs (85.6%) to a feature"),
        ({"assigned": 0.0}, "none", "0 of 40,000 read pairs (0.0%) to a feature"),
        ({"assigned": 3.0}, "none", "3 of 40,000 read pairs (under 0.1%) to a feature"),
        ({"fragments": 0, "assigned": 0.0}, "none", "nothing: the alignments hold no reads"),
        (
            {"assigned": 50_000.0},
            "all",
            "50,000 times in all, of 40,000 read pairs; some may count more than once "
            "(--nonunique all)",
        ),
    ],
)
def test_how_many_were_assigned(counting: dict[str, Any], nonunique: str, expected: str) -> None:
    options = {"nonunique": nonunique}
    assert summary(counting=counting, options=options)["assigned"] == expected


def test_why_this_model() -> None:
    for rung in LADDER:
        said = summary(model={"backend": rung.backend})["model"]
        assert said.startswith(f"{rung.backend}, which auto takes ")
        assert (f"from {rung.fewest:,} distinct" in said) == bool(rung.fewest)
    assert summary(model={"backend": "heptamer"})["model"] == (
        "heptamer, which auto takes below 700 distinct read starts, or where no other can be "
        "trained; here are 36,172"
    )
    assert summary(options={"bias_model": "cnn"})["model"] == (
        "cnn, as asked for; learnt from 36,172 distinct read starts"
    )


def test_the_gpu_that_a_model_was_trained_on_is_named() -> None:
    def trained_on(label: str, device: str) -> dict[str, Any]:
        return {**one_end(label), "training": {"details": {"device": device}}}

    chosen = "cnn, as asked for; learnt from 36,172"
    options = {"bias_model": "cnn"}
    said = summary(options=options, ends=[trained_on("both", "NVIDIA H200")])["model"]
    assert said == f"{chosen} distinct read starts; trained on NVIDIA H200"
    assert "trained" not in summary(options=options, ends=[trained_on("both", "cpu")])["model"]
    both = [trained_on(label, "NVIDIA H200") for label in ("read1", "read2")]
    assert summary(options=options, ends=both)["model"] == (
        f"{chosen} (read 1) and 36,172 (read 2) distinct read starts; trained on NVIDIA H200"
    )


def test_the_model_of_a_file_is_named_by_the_file() -> None:
    inputs = {"model": "deep.model"}
    assert summary(inputs=inputs)["model"] == "cnn, from deep.model"
    unfit = one_end(applied=False, reason="nothing tells whether it fits: x")
    assert summary(inputs=inputs, ends=[unfit])["model"] == (
        "none, all weights are 1; deep.model is not used: nothing tells whether it fits: x"
    )


def test_a_model_that_gains_too_little() -> None:
    reason = f"its held-out gain of 0.0010 ± 0.0008 bits per start {GAINS_TOO_LITTLE}"
    refused = {"applied": False, "reason": reason, "gain": 0.00101, "gain_error": 0.00081}
    said = summary(ends=[one_end(**refused)])
    assert said["model"] == (
        "none, all weights are 1; cnn is not used: its gain is not above zero by 3 standard errors"
    )
    assert said["gain"].startswith("0.0010 ± 0.0008 bits per read start ")
    assert said["size"] == "nothing is corrected for bias"
    assert said["weights"] == "all are 1"


def test_a_sample_that_teaches_nothing() -> None:
    end = {**one_end(applied=False, gain=None, gain_error=None), "no_model": "no read is there"}
    said = summary(ends=[end])
    assert said["model"] == "none, all weights are 1; no read is there"
    assert said["gain"] == "not measured: there is no model to measure"


def test_two_ends_are_told_of_in_the_same_lines() -> None:
    second = one_end("read2", gain=0.3, gain_error=0.01)
    second |= {
        "unique_starts": 12_497,
        "reliability": {"slope": 1.12, "low": 1.05, "high": 1.19},
    }
    said = summary(ends=[one_end("read1"), second])
    assert list(said) == ["assigned", "model", "gain", "size", "weights", "files"]
    assert said["model"].endswith("here are 36,172 (read 1) and 12,497 (read 2)")
    assert said["gain"].startswith("0.330 ± 0.005 (read 1) and 0.300 ± 0.010 (read 2) bits")
    assert said["size"] == (
        "read 1: right, slope 0.99, 95% interval 0.98 to 1.01; "
        "read 2: slightly too small, slope 1.12, 95% interval 1.05 to 1.19 (1 is right)"
    )


def test_one_end_of_two_without_a_model_or_with_one_used_for_the_others_sake() -> None:
    bare = {**one_end("read2", applied=False, gain=None, gain_error=None), "no_model": "none is"}
    said = summary(ends=[one_end("read1"), bare])
    assert said["model"].endswith("; not used for read 2: none is")
    assert said["gain"].startswith("0.330 ± 0.005 (read 1) bits per read start")
    assert said["size"].startswith("read 1: right")
    swayed = one_end("read2", reason="its gain alone is too small")
    said = summary(ends=[one_end("read1"), swayed])
    assert said["model"].endswith("; used for read 2 only because the other read is biased")


def test_a_blend_with_a_prior() -> None:
    details = {"own_share": 0.17, "prior_share": 0.721, "own_gain": 0.163, "prior_gain": 0.2351}
    end = {**one_end(gain=0.226, gain_error=0.0121), "training": {"details": details}}
    said = summary(ends=[end], options={"bias_model": "pwm", "bias_prior": "deep.model"})
    assert said["model"].endswith("; blended: 0.17 × its own + 0.72 × deep.model")
    assert said["gain"].startswith(
        "0.226 ± 0.012 (own alone 0.163, prior alone 0.235) bits per read start"
    )


@pytest.mark.parametrize(
    ("slope", "low", "high", "expected"),
    [
        (1.0, 0.9, 1.1, "right, slope 1.00, 95% interval 0.90 to 1.10"),
        (1.0, 1.004, 1.2, "right, slope 1.00, 95% interval 1.00 to 1.20"),
        (1.08, 1.006, 1.2, "slightly too small, slope 1.08, 95% interval 1.01 to 1.20"),
        (1.05, 1.04, 1.06, "right, slope 1.05, 95% interval 1.04 to 1.06"),
        (0.96, 0.95, 0.97, "right, slope 0.96, 95% interval 0.95 to 0.97"),
        (1.06, 1.05, 1.07, "slightly too small, slope 1.06, 95% interval 1.05 to 1.07"),
        (1.12, 1.1, 1.14, "slightly too small, slope 1.12, 95% interval 1.10 to 1.14"),
        (1.5, 1.3, 1.7, "too small, slope 1.50, 95% interval 1.30 to 1.70"),
        (0.9, 0.8, 0.96, "slightly too large, slope 0.90, 95% interval 0.80 to 0.96"),
        (0.4, 0.2, 0.6, "too large, slope 0.40, 95% interval 0.20 to 0.60"),
        (0.98, None, None, "slope 0.98, with too few reads for an interval"),
    ],
)
def test_whether_the_correction_has_the_right_size(
    slope: float, low: float | None, high: float | None, expected: str
) -> None:
    end = {**one_end(), "reliability": {"slope": slope, "low": low, "high": high}}
    assert summary(ends=[end])["size"] == f"{expected} (1 is right)"


def test_a_size_that_could_not_be_measured() -> None:
    end = {**one_end(), "reliability": {}}
    assert summary(ends=[end])["size"] == "not measured: no exon has enough reads"


def test_weights_none_of_which_are_capped() -> None:
    said = summary(weights={"capped": 0, "capped_share": 0.0})["weights"]
    assert said == "as precise as 48.7% of 68,468 equal reads (effective sample size); none capped"


@pytest.mark.parametrize(
    ("method", "by"), [("union", "the union of exons"), ("transcripts", "transcripts")]
)
def test_lengths_alone_leave_out_what_is_about_a_model(method: str, by: str) -> None:
    parts = {**GOOD, "model": {"backend": "none"}, "lengths": {"method": method}, "ends": []}
    assert count_summary(build_qc(parts), "fly", (".counts.tsv", ".log")) == [
        "fly: assigned: 34,234 of 40,000 read pairs (85.6%) to a feature",
        f"fly: model: none; effective lengths are by {by}",
        "fly: files: fly.counts.tsv, next to it .log",
    ]


NUMBERS = st.none() | st.floats(-10, 10)
SHARES = st.floats(0, 1)


@st.composite
def ends(draw: st.DrawFn, label: str) -> dict[str, Any]:
    """Draw what a read end may look like, with any of its measures missing."""
    applied = draw(st.booleans())
    details = {name: draw(NUMBERS) for name in ("own_gain", "prior_gain")}
    details |= {"own_share": draw(SHARES), "prior_share": draw(SHARES)}
    return {
        **one_end(
            label,
            applied=applied,
            reason=draw(st.sampled_from(["a reason", f"a gain {GAINS_TOO_LITTLE}"])),
            gain=draw(NUMBERS),
            gain_error=draw(NUMBERS),
        ),
        "no_model": None if applied else draw(st.none() | st.just("nothing to learn from")),
        "reliability": {name: draw(NUMBERS) for name in ("slope", "low", "high")},
        "training": {"details": draw(st.none() | st.just({}) | st.just(details))},
    }


@given(
    st.one_of(st.tuples(ends("both")), st.tuples(ends("read1"), ends("read2"))),
    st.none() | SHARES,
    st.integers(0, 5),
)
def test_whatever_could_not_be_measured_is_told_of_in_words(
    entries: tuple[dict[str, Any], ...], effective: float | None, capped: int
) -> None:
    weights: dict[str, Any] = {"reads": 5, "capped": capped, "capped_share": capped / 5}
    weights |= {"effective_sample_size": effective}
    said = summary(ends=list(entries), weights=weights, options={"bias_prior": "deep.model"})
    assert list(said) == ["assigned", "model", "gain", "size", "weights", "files"]
    assert all(text and "None" not in text and "nan" not in text for text in said.values())
    corrected = any(end["calibration"]["applied"] for end in entries)
    assert said["model"].startswith("none, all weights are 1; ") == (not corrected)
    assert (said["weights"] == "all are 1") == (not corrected)
