"""The options of ``counterbias count`` against htseq-count's own parser."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from counterbias.cli.arguments import annotation_options, counting_options
from counterbias.cli.bias_arguments import bias_options
from counterbias.cli.count import build_count_parser

#: Command lines that htseq-count accepts or refuses; {} stands for nothing special.
LINES = [
    "a.bam g.gtf",
    "a.bam b.bam c.bam g.gtf",
    "- g.gtf",
    "-f bam -r pos -s no -a 20 a.bam g.gtf",
    "--format=sam --order=name --stranded=reverse --minaqual=0 a.bam g.gtf",
    "-fbam -rpos -sno -a0 -mintersection-strict a.bam g.gtf",
    "-q -n 4 a.bam b.bam g.gtf",
    "-n 0 a.bam g.gtf",
    "a.bam g.gtf -t gene",
    "-t gene -t exon -t gene a.bam g.gtf",
    "-t exon a.bam g.gtf",
    "-t exon -t gene a.bam g.gtf",
    "-i gene_id -i exon_number a.bam g.gtf",
    "--idattr gene_name --type CDS a.bam g.gtf",
    "--additional-attr gene_name --additional-attr exon_number --additional-attr gene_name "
    "a.bam g.gtf",
    "--add-chromosome-info a.bam g.gtf",
    "-m union --nonunique fraction a.bam g.gtf",
    "--nonunique random --secondary-alignments score --supplementary-alignments score a.bam g.gtf",
    "-o x.sam -p sam a.bam g.gtf",
    "-o x.bam -o y.bam -p BAM a.bam b.bam g.gtf",
    "--samout x.sam --samout-format SAM a.bam g.gtf",
    "-d , -c out.csv --with-header a.bam g.gtf",
    "--delimiter=; --counts_output out.tsv --append-output a.bam g.gtf",
    "--counts-output-sparse -c x.mtx a.bam g.gtf",
    "--max-reads-in-buffer 17 a.bam g.gtf",
    "--feature-query x=='y' a.bam g.gtf",
    "-- a.bam g.gtf",
    # abbreviations
    "--form sam --ord pos --max 3 --str no --mina 3 a.bam g.gtf",
    "--ty gene --id x --add-c a.bam g.gtf",
    "--addi x --mod union --non all --sec score --sup score a.bam g.gtf",
    "--samout- BAM --samo=q a.bam g.gtf",
    "--del x --counts_ c.tsv --counts-o --app --np 3 --feat q --qui --wi a.bam g.gtf",
    "--order pos --orde name a.bam g.gtf",
    # refused by both
    "",
    "a.bam",
    "--nope a.bam g.gtf",
    "-x a.bam g.gtf",
    "-s maybe a.bam g.gtf",
    "-m intersection a.bam g.gtf",
    "-a high a.bam g.gtf",
    "--a x a.bam g.gtf",
    "--s no a.bam g.gtf",
    "--counts x a.bam g.gtf",
    "--m union a.bam g.gtf",
    "--n all a.bam g.gtf",
    "-p CRAM a.bam g.gtf",
    "-c a.bam g.gtf",
]


def parse_theirs(line: list[str], monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace | int:
    count = pytest.importorskip("HTSeq.scripts.count", reason="HTSeq is the oracle of these tests")
    monkeypatch.setattr(sys, "argv", ["htseq-count", *line])
    monkeypatch.setattr(count, "_check_samouts", lambda *_: None)
    monkeypatch.setattr(count, "_check_sam_files", lambda *_: None)
    try:
        return count._parse_sanitize_cmdline_arguments()
    except SystemExit as stop:
        return int(stop.code or 0)


def parse_ours(line: list[str]) -> argparse.Namespace | int:
    try:
        return build_count_parser().parse_args(line)
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.mark.parametrize("text", LINES)
def test_parses_as_htseq_count_does(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = text.split()
    theirs, ours = parse_theirs(line, monkeypatch), parse_ours(line)
    if isinstance(theirs, int) or isinstance(ours, int):
        assert ours == theirs == 2
        ours_written = [
            line
            for line in capsys.readouterr().err.splitlines()
            if line.startswith("counterbias: ")
        ]
        assert len(ours_written) == 1
        assert ours_written[0].endswith("See `counterbias count --help`")
        return
    expected, got = vars(theirs), vars(ours)
    # htseq-count adjusts these two after parsing.
    expected["nprocesses"], got["nprocesses"] = None, None
    if expected["samouts"] == [None] * len(expected["samfilenames"]):
        expected["samouts"] = []
    del expected["version"]
    assert {name: got[name] for name in expected} == expected
    assert all(name.startswith("bias_") for name in set(got) - set(expected))


def test_every_prefix_of_every_option_of_htseq_count_means_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {
        text: action
        for action in build_count_parser().actions
        for text in action.option_strings
        if text.startswith("--")
        and not text.startswith("--bias-")
        and text not in ("--help", "--version")
    }
    assert len(options) == 23
    tried = 0
    for option, action in options.items():
        value = (
            [] if action.nargs == 0 else [str(next(iter(action.choices)) if action.choices else 1)]
        )
        for length in range(3, len(option) + 1):
            line = [option[:length], *value, "a.bam", "g.gtf"]
            theirs, ours = parse_theirs(line, monkeypatch), parse_ours(line)
            capsys.readouterr()
            assert isinstance(ours, int) == isinstance(theirs, int), line
            if not isinstance(ours, int) and not isinstance(theirs, int):
                assert getattr(ours, action.dest) == getattr(theirs, action.dest), line
            tried += 1
    assert tried > 200


def test_new_options_and_their_defaults() -> None:
    parse = build_count_parser().parse_args
    given = vars(parse(["a.bam", "g.gtf"]))
    assert {name: value for name, value in given.items() if name.startswith("bias_")} == {
        "bias_model": None,
        "bias_genome": None,
        "bias_output": None,
        "bias_bigwig": None,
        "bias_window": None,
        "bias_option": [],
        "bias_counts": "raw",
        "bias_assigned": None,
        "bias_threads": 1,
        "bias_device": None,
        "bias_seed": None,
        "bias_sampling": None,
        "bias_prior": None,
        "bias_cap": None,
        "bias_ends": None,
        "bias_lengths": None,
        "bias_fragment_length": None,
        "bias_context": None,
        "bias_contig_alias": None,
    }
    line = (
        "--bias-model gru --bias-option hidden=5 --bias-option epochs=3 --bias-window 15,5 "
        "--bias-seed 7 -s no -t x -i a -i b"
    )
    arguments = parse(
        [*line.split(), "--add-chromosome-info", "--additional-attr", "n", "a.bam", "g.gtf"]
    )
    assert arguments.bias_option == ["hidden=5", "epochs=3"]
    assert str(bias_options(arguments, "gru").window) == "15,5"
    assert counting_options(arguments).seed == 7
    assert counting_options(arguments).stranded == "no"
    annotation = annotation_options(arguments)
    assert (annotation.feature_types, annotation.id_attributes) == (("x",), ("a", "b"))
    assert annotation.columns == ("n", "Chromosome")


def test_defaults_are_not_shared_between_runs() -> None:
    parser = build_count_parser()
    seen = [
        parser.parse_args(line.split()).feature_type
        for line in ("-t a a.bam g.gtf", "-t c a.bam g.gtf", "a.bam g.gtf")
    ]
    assert seen == [["a"], ["c"], ["exon"]]
    parser.parse_args(["--additional-attr", "b", "a.bam", "g.gtf"])
    assert parser.parse_args(["a.bam", "g.gtf"]).additional_attributes == []


@pytest.mark.parametrize(
    "option",
    [
        "--bias-window=10",
        "--bias-window=10,999",
        "--bias-window=a,b",
        "--bias-threads=0",
        "--bias-seed=-1",
        "--bias-cap=0.5",
        "--bias-cap=nan",
        "--bias-fragment-length=200",
        "--bias-fragment-length=200,80,1",
        "--bias-fragment-length=a,b",
        "--bias-ends=last",
        "--bias-context=gene",
        "--bias-option=hidden",
        "--bias-counts=all",
        "--bias-sampling=x",
    ],
)
def test_unusable_values_are_usage_errors(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        build_count_parser().parse_args([option, "a.bam", "g.gtf"])
    assert stop.value.code == 2
    assert option.split("=")[0] in capsys.readouterr().err


def test_help_names_every_option_and_version_stands_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parser = build_count_parser()
    for line, words in ((["--help"], "--bias-contig-alias"), (["--version"], ".")):
        with pytest.raises(SystemExit) as stop:
            parser.parse_args(line)
        assert stop.value.code == 0
        assert words in capsys.readouterr().out


def test_parser_needs_nothing_heavy() -> None:
    code = (
        "import sys; from counterbias.cli.count import build_count_parser as b; "
        "b().format_help(); print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "numba", "HTSeq", "pandas", "pysam"} & set(loaded)


def test_every_option_stands_in_the_reference(root: Path) -> None:
    page = (root / "docs" / "reference" / "count.md").read_text(encoding="utf-8")
    options = [
        option for action in build_count_parser().actions for option in action.option_strings
    ]
    assert len(options) > 30
    assert [option for option in options if f"`{option}`" not in page] == []
