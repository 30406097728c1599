"""Random command lines of all commands, for records and for simulated samples."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.fuzz import make_models
from tests.fuzz.targets.bam_counts import random_counting


@dataclass(frozen=True)
class Data:
    """A folder that ``simulate`` makes.

    Args:
        options: of ``simulate``.
        stranded: how to count its samples.
        samples: their names.
        orders: how their files are sorted.
    """

    options: str
    stranded: str = "no"
    samples: Sequence[str] = ("sample1",)
    orders: Sequence[str] = ("pos",)


#: What is counted, trained on and compared.
DATA = (
    Data(
        "--genes 30 --pairs 3000 --samples 2 --order both --seed 3",
        samples=("sample1", "sample2"),
        orders=("pos", "name"),
    ),
    Data(
        "--genes 20 --contigs 1 --pairs 2500 --library single --stranded yes --trim 3"
        " --gc-bias 0.1 --seed 4",
        stranded="yes",
    ),
    Data(
        "--genes 30 --contigs 1 --pairs 1500 --stranded reverse --samples 4 --groups 2"
        " --isoforms 0.9 --overlapping 0.3 --switched 0.3 --order both --seed 5",
        stranded="reverse",
        samples=("sample1", "sample2", "sample3", "sample4"),
        orders=("pos", "name"),
    ),
    Data(
        "--genes 12 --contigs 1 --pairs 4000 --read-length 90 --fragment-sd 70 --errors 0.02"
        " --multimapped 0.2 --unmapped-mates 0.2 --duplicates 0.3 --order name --seed 6",
        orders=("name",),
    ),
)
#: Backend → how often it is drawn; networks, whose options below make them quick, take longest.
BACKENDS = {
    "pwm": 8, "heptamer": 4, "vlmm": 4, "bayesnet": 3, "ensemble": 2, "cnn": 2, "gru": 2, "lstm": 1,
}  # fmt: skip
#: As many steps as it takes until another last bit shows in what is saved.
STEPS = {"hidden": 4, "epochs": 3, "min_steps": 300}
OPTIONS = {**make_models.OPTIONS, "gru": STEPS, "lstm": STEPS}


def counting(options: Mapping[str, str | int]) -> list[str]:
    """Return the words for options of counting, by their names in the program."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]


def count_records(rng: random.Random, options: Mapping[str, str | int]) -> list[str]:
    """Draw a command that counts ``reads.bam``."""
    words = ["count", *counting(options), *_outputs(rng, 1)]
    words += rng.choice(([], [], ["--bias-threads", "2"]))
    words += rng.choice(([], [], ["--nonunique", "random", "--bias-seed", str(rng.randrange(9))]))
    words += rng.choice(([], [], [], ["--additional-attr", "gene_id"], ["--add-chromosome-info"]))
    return words


def _outputs(rng: random.Random, files: int) -> list[str]:
    """Draw where counts and tagged alignments go."""
    words = rng.choice(
        (
            [],
            [],
            ["--with-header"],
            ["-c", "counts.tsv"],
            ["-c", "counts.csv", "-d", ","],
            ["-c", "counts.mtx", "--counts-output-sparse"],
        )
    )
    if rng.random() < 0.4:
        form = rng.choice(("sam", "bam"))
        for number in range(files):
            words = [*words, "-o", f"tagged{number}.{form}"]
        words = [*words, "-p", form]
    return words


def _samples(rng: random.Random, number: int, at_least: int = 1) -> tuple[list[str], list[str]]:
    """Draw samples of a data set; return the words that say how to count them, and their files."""
    data = DATA[number]
    order = rng.choice(data.orders)
    suffix = ".name.bam" if order == "name" else ".bam"
    chosen = sorted(rng.sample(data.samples, rng.randint(at_least, len(data.samples))))
    stranded = data.stranded if rng.random() < 0.7 else rng.choice(("yes", "no", "reverse"))
    words = ["--order", order, "--stranded", stranded]
    words += rng.choice(([], [], counting(random_counting(rng, order=order, stranded=stranded))))
    return words, [f"{{data}}/{name}{suffix}" for name in chosen]


def _bias(rng: random.Random) -> list[str]:
    """Draw options that ``count`` and ``train`` share."""
    words = ["--bias-genome", "{data}/genome.fa", "--bias-seed", str(rng.randrange(99))]
    words += rng.choice(([], ["--bias-threads", "2"]))
    words += rng.choice(([], [], ["--bias-sampling", "paper"], ["--bias-sampling", "seqbias"]))
    words += rng.choice(([], [], ["--bias-context", "transcript"]))
    return words


def _window(rng: random.Random) -> list[str]:
    return rng.choice(([], ["--bias-window", rng.choice(("3,8", "8,12", "16,10", "20,20"))]))


def _model(rng: random.Random) -> list[str]:
    name = rng.choices(list(BACKENDS), list(BACKENDS.values()))[0]
    options = dict(OPTIONS.get(name, {}))
    if name in ("gru", "lstm"):
        options["head"] = rng.choice(("shared", "position"))
        options["objective"] = rng.choice(("language", "ratio"))
    return [
        *("--bias-model", name),
        *(word for pair in options.items() for word in ("--bias-option", _option(*pair))),
    ]


def _option(name: str, value: Any) -> str:
    return f"{name}={','.join(value) if isinstance(value, tuple) else str(value).lower()}"


def _count(rng: random.Random, number: int) -> list[list[str]]:
    words, files = _samples(rng, number)
    words += _outputs(rng, len(files))
    return [["count", "-q", *words, *rng.choice(([], ["-n", "2"])), *files, "{data}/genes.gtf"]]


def _use_of_models(rng: random.Random) -> list[str]:
    """Draw options of ``count`` for what a model is used for."""
    words = ["--bias-output", "bias"]
    words += rng.choice(([], ["--bias-cap", "none"], ["--bias-cap", "3"]))
    words += rng.choice(([], [], ["--bias-ends", "first"]))
    words += rng.choice(([], ["--bias-lengths", "transcripts"], ["--bias-lengths", "union"]))
    words += rng.choice(([], [], ["--bias-fragment-length", "180,40"]))
    kind = rng.choice(("raw", "weighted", "corrected", "rounded"))
    return [*words, "--bias-counts", kind]


def _count_biased(rng: random.Random, number: int) -> list[list[str]]:
    words, files = _samples(rng, number)
    outputs = _outputs(rng, 1)
    if rng.random() < 0.12:
        model = ["--bias-model", "none", "--bias-lengths", "transcripts", "--bias-output", "bias"]
        return [["count", "-q", *words, *model, *outputs, files[0], "{data}/genes.gtf"]]
    if rng.random() < 0.15:
        model = ["--bias-model", f"{{models}}/{rng.choice(('pwm', 'vlmm', 'cnn', 'gru'))}.model"]
    else:
        model = [*_model(rng), *_window(rng)]
    words += [*model, *_bias(rng), *_use_of_models(rng), *outputs]
    return [["count", "-q", *words, files[0], "{data}/genes.gtf"]]


def _train(rng: random.Random, number: int) -> list[list[str]]:
    """Draw a training, and a sample to use the model for."""
    words, files = _samples(rng, number, min(2, len(DATA[number].samples)))
    files = files[:2]
    rest = [*words, *_bias(rng)]
    pool = rng.choice(([], ["--bias-pool", "samples"], ["--bias-no-own"]))
    training = [*_model(rng), *pool, *_window(rng), "-o", "trained.model"]
    use = rng.choice(("--bias-model", "--bias-prior"))
    using = [use, "trained.model", *_use_of_models(rng)]
    return [
        ["train", "-q", *rest, *training, *files, "{data}/genes.gtf"],
        ["count", "-q", *rest, *using, files[0], "{data}/genes.gtf"],
    ]


def _compare(rng: random.Random, number: int) -> list[list[str]]:
    words, files = _samples(rng, number)
    models = ",".join(rng.sample(("pwm", "heptamer", "vlmm", "bayesnet:max_parents=1"), 2))
    rest = ["--folds", "2", "--seeds", "1", "--no-figures", "-o", "compared"]
    genome = ["--bias-genome", "{data}/genome.fa"]
    files = files[:2]
    return [
        ["compare", "-q", *words, "--models", models, *rest, *genome, *files, "{data}/genes.gtf"]
    ]


def _simulate(rng: random.Random, number: int) -> list[list[str]]:
    def maybe(*words: str) -> list[str]:
        return rng.choice(([], list(words)))

    words = ["--pairs", str(rng.choice((1, 50, 1500))), "--seed", str(rng.randrange(99))]
    if rng.random() < 0.4:
        words += ["--genome", "{data}/genome.fa", "--annotation", "{data}/genes.gtf"]
    else:
        words += ["--genes", str(rng.choice((3, 20))), *maybe("--isoforms", "0.8")]
    words += maybe("--library", "single") or maybe("--biased-ends", "read1")
    words += maybe("--samples", "4", "--groups", "2", "--strength", "1,0.4")
    words += [*maybe("--fastq"), *maybe("--order", "both"), *maybe("--threads", "2")]
    words += [*maybe("--trim", "2"), *maybe("--duplicates", "0.2"), *maybe("--gc-bias", "-0.2")]
    words += [*maybe("--errors", "0.05"), *maybe("--multimapped", "0.3")]
    words += rng.choice(([], [], ["--bias-model", "{models}/pwm.model"], ["--bias-model", "none"]))
    return [["simulate", "-q", "-o", "simulated", *words]]


#: What to do with simulated samples, and how often.
KINDS = {_count: 8, _count_biased: 16, _train: 2, _compare: 1, _simulate: 4}


def on_samples(rng: random.Random) -> tuple[int, list[list[str]]]:
    """Draw commands; return the number of the data set they use, and their words."""
    number = rng.randrange(len(DATA))
    kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
    return number, kind(rng, number)
