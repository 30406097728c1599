r"""False and true calls of differential expression between groups that differ in their bias.

    python benchmarks/validation/differential.py --bias fly.model --seeds 21,31,32 \
        --json differential.json

Each scenario is a study of `counterbias simulate`: two groups of samples, whose bias differs or
does not, and whose truly changed genes are known. DESeq2, edgeR and limma-voom test the same reads
as raw counts, as raw counts with offsets (from effective lengths, as in
docs/how-to/differential-expression.md), and as corrected counts; with bias models trained on each
sample alone, and with the true bias as the limit. R runs the tests (differential.R).
docs/explanation/when-it-matters.md has the results.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import estimates as est
import numpy as np
import reporting as rep
from numpy.typing import NDArray

from counterbias import InputError, count_reads, simulation
from counterbias.messages import Messages
from counterbias.pipeline.simulate import SimulationOptions, simulate
from counterbias.pipeline.simulate.biases import make_bias
from counterbias.pipeline.simulate.streams import Stream, random_stream
from counterbias.simulation_options import GroupBias

SCRIPT = "differential.py"
R_SCRIPT = Path(__file__).with_name("differential.R")
#: R packages that differential.R needs → Debian packages.
PACKAGES = {
    "DESeq2": "r-bioc-deseq2",
    "edgeR": "r-bioc-edger",
    "limma": "r-bioc-limma",
    "statmod": "r-cran-statmod",
}
TESTS = ("DESeq2", "edgeR", "voom")
RAW, TRUE = "raw", est.TRUE
FDR = 0.05
#: Library → whether reads are paired, and fragments per sample.
LIBRARIES = {"single": (False, 100_000), "paired": (True, 100_000), "deep": (True, 600_000)}
#: How the groups differ in bias → strength of the bias in each.
CONTRASTS = {"strong": (1.0, 0.0), "half": (1.0, 0.5), "equal": (1.0, 1.0), "unbiased": (0.0, 0.0)}
#: Other words of a scenario → what they set.
WORDS = {"unchanged": {"changed": 0.0}, "varied": {"variation": 0.2}}
SCENARIOS = ",".join(
    f"{library}{rest}"
    for library in ("single", "paired")
    for rest in ("", "-varied", "-unchanged", "-half", "-equal", "-unbiased")
)


@dataclass(frozen=True)
class Scenario:
    """The design of a study.

    Args:
        name: its words, joined by hyphens.
        library, contrast: a key of LIBRARIES and one of CONTRASTS.
        changed: fraction of the genes that truly differ between the groups.
        variation: standard deviation of a gene's log abundance between samples of a group, nats.
    """

    name: str
    library: str
    contrast: str = "strong"
    changed: float = 0.2
    variation: float = 0.05


def scenario(name: str) -> Scenario:
    """Parse a scenario: a library, then contrasts and other words, as in ``single-half-varied``."""
    library, *words = name.split("-")
    settings: dict[str, Any] = {}
    for word in words:
        settings |= {"contrast": word} if word in CONTRASTS else WORDS.get(word, {"unknown": word})
    if library not in LIBRARIES or "unknown" in settings:
        words = ", ".join((*CONTRASTS, *WORDS))
        raise argparse.ArgumentTypeError(
            f"'{name}': must be one of {', '.join(LIBRARIES)}, and after a hyphen any of {words}"
        )
    return Scenario(name, library, **settings)


def scenarios(text: str) -> list[Scenario]:
    """Parse comma-separated scenarios (for argparse)."""
    return [scenario(name) for name in rep.names(text)]


# -- one study: simulated, counted, tested ---------------------------------------------------------


@dataclass(frozen=True)
class Study:
    """A simulated study on disk.

    Args:
        folder: the files of `counterbias simulate`.
        names, groups: name and group of each sample.
        library: the design of the libraries.
        biases: the bias of each group, None for a group without bias.
    """

    folder: Path
    names: tuple[str, ...]
    groups: tuple[int, ...]
    library: simulation.Library
    biases: tuple[simulation.PrimingBias | simulation.ScoredBias | None, ...]

    @property
    def samples(self) -> list[est.Sample]:
        """The files of each sample."""
        return [
            est.Sample(
                self.folder / f"{name}.bam", self.folder / "genes.gtf", self.folder / "genome.fa"
            )
            for name in self.names
        ]


@dataclass(frozen=True)
class Tables:
    """Tables of genes × samples.

    Args:
        genes: gene identifiers.
        counts: method → counts, float64 (genes, samples).
        lengths: method → effective lengths for offsets; absent for a method without offsets.
        applied: model → number of samples in which it passed the gate.
        seconds: model → wall time of counting and fitting.
    """

    genes: tuple[str, ...]
    counts: dict[str, NDArray[np.float64]]
    lengths: dict[str, NDArray[np.float64]]
    applied: dict[str, int]
    seconds: dict[str, float]


def simulate_study(
    wanted: Scenario, seed: int, folder: Path, arguments: argparse.Namespace
) -> Study:
    """Simulate a study as `counterbias simulate` does."""
    paired, fragments = LIBRARIES[wanted.library]
    number = max(1, round(fragments * arguments.scale))
    losses = {
        "multi_mapped": 0.03,
        "unmapped": 0.02,
        "unmapped_mate": 0.02 if paired else 0.0,
        "error_rate": 0.002,
    }
    library = simulation.Library(number, paired=paired, **losses)
    biases = tuple(GroupBias(arguments.bias, strength) for strength in CONTRASTS[wanted.contrast])
    size = {"samples": 2 * arguments.replicates, "groups": 2}
    design = simulation.StudyDesign(**size, variation=wanted.variation, changed=wanted.changed)
    options = SimulationOptions(
        folder,
        library,
        design,
        genes=arguments.genes,
        biases=biases,
        seed=seed,
        threads=arguments.threads,
    )
    report = simulate(options).report
    names = tuple(str(one["sample"]) for one in report["samples"])
    groups = tuple(int(str(one["group"]).removeprefix("group")) - 1 for one in report["samples"])
    messages = Messages(rep.log)
    made = [make_bias(bias, random_stream(seed, Stream.BIAS), messages) for bias in biases]
    return Study(
        folder,
        names,
        groups,
        library,
        tuple(one[0] if isinstance(one, tuple) else one for one in made),
    )


def count_study(study: Study, models: Sequence[str], seed: int, threads: int) -> Tables:
    """Count all samples once with each model, and once with the true bias."""
    first = study.samples[0]
    paths = [sample.alignments for sample in study.samples]
    run = count_reads(paths, first.annotation, options=first.options, threads=threads)
    raw = np.stack([np.asarray(one.counts, np.float64) for one in run.results], axis=1)
    tables = Tables(tuple(run.annotation.features.ids), {RAW: raw}, {}, {}, {})
    for model in models:
        began = time.perf_counter()
        bias = est.Training(seed=seed, threads=threads).options(first.genome, model)
        try:
            run = count_reads(
                paths, first.annotation, options=first.options, bias=bias, threads=threads
            )
        except InputError as problem:
            rep.log(f"{model}: not measured: {problem}")
            continue
        found = [est.counted(run, number, 0.0) for number in range(len(paths))]
        tables.applied[model], tables.seconds[model] = (
            sum(one.applied for one in found),
            time.perf_counter() - began,
        )
        _add(tables, model, [one.columns for one in found])
    lengths = np.asarray(run.annotation.features.lengths, np.float64)
    _add(
        tables,
        TRUE,
        [
            _true_columns(study, number, raw[:, number], lengths, threads)
            for number in range(len(paths))
        ],
    )
    return tables


def _add(tables: Tables, model: str, columns: Sequence[Any]) -> None:
    """Add the two methods that use a model: offsets and corrected counts."""
    tables.counts[f"{model}, offsets"] = tables.counts[RAW]
    tables.lengths[f"{model}, offsets"] = np.stack(
        [one["effective_length"] for one in columns], axis=1
    )
    tables.counts[f"{model}, corrected"] = np.stack([one["corrected"] for one in columns], axis=1)


def _true_columns(
    study: Study, number: int, raw: NDArray[np.float64], lengths: NDArray[np.float64], threads: int
) -> dict[str, NDArray[np.float64]]:
    """Count a sample with the true bias of its group and the simulated fragment lengths."""
    bias = study.biases[study.groups[number]]
    if bias is None:
        return {"effective_length": lengths, "corrected": raw}
    fragments = est.library_lengths(study.library)
    score = est.true_log_bias(bias)
    return dict(
        est.count_with_truth(
            study.samples[number], bias.window, score, fragments=fragments, threads=threads
        ).columns
    )


def run_tests(
    study: Study, tables: Tables, kept: NDArray[np.bool_], folder: Path
) -> dict[str, list[str]]:
    """Test the kept genes in R with every method, and return the columns of its results.

    Raises:
        RuntimeError: R failed.
    """
    folder.mkdir()
    genes = [gene for gene, keep in zip(tables.genes, kept, strict=True) if keep]
    conditions = [f"group{group + 1}" for group in study.groups]
    _write(
        folder / "samples.tsv", ["sample", "condition"], zip(study.names, conditions, strict=True)
    )
    rows = []
    for number, (method, counts) in enumerate(tables.counts.items()):
        files = {
            "counts": counts,
            **({"lengths": tables.lengths[method]} if method in tables.lengths else {}),
        }
        for table, values in files.items():
            lines = (
                [gene, *map(repr, line)]
                for gene, line in zip(genes, values[kept].tolist(), strict=True)
            )
            _write(folder / f"{table}{number}.tsv", ["gene", *study.names], lines)
        rows.append(
            [method, f"counts{number}.tsv", f"lengths{number}.tsv" if "lengths" in files else ""]
        )
    _write(folder / "methods.tsv", ["method", "counts", "lengths"], rows)
    done = subprocess.run(
        ["Rscript", str(R_SCRIPT), str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"differential.R failed: {' '.join(done.stderr.split())[-500:]}")
    return est.read_table(folder / "results.tsv")


def _write(path: Path, head: Sequence[str], rows: Any) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in [head, *rows]))


# -- calls against the truth -----------------------------------------------------------------------


def judge(results: dict[str, list[str]], changed: dict[str, bool]) -> list[dict[str, Any]]:
    """Count false and true calls at 5% FDR, a row for each method and test."""
    calls: dict[tuple[str, str], list[bool]] = {}
    for method, test, gene, adjusted in zip(
        *(results[name] for name in ("method", "test", "gene", "adjusted")), strict=True
    ):
        called = calls.setdefault((method, test), [])
        if adjusted != "NA" and float(adjusted) < FDR:
            called.append(changed[gene])
    rows = []
    for (method, test), called in calls.items():
        true = sum(called)
        false = len(called) - true
        rows.append(
            {
                "method": method,
                "test": test,
                "false": false,
                "true": true,
                "fdr": false / max(1, len(called)),
            }
        )
    return rows


def removed(
    study: Study, tables: Tables, kept: NDArray[np.bool_]
) -> tuple[float, dict[str, float]]:
    """Measure the difference in bias between the groups, and the fraction that each model removes.

    Returns the standard deviation over genes of the log2 ratio of the groups' true mean biases, and
    model → slope over genes of the log2 ratio of effective lengths on that ratio (1: all of the
    difference is removed). The latter is empty if both groups have the same bias.
    """
    truth = [est.read_table(study.folder / f"{name}.genes.tsv") for name in study.names]
    bias = np.stack(
        [
            est.in_order(one["gene_id"], tables.genes, np.array(one["mean_bias"], np.float64))
            for one in truth
        ],
        axis=1,
    )
    usable = kept & (bias > 0).all(axis=1)
    group = np.array(study.groups)

    def contrast(values: NDArray[np.float64]) -> NDArray[np.float64]:
        logs = np.log2(values[usable])
        difference = logs[:, group == 0].mean(axis=1) - logs[:, group == 1].mean(axis=1)
        return np.asarray(difference - difference.mean())

    wanted = contrast(bias)
    size = float((wanted**2).sum())
    found = {
        method: float((contrast(lengths) * wanted).sum())
        for method, lengths in tables.lengths.items()
    }
    differs = float(wanted.std())
    if differs < 1e-4:  # rounding: the tables have six digits
        return 0.0, {}
    return differs, {
        method.removesuffix(", offsets"): value / size for method, value in found.items()
    }


def measure_study(
    wanted: Scenario, seed: int, models: Sequence[str], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Simulate, count, test and evaluate one study."""
    with tempfile.TemporaryDirectory() as name:
        study = simulate_study(wanted, seed, Path(name) / "study", arguments)
        tables = count_study(study, models, seed, arguments.threads)
        kept = np.asarray(tables.counts[RAW].mean(axis=1) >= arguments.fewest)
        truth = est.read_table(study.folder / "truth.tsv")
        fold_changes = truth["log2_fold_change_group2"]
        changed = {
            gene: float(change) != 0.0
            for gene, change in zip(truth["gene_id"], fold_changes, strict=True)
        }
        rows = judge(run_tests(study, tables, kept, Path(name) / "tests"), changed)
        tested = [changed[gene] for gene, keep in zip(tables.genes, kept, strict=True) if keep]
        differs, parts = removed(study, tables, kept)
    about = {"scenario": wanted.name, "seed": seed, "tested": len(tested), "changed": sum(tested)}
    return {
        **about,
        "differs": differs,
        "removed": parts,
        "applied": tables.applied,
        "seconds": tables.seconds,
        "calls": rows,
    }


def measure(arguments: argparse.Namespace, studies: list[dict[str, Any]], save: Any) -> None:
    """Run every study that has not been run yet, saving after each."""
    done = {(one["scenario"], one["seed"]) for one in studies}
    for wanted in arguments.scenarios:
        for seed in arguments.seeds:
            if (wanted.name, seed) in done:
                continue
            studies.append(measure_study(wanted, seed, arguments.models, arguments))
            save()
            calls = studies[-1]["calls"]
            shown = {
                row["method"]: f"{row['false']} / {row['true']}"
                for row in calls
                if row["test"] == TESTS[0]
            }
            rep.log(f"{wanted.name}, seed {seed}: {TESTS[0]}, false / true calls: {shown}")


# -- tables ----------------------------------------------------------------------------------------


def cell(studies: list[dict[str, Any]], method: str, test: str, name: str) -> list[float]:
    """Return one figure of each study; none if the method is not available for the test."""
    return [
        row[name]
        for one in studies
        for row in one["calls"]
        if (row["method"], row["test"]) == (method, test)
    ]


def methods_of(studies: list[dict[str, Any]]) -> list[str]:
    """List the methods: raw counts, learnt models, the true bias."""
    every = dict.fromkeys(row["method"] for one in studies for row in one["calls"])
    return sorted(every, key=lambda method: (method != RAW, method.startswith(TRUE)))


def calls_table(studies: list[dict[str, Any]]) -> str:
    """Format false calls, true calls and the observed FDR of one scenario."""
    laid = [["method", *(f"{test}, {name}" for test in TESTS for name in ("false", "true", "FDR"))]]
    for method in methods_of(studies):
        cells = []
        for test in TESTS:
            cells += [
                rep.mean(cell(studies, method, test, name)).text(digits)
                for name, digits in (("false", 1), ("true", 1), ("fdr", 2))
            ]
        laid.append([method, *cells])
    return rep.markdown(laid)


def seeds_of(studies: list[dict[str, Any]]) -> str:
    return ", ".join(str(seed) for seed in sorted(one["seed"] for one in studies))


def summary_table(studies: list[dict[str, Any]]) -> str:
    """Format false and true calls of the first test, a row for each scenario."""
    methods = [method for method in methods_of(studies) if not method.endswith("corrected")]
    laid = [[f"{TESTS[0]}, false / true calls", "seeds", "bias differs by", "changed", *methods]]
    for name in dict.fromkeys(one["scenario"] for one in studies):
        own = [one for one in studies if one["scenario"] == name]
        differs, changed = (rep.mean(one[what] for one in own) for what in ("differs", "changed"))
        cells = [
            [rep.mean(cell(own, method, TESTS[0], calls)).text(0) for calls in ("false", "true")]
            for method in methods
        ]
        laid.append(
            [
                name,
                seeds_of(own),
                differs.text(2),
                f"{changed.value:.0f}",
                *(" / ".join(pair) for pair in cells),
            ]
        )
    return rep.markdown(laid)


def cost_table(studies: list[dict[str, Any]]) -> str:
    """Format the difference in true calls from raw counts, where both groups have the same bias."""
    methods = [method for method in methods_of(studies) if method != RAW]
    laid = [["true calls − raw", *methods]]
    for name in dict.fromkeys(one["scenario"] for one in studies):
        of_name = [one for one in studies if one["scenario"] == name]
        for test in TESTS:
            cells = []
            for method in methods:
                pairs = [
                    (cell([one], method, test, "true"), cell([one], RAW, test, "true"))
                    for one in of_name
                ]
                cells.append(
                    rep.mean(own[0] - raw[0] for own, raw in pairs if own and raw).text(
                        1, sign=True
                    )
                )
            laid.append([f"{name}, {test}", *cells])
    return rep.markdown(laid)


def size_table(studies: list[dict[str, Any]]) -> str:
    """Format the fraction of the groups' difference in bias that effective lengths remove."""
    names = list(dict.fromkeys(one["scenario"] for one in studies))
    laid = [["effective lengths", *names]]
    for model in dict.fromkeys(model for one in studies for model in one["removed"]):
        cells = []
        for name in names:
            of_name = [
                one for one in studies if one["scenario"] == name and model in one["removed"]
            ]
            cells.append(rep.mean(one["removed"][model] for one in of_name).text(2))
        laid.append([model, *cells])
    return rep.markdown(laid)


def report(studies: list[dict[str, Any]]) -> str:
    parts = ["### Summary", summary_table(studies)]
    for name in dict.fromkeys(one["scenario"] for one in studies):
        own = [one for one in studies if one["scenario"] == name]
        tested, changed = (
            rep.mean(one[what] for one in own).value for what in ("tested", "changed")
        )
        used = {model: sum(one["applied"][model] for one in own) for model in own[0]["applied"]}
        gate = "; ".join(f"{model} was used for {number} samples" for model, number in used.items())
        about = (
            f"Seeds {seeds_of(own)}; {tested:.0f} genes tested, of which {changed:.0f} changed. "
            f"{gate}."
        )
        parts += [f"### {name}", about, calls_table(own)]
    same = [one for one in studies if not one["removed"] and one["changed"]]
    differing = [one for one in studies if one["removed"]]
    if differing:
        parts += ["### Part of the difference in bias that is removed", size_table(differing)]
    if same:
        parts += ["### What it costs where the bias is the same", cost_table(same)]
    return "\n\n".join(parts)


def draw(studies: list[dict[str, Any]], folder: Path) -> Path:
    """Draw the false calls of DESeq2 in each scenario, with a colour for each method."""
    names = list(dict.fromkeys(one["scenario"] for one in studies))
    methods = [method for method in methods_of(studies) if not method.endswith("corrected")]
    figure, (panel,) = rep.canvas(9, 1.2 + 0.4 * len(names))
    for number, method in enumerate(methods):
        means = [
            rep.mean(
                cell([one for one in studies if one["scenario"] == name], method, TESTS[0], "false")
            )
            for name in names
        ]
        heights = np.arange(len(names)) + 0.8 * (number + 0.5) / len(methods) - 0.4
        errors = [np.nan_to_num(one.error) for one in means]
        colour = "black" if method == RAW else rep.COLOURS[number % len(rep.COLOURS)]
        panel.barh(
            heights,
            [one.value for one in means],
            0.8 / len(methods),
            xerr=errors,
            color=colour,
            label=method,
        )
    panel.set_yticks(range(len(names)), names)
    panel.invert_yaxis()
    panel.set_xlabel(f"genes called by {TESTS[0]} that did not change")
    panel.legend(fontsize=8)
    return rep.save_figure(figure, folder, "differential")


# -- command line ----------------------------------------------------------------------------------


def r_versions() -> dict[str, str | None]:
    """Return the R packages: name → version, None if not installed; all None without R."""
    if shutil.which("Rscript") is None:
        return dict.fromkeys(PACKAGES)
    names = ", ".join(f'"{name}"' for name in PACKAGES)
    code = (
        f"for (p in c({names})) cat(p, if (nzchar(system.file(package = p))) "
        "packageDescription(p)$Version else '', '\\n', sep = '\\t')"
    )
    lines = subprocess.run(
        ["Rscript", "-e", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {name: version or None for name, version, *_ in (line.split("\t") for line in lines)}


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = rep.parser_for(
        "Test for differential expression in simulated studies whose groups differ in bias."
    )
    parser.add_argument(
        "--scenarios",
        type=scenarios,
        default=SCENARIOS,
        help="studies, words joined by hyphens [%(default)s]",
    )
    parser.add_argument(
        "--models", type=rep.names, default="auto", help="bias models [%(default)s]"
    )
    parser.add_argument(
        "--bias",
        default="builtin",
        metavar="builtin|FILE",
        help="the bias to simulate [%(default)s]",
    )
    parser.add_argument(
        "--seeds", type=rep.whole_numbers, default="21,31,32", help="seeds [%(default)s]"
    )
    parser.add_argument("--genes", type=int, default=400, help="genes [%(default)s]")
    parser.add_argument("--replicates", type=int, default=3, help="samples per group [%(default)s]")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor on the number of reads [%(default)s]"
    )
    parser.add_argument(
        "--fewest",
        type=float,
        default=10,
        help="minimum mean raw count of a gene to be tested [%(default)s]",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep the studies in the --json file and add the missing ones",
    )
    arguments = parser.parse_args(argv)
    if arguments.resume and arguments.json is None:
        parser.error("--resume needs --json")
    if arguments.replicates < 2 or arguments.scale <= 0:
        parser.error("tests need at least 2 samples per group, and a positive --scale")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    versions = r_versions()
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        packages = " ".join(PACKAGES[name] for name in missing)
        rep.log(
            f"error: R has no {', '.join(missing)}; install Debian's {packages}, "
            "or these packages in R"
        )
        return 1
    settings = {
        name: getattr(arguments, name)
        for name in ("models", "genes", "replicates", "scale", "fewest")
    }
    settings["bias"] = Path(arguments.bias).name
    studies = rep.resumed(arguments, settings, "studies")
    if studies is None:
        return 1

    def save() -> None:
        rep.write_json(
            arguments.json,
            SCRIPT,
            argv,
            {"settings": settings, "versions": versions, "studies": studies},
        )

    try:
        measure(arguments, studies, save)
    except InputError as problem:
        rep.log(f"error: {problem}")
        return 1
    save()
    print(report(studies))
    if arguments.figures is not None:
        print(f"\nfigure: {draw(studies, arguments.figures).name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
