"""Options of ours that have no effect are reported in one warning; htseq-count's are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterbias.cli import main


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate a few hundred single reads; return the folder."""
    folder = tmp_path_factory.mktemp("idle") / "study"
    small = ["--genes", "8", "--contigs", "1", "--pairs", "1500", "--library", "single"]
    assert main(["simulate", "-q", "-o", str(folder), *small]) == 0
    return folder


@pytest.fixture(scope="module")
def model(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fit a model; return its file."""
    prefix = tmp_path_factory.mktemp("model") / "fitted"
    assert (
        main(
            [
                "count",
                "-q",
                *(word.replace("GENOME", str(files / "genome.fa")) for word in BIAS),
                "--bias-output",
                str(prefix),
                "-c",
                f"{prefix}.tsv",
                *inputs(files),
            ]
        )
        == 0
    )
    return prefix.with_name("fitted.model")


BIAS = ("--bias-model", "pwm", "--bias-genome", "GENOME")


def inputs(files: Path) -> list[str]:
    (bam,) = files.glob("*.bam")
    return ["-s", "no", "-r", "pos", str(bam), str(files / "genes.gtf")]


def warnings(capfd: pytest.CaptureFixture[str], argv: list[str], status: int = 0) -> list[str]:
    """Run a command; return its warnings about options without effect."""
    capfd.readouterr()
    assert main(argv) == status
    messages = [line for line in capfd.readouterr().err.splitlines() if " nothing" in line]
    assert all(line.startswith("Warning: ") for line in messages)
    return [line.removeprefix("Warning: ") for line in messages]


def count(files: Path, options: str, *, model: Path | None = None) -> list[str]:
    words = options.replace("MODEL", str(model)).replace("GENOME", str(files / "genome.fa")).split()
    return ["count", "-q", *words, *inputs(files)]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have bias files without a given name written to a folder of the test's."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "--bias-window 5,5 --bias-cap none",
            "--bias-window and --bias-cap change nothing without a bias model (--bias-model)",
        ),
        # Given, though it is the default.
        (
            "--bias-window 10,10",
            "--bias-window changes nothing without a bias model (--bias-model)",
        ),
        (
            "--bias-win 10,10",
            "--bias-window changes nothing without a bias model (--bias-model)",
        ),
        (
            "--bias-option a=1 --bias-device cpu --bias-sampling local --bias-ends first "
            "--bias-fragment-length 200,80 --bias-context genome",
            "--bias-option, --bias-device, --bias-sampling, --bias-ends, --bias-fragment-length "
            "and --bias-context change nothing without a bias model (--bias-model)",
        ),
        (
            "--bias-model none --bias-output x",
            "--bias-output changes nothing without a bias model (--bias-model)",
        ),
        (
            "--bias-seed 1",
            "--bias-seed changes nothing without a bias model or --nonunique random",
        ),
        (
            "--bias-genome GENOME",
            "--bias-genome changes nothing without a bias model (--bias-model) or CRAM files",
        ),
    ],
)
def test_count_without_a_model(
    files: Path, options: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert warnings(capfd, count(files, options)) == [message]


@pytest.mark.parametrize(
    "options",
    [
        "--bias-threads 2",
        "--bias-seed 3 --nonunique random",
        "--bias-counts raw",
        "-p BAM",
        "--counts-output-sparse",
        "--append-output",
        "-n 4 --max-reads-in-buffer 5 -f sam",
    ],
)
def test_options_with_an_effect_and_those_of_htseq_count_are_silent(
    files: Path, options: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert warnings(capfd, count(files, options)) == []


def test_all_options_have_an_effect_on_a_model(
    files: Path, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = (
        "--bias-window 8,8 --bias-cap 5 --bias-seed 2 --bias-ends first "
        "--bias-fragment-length 210,40 --bias-device cpu"
    )
    assert warnings(capfd, count(files, f"--bias-model pwm --bias-genome GENOME {options}")) == []
    assert (
        warnings(
            capfd,
            count(
                files, "--bias-model MODEL --bias-genome GENOME --bias-sampling paper", model=model
            ),
        )
        == []
    )


def test_gpu_for_what_is_not_trained_there(
    files: Path, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gpu = "--bias-genome GENOME --bias-device cuda"
    message = "--bias-device cuda changes nothing: {} is not trained on a GPU"
    assert warnings(capfd, count(files, f"--bias-model pwm {gpu}")) == [message.format("pwm")]
    assert warnings(capfd, count(files, f"--bias-model MODEL {gpu}", model=model)) == [
        message.format("a saved model")
    ]
    argv = [
        "compare",
        "-q",
        "-o",
        "out",
        "--models",
        "pwm,heptamer",
        "--folds",
        "1",
        "--seeds",
        "1",
        "--no-figures",
    ]
    argv += ["--bias-genome", str(files / "genome.fa"), "--bias-device", "cuda", *inputs(files)]
    assert warnings(capfd, argv) == [message.format("pwm, heptamer")]


def test_compare(files: Path, model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bias = ["--bias-genome", str(files / "genome.fa"), *inputs(files)]
    argv = [
        "compare",
        "-q",
        "-o",
        "out",
        "--models",
        str(model),
        "--folds",
        "1",
        "--seeds",
        "1",
        "--no-figures",
        *bias,
    ]
    assert warnings(capfd, argv) == []
    assert warnings(capfd, [*argv, "--windows", "5,5"]) == [
        "--windows changes nothing where all models are files: each has its own window"
    ]
    assert main(["compare", "-o", "new", "--truth-scale", "counts", *bias]) == 1
    assert capfd.readouterr().err == "counterbias: --truth-scale needs --truth FILE\n"


def test_train(files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    argv = [
        "train",
        "-q",
        "-o",
        "a.model",
        "--bias-model",
        "pwm",
        "--bias-no-own",
        "--bias-genome",
        str(files / "genome.fa"),
        *inputs(files),
    ]
    assert warnings(capfd, argv) == []
    assert warnings(capfd, [*argv, "--bias-pool", "samples"]) == [
        "--bias-pool changes nothing where there is one sample"
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "--bias-model none --strength 2 --biased-ends both",
            ["--strength and --biased-ends change nothing with --bias-model none"],
        ),
        (
            "--strength 0 --biased-ends both",
            ["--biased-ends changes nothing with --strength 0"],
        ),
        (
            "--changed 0.2 --variation 0.1",
            [
                "--changed changes nothing where all samples are of one group (--groups)",
                "--variation changes nothing where there is one sample (--samples)",
            ],
        ),
        (
            "--changed 0.2 --switched 0.1",
            [
                "--changed and --switched change nothing where all samples are of one group"
                " (--groups)"
            ],
        ),
        (
            "--samples 2 --groups 2 --changed 0.2 --fold-changes 2 --variation 0.1 --strength 2 "
            "--biased-ends both --switched 0",
            [],
        ),
    ],
)
def test_simulate(options: str, message: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    argv = [
        "simulate",
        "-q",
        "-o",
        "out",
        "--genes",
        "5",
        "--contigs",
        "1",
        "--pairs",
        "50",
        *options.split(),
    ]
    assert warnings(capfd, argv) == message


def test_option_that_there_is_not(files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(count(files, "--bias-bootstrap 2"))
    assert stopped.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert (
        line
        == "counterbias: unrecognized arguments: --bias-bootstrap. See `counterbias count --help`"
    )
