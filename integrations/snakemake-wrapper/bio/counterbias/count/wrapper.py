"""Snakemake wrapper for counterbias count."""

__author__ = "The Counterbias developers"
__license__ = "GPL-3.0-or-later"

from snakemake.shell import shell

#: Named output → what Counterbias ends the file's name with, after the prefix of all of them.
ENDINGS = {
    "bias": ".counts.tsv",
    "genes": ".genes.results",
    "isoforms": ".isoforms.results",
    "model": ".model",
    "report": ".counterbias.json",
    "summary": ".log",
}
#: Named input → the option that takes it.
OPTIONS = {"genome": "--bias-genome", "model": "--bias-model", "prior": "--bias-prior"}

extra = snakemake.params.get("extra", "")
log = snakemake.log_fmt_shell(stdout=True, stderr=True)

prefixes = set()
for name, ending in ENDINGS.items():
    path = snakemake.output.get(name, "")
    if path and not path.endswith(ending):
        raise ValueError(f"output {name}: the file's name must end with {ending}: {path}")
    if path:
        prefixes.add(path.removesuffix(ending))
if len(prefixes) > 1:
    raise ValueError(f"the outputs of a bias model need one prefix: {', '.join(sorted(prefixes))}")

options = ""
if prefixes:
    options += f" --bias-output {prefixes.pop()}"
for name, option in OPTIONS.items():
    path = snakemake.input.get(name, "")
    if path:
        options += f" {option} {path}"

shell(
    "counterbias count"
    " --bias-threads {snakemake.threads}"
    "{options}"
    " {extra}"
    " --counts_output {snakemake.output.counts}"
    " {snakemake.input.alignments}"
    " {snakemake.input.annotation}"
    " {log}"
)
