"""The keys of ``PREFIX.counterbias.json``: names, types and meanings, in the order of the file.

This list is the only definition: :mod:`counterbias.writers.qc` builds and checks documents by it,
and ``docs/reference/qc-json.md`` holds the table that :func:`markdown_table` makes of it.
"""

from __future__ import annotations

from typing import NamedTuple

#: Tag and version. A new minor version adds keys; a new major version renames, removes or changes
#: some.
TAG, VERSION = "counterbias_schema", (1, 6)


class Key(NamedTuple):
    """One key: ``a.b`` is key b of object a, ``a[].b`` key b of each object in list a."""

    path: str
    type: str
    meaning: str


_LETTERS = ("A", "C", "G", "T")
_PARTS = ("held_out", "training")
#: Which models weight the starts of each part.
_WEIGHED = {"held_out": "by models that did not see them", "training": "by the model in use"}

_GENERAL = (
    Key("sample", "text", "name of the sample"),
    Key("versions", "object", "name of a program or package → version"),
    Key("command_line", "text", "the command as it was given"),
    Key("inputs.alignments", "text", "alignment file, `-` for standard input"),
    Key("inputs.annotation", "text", "annotation file"),
    Key("inputs.genome", "text", "FASTA file; null without a bias model"),
    Key("inputs.model", "text", "model file; null where the model was trained on this sample"),
    Key(
        "options",
        "object",
        "option → value: those on features, counting and bias, with their defaults",
    ),
    Key(
        "counting.paired",
        "boolean",
        "whether the file holds pairs; then all numbers of fragments are pairs",
    ),
    Key("counting.stranded", "text", "`yes`, `no` or `reverse`"),
    Key("counting.mode", "text", "overlap mode"),
    Key("counting.fragments", "integer", "reads or pairs processed"),
    Key("counting.assigned", "number", "fragments counted for a feature"),
    Key("counting.no_feature", "integer", "`__no_feature`"),
    Key("counting.ambiguous", "integer", "`__ambiguous`"),
    Key("counting.too_low_quality", "integer", "`__too_low_aQual`"),
    Key("counting.not_aligned", "integer", "`__not_aligned`"),
    Key("counting.not_unique", "integer", "`__alignment_not_unique`"),
    Key("counting.features", "integer", "features in the annotation"),
    Key("counting.features_with_reads", "integer", "features with a count above zero"),
    Key(
        "counting.features_fingerprint",
        "text",
        "the same for two annotations if their features have the same names and the same places, "
        "whatever their contigs are called",
    ),
    Key("contigs.annotation", "integer", "contigs that have features"),
    Key(
        "contigs.unmatched",
        "texts",
        "of these, contigs that the alignments' header lacks; the first 20 names",
    ),
    Key(
        "contigs.unmatched_features",
        "integer",
        "features on such contigs only; no read can be assigned to them",
    ),
    Key(
        "strandedness.sense",
        "integer",
        "fragments with read 1 on the feature's strand; null where it was not determined",
    ),
    Key("strandedness.antisense", "integer", "fragments with read 1 on the other strand"),
    Key("strandedness.verdict", "text", "the `--stranded` that fits, null where that is not clear"),
    Key(
        "model.backend",
        "text",
        "name of the bias model; `none` where lengths alone were measured: the rest of `model` and "
        "`sampling` is then null, `ends` is empty, and all weights are 1",
    ),
    Key("model.distribution", "text", "package that provides it"),
    Key("model.version", "text", "that package's version"),
    Key("model.options", "object", "the model's options"),
    Key("model.upstream", "integer", "bases of the window before the read start"),
    Key("model.downstream", "integer", "bases of the window after the read's first base"),
    Key("sampling.scheme", "text", "`local`, `paper` or `seqbias`"),
    Key("sampling.seed", "integer", "seed of every random choice"),
)

_END = (
    Key("ends[].end", "text", "`both` (read 1 and 2 pooled, or single reads), `read1` or `read2`"),
    Key(
        "ends[].no_model",
        "text",
        "why it has no model, so that its reads weigh 1: nothing could be learnt; null where it "
        "has one",
    ),
    Key("ends[].block", "integer", "bases per genomic block of the folds"),
    Key("ends[].blocks", "integer", "blocks with reads"),
    Key("ends[].unique_starts", "integer", "distinct trainable read starts"),
    Key(
        "ends[].training_starts", "integer", "of these, those that the model in use has learnt from"
    ),
    Key(
        "ends[].validation_starts",
        "integer",
        "those by which it was validated, or which it learnt from as well",
    ),
    Key(
        "ends[].held_out_starts",
        "integer",
        "starts with background, each scored by a model that did not see it",
    ),
    Key(
        "ends[].skipped.invalid",
        "integer",
        "starts left out of training: N in the window, or window off the contig",
    ),
    Key("ends[].skipped.edge", "integer", "starts left out because their block belongs to no fold"),
    Key(
        "ends[].skipped.outside_exon",
        "integer",
        "starts left out because their window leaves the exon (scheme `paper`)",
    ),
    Key(
        "ends[].offsets",
        "integers",
        "offsets of the composition from the read's first base, negative before it",
    ),
    *(
        Key(
            f"ends[].composition.{which}.{letter}",
            "numbers",
            f"share of {letter} per offset, {what}",
        )
        for which, what in (
            ("before", "starts (weighted as in learning)"),
            ("after", "starts weighted by 1/b"),
            ("background", "background windows"),
        )
        for letter in _LETTERS
    ),
    *(
        Key(f"ends[].divergence.{part}[].{key}", type_, meaning)
        for part in _PARTS
        for key, type_, meaning in (
            ("k", "integer", "length of the k-mers, 1 to 4"),
            (
                "before",
                "numbers",
                "symmetrised KL between starts and background per offset, bits",
            ),
            ("after", "numbers", f"the same with starts weighted by 1/b, {_WEIGHED[part]}"),
            ("mean_before", "number", "mean over offsets of `before`"),
            ("mean_after", "number", "mean over offsets of `after`"),
            ("sum_before", "number", "sum over offsets of `before`"),
            ("sum_after", "number", "sum over offsets of `after`"),
            ("fall", "number", "1 − mean_after / mean_before"),
            (
                "noise_before",
                "number",
                "what two samples of one distribution show per offset at these numbers, before",
            ),
            ("noise_after", "number", "the same for the weighted sample"),
        )
    ),
    Key(
        "ends[].signature.found",
        "boolean",
        "whether composition around the start differs clearly from the background (−40…+40)",
    ),
    Key("ends[].signature.first", "integer", "first offset of the signature"),
    Key("ends[].signature.last", "integer", "last offset"),
    Key("ends[].signature.peak", "integer", "offset where it is strongest"),
    Key("ends[].signature.before_start", "number", "share of it that lies before the read start"),
    Key("ends[].signature.outside", "number", "share of it that lies outside the window"),
    Key(
        "ends[].signature.covered",
        "boolean",
        "whether the window holds it: at most 25% lies outside, 10% of one that precedes the start",
    ),
    Key(
        "ends[].signature.upstream",
        "integer",
        "upstream bases of the window that holds it: the one in use if covered, else a wider one",
    ),
    Key("ends[].signature.downstream", "integer", "downstream bases of that window"),
    Key("ends[].signature.offsets", "integers", "offsets examined, −40 to +40"),
    Key(
        "ends[].signature.profile",
        "numbers",
        "symmetrised KL between starts and background at these offsets, bits, not held out",
    ),
    Key(
        "ends[].signature.noise",
        "number",
        "what two samples of one distribution show per offset at these numbers",
    ),
    Key(
        "ends[].calibration.applied",
        "boolean",
        "whether the model is used; if not, all weights are 1",
    ),
    Key("ends[].calibration.reason", "text", "why it is not used"),
    Key("ends[].calibration.slope", "number", "what the log bias of reads was multiplied by"),
    Key(
        "ends[].calibration.length_slope",
        "number",
        "what that of a feature's positions was multiplied by, for effective lengths",
    ),
    Key("ends[].calibration.constant", "number", "what was subtracted after that, nats"),
    Key(
        "ends[].calibration.gain",
        "number",
        "bits per start that models which did not see it gain; decides `applied`",
    ),
    Key("ends[].calibration.gain_error", "number", "its standard error"),
    *(
        Key(f"ends[].gain.{name}.{key}", type_, meaning)
        for name, what in (
            ("uniq", "each position counted once"),
            ("cap5", "at most five reads per position"),
            ("all", "all reads"),
        )
        for key, type_, meaning in (
            (
                "value",
                "number",
                f"bits per read gained in units by models that did not see them, {what}",
            ),
            ("error", "number", "its standard error over units"),
        )
    ),
    Key("ends[].gain.units", "integer", "units (exon bins on one strand with at least 20 reads)"),
    Key(
        "ends[].reliability.slope",
        "number",
        "what the log bias, as used, must be multiplied by to fit held-out reads best; 1: its size "
        "is right; null: the model is not used",
    ),
    Key("ends[].reliability.error", "number", "its standard error over genomic blocks of 10 kb"),
    Key("ends[].reliability.low", "number", "lower end of its 95% interval"),
    Key("ends[].reliability.high", "number", "upper end"),
    Key("ends[].reliability.units", "integer", "held-out units that it was measured in"),
    Key("ends[].reliability.blocks", "integer", "blocks that these lie in"),
    Key(
        "ends[].reliability.bins.predicted",
        "numbers",
        "bins of held-out places by their bias: log2 of the reads predicted over those of an even "
        "spread in each unit",
    ),
    Key("ends[].reliability.bins.observed", "numbers", "the same of the reads observed"),
    Key("ends[].reliability.bins.error", "numbers", "standard error of `observed` over blocks"),
    Key("ends[].reliability.bins.expected", "numbers", "reads predicted per bin"),
    Key("ends[].reliability.bins.reads", "numbers", "reads observed per bin"),
    Key(
        "ends[].deviance_explained",
        "number",
        "median share of Poisson deviance explained, held-out units with at least 30 reads",
    ),
    Key("ends[].auc", "number", "held-out starts against uniform positions of their unit"),
    Key("ends[].log_loss", "number", "the same, nats; ln 2 without a model"),
    Key("ends[].training.parameters", "integer", "free parameters of the model"),
    Key("ends[].training.curves", "object", "name → values per epoch"),
    Key(
        "ends[].training.perplexity", "object", "name → perplexity per base on the validation part"
    ),
    Key("ends[].training.details", "object", "further details of the training"),
    Key("ends[].metrics", "object", "numbers that plug-ins added (`counterbias_qc_metrics`)"),
)

_RESULT = (
    Key("weights.reads", "integer", "reads with a weight"),
    Key(
        "weights.unscored",
        "integer",
        "of these, reads of weight 1 because their start could not be scored",
    ),
    Key(
        "weights.skipped.window",
        "integer",
        "of the unscored: N in the window, or window off the contig",
    ),
    Key("weights.skipped.clipped_end", "integer", "of the unscored: 5' end clipped"),
    Key("weights.capped", "integer", "reads whose weight was cut to the cap"),
    Key("weights.capped_share", "number", "capped / reads"),
    Key("weights.cap", "number", "largest 1/b before scaling"),
    Key(
        "weights.factor",
        "number",
        "what 1/b was multiplied by, so that weights sum to the assigned fragments",
    ),
    Key("weights.effective_sample_size", "number", "(Σw)²/(n Σw²), 1 for equal weights"),
    Key("weights.max_over_mean", "number", "largest weight over mean weight"),
    Key(
        "weights.histogram.edges",
        "numbers",
        "edges of the bins, log2 of the weight; outer bins take what lies beyond",
    ),
    Key("weights.histogram.counts", "integers", "reads per bin"),
    Key("lengths.method", "text", "`union` or `transcripts` (`--bias-lengths`)"),
    Key("lengths.transcripts", "integer", "transcripts told apart; null with `union`"),
    Key(
        "lengths.features_by_transcripts",
        "integer",
        "features whose effective length is that of their transcripts; null with `union`",
    ),
    *(
        Key(
            f"lengths.fallback.{reason}",
            "integer",
            f"features with reads whose length is that of their exons' union because {why}; null "
            "with `union`",
        )
        for reason, why in (
            ("unnamed", "one of their lines names no transcript"),
            ("scattered", "they do not lie on one strand of one contig"),
            ("too_many", "they have too many transcripts"),
            ("unexplained", "their transcripts do not explain their fragments"),
        )
    ),
    Key(
        "lengths.measured",
        "integer",
        "features with reads, whose effective length was measured; the others have the length that "
        "they would have without bias",
    ),
    Key(
        "lengths.fragments",
        "integer",
        "pairs that the fragment lengths come from; null where they are assumed",
    ),
    Key(
        "lengths.assumed",
        "boolean",
        "whether fragment lengths are assumed, as in single-end data (`--bias-fragment-length`)",
    ),
    Key("lengths.fragment_mean", "number", "mean fragment length in spliced coordinates, bases"),
    Key("lengths.fragment_sd", "number", "standard deviation of fragment lengths, bases"),
    Key("lengths.fragment_lengths", "integers", "representative fragment lengths, bases"),
    Key("lengths.fragment_shares", "numbers", "their probabilities"),
    Key("fold_change.quantiles", "numbers", "which quantiles the bins below hold"),
    *(
        Key(f"fold_change.{which}[].{key}", type_, meaning)
        for which in ("weighted", "corrected")
        for key, type_, meaning in (
            ("features", "integer", "features in this bin of expression"),
            ("raw_min", "number", "lowest raw count in it"),
            ("raw_max", "number", "highest raw count in it"),
            ("quantiles", "numbers", f"quantiles of log2({which} / raw)"),
        )
    ),
    Key("warnings", "texts", "the warnings given, one text each"),
    Key(
        "run.seconds",
        "object",
        "stage → wall time in seconds (the only block that differs between equal runs); "
        "with several threads `evaluation` runs alongside the stages after it",
    ),
    Key("run.threads", "integer", "threads"),
    Key("run.fragments_per_second", "number", "fragments counted per second of the counting pass"),
    Key("run.windows_per_second", "number", "windows scored per second"),
)

#: Every key, in the order of the file.
KEYS: tuple[Key, ...] = (
    Key(TAG, "integers", "major and minor version of these keys"),
    *_GENERAL,
    *_END,
    *_RESULT,
)


def markdown_table() -> str:
    """Return the table of the reference page."""
    lines = ["| key | type | meaning |", "|---|---|---|"]
    lines += [f"| `{key.path}` | {key.type} | {key.meaning} |" for key in KEYS]
    return "\n".join(lines) + "\n"
