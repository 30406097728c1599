"""What ``counterbias count`` says of each sample at its end, in plain words.

All of it is taken from the sample's quality report. ``PREFIX.log`` holds the same lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from counterbias.options import AUTO, NONE, TRANSCRIPTS
from counterbias.pipeline.bias.auto import LADDER
from counterbias.weights.calibration import GAINS_TOO_LITTLE

#: How far the slope may be from 1 where its size is right all the same: deep samples measure it to
#: a hundredth. And how far its interval may be where the size is only slightly wrong, which the
#: MultiQC report lets pass.
RIGHT, SLIGHT = 0.05, 0.1
_READS = {"both": "", "read1": "read 1", "read2": "read 2"}

Document = Mapping[str, Any]


def count_summary(report: Document, prefix: str, endings: Sequence[str]) -> list[str]:
    """Return the lines about one sample, each with its name in front.

    Six lines where there was to be a bias model; those that say something of lengths alone else.

    Args:
        report: the sample's quality report.
        prefix: beginning of the names of its files.
        endings: the endings of these names.
    """
    parts = {"assigned": _assigned(report), "model": _model(report)}
    if report["model"]["backend"] != NONE:
        parts |= {"gain": _gain(report), "size": _size(report), "weights": _weights(report)}
    parts["files"] = _files(prefix, endings)
    return [f"{report['sample']}: {name}: {text}" for name, text in parts.items()]


def _assigned(report: Document) -> str:
    counting = report["counting"]
    fragments, assigned = counting["fragments"], counting["assigned"]
    unit = "read pair" if counting["paired"] else "read"
    found = f"{assigned:,.0f}" if assigned == int(assigned) else f"{assigned:,.1f}"
    of = f"{fragments:,} {unit}{'' if fragments == 1 else 's'}"
    if not fragments:
        return "nothing: the alignments hold no reads"
    if report["options"]["nonunique"] == "all":
        return f"{found} times in all, of {of}; some may count more than once (--nonunique all)"
    return f"{found} of {of} ({_percent(assigned / fragments)}) to a feature"


# -- the model -------------------------------------------------------------------------------------


def _model(report: Document) -> str:
    model, ends = report["model"], report["ends"]
    if model["backend"] == NONE:
        by = "transcripts" if report["lengths"]["method"] == TRANSCRIPTS else "the union of exons"
        return f"none; effective lengths are by {by}"
    unused = [end for end in ends if not end["calibration"]["applied"]]
    reasons = _by_read((end, _why_unused(end)) for end in unused)
    if len(unused) == len(ends):
        tried = "" if all(end["no_model"] for end in ends) else f"{_name(report)} is not used: "
        return f"none, all weights are 1; {tried}{reasons}"
    texts = [_source(report)]
    blends = _by_read((end, _blend(report, end)) for end in ends)
    if blends:
        texts.append(f"blended: {blends}")
    devices = dict.fromkeys(_gpu(end) for end in ends)
    texts += [f"trained on {name}" for name in devices if name]
    if unused:
        texts.append(f"not used for {reasons}")
    for end in ends:
        if end["calibration"]["applied"] and end["calibration"]["reason"]:
            texts.append(f"used for {_READS[end['end']]} only because the other read is biased")
    return "; ".join(texts)


def _name(report: Document) -> str:
    """Name the model: that of a file by the file."""
    return str(report["inputs"]["model"] or report["model"]["backend"])


def _source(report: Document) -> str:
    """Say which model it is, and why that one."""
    name, ends, options = report["model"]["backend"], report["ends"], report["options"]
    if report["inputs"]["model"] is not None:
        return f"{name}, from {report['inputs']['model']}"
    starts = _listed((end, f"{end['unique_starts']:,}") for end in ends)
    if options["bias_model"] != AUTO:
        return f"{name}, as asked for; learnt from {starts} distinct read starts"
    return f"{name}, which auto takes {_rung(report)}; here are {starts}"


def _rung(report: Document) -> str:
    """Say for how many read starts ``auto`` takes the model that it took."""
    fewest = {rung.backend: rung.fewest for rung in LADDER}[report["model"]["backend"]]
    if fewest:
        return f"from {fewest:,} distinct read starts on"
    above = min(rung.fewest for rung in LADDER if rung.fewest)
    return f"below {above:,} distinct read starts, or where no other can be trained"


def _blend(report: Document, end: Document) -> str:
    """Say what a blend with a prior is made of; empty where there is none."""
    details = end["training"]["details"] or {}
    if "prior_share" not in details:
        return ""
    prior = report["options"]["bias_prior"]
    return f"{details['own_share']:.2f} × its own + {details['prior_share']:.2f} × {prior}"


def _gpu(end: Document) -> str:
    """Name the device that the model of a read end was trained on, unless it is the processor."""
    device = (end["training"]["details"] or {}).get("device", "cpu")
    return "" if device == "cpu" else str(device)


def _why_unused(end: Document) -> str:
    """Say why a read end has no model, or one that is not used; the gain has a line of its own."""
    reason = str(end["no_model"] or end["calibration"]["reason"])
    return f"its gain {GAINS_TOO_LITTLE}" if reason.endswith(GAINS_TOO_LITTLE) else reason


# -- how good it is --------------------------------------------------------------------------------


def _gain(report: Document) -> str:
    ends = [end for end in report["ends"] if end["calibration"]["gain"] is not None]
    if not ends:
        return "not measured: there is no model to measure"
    # Where it is next to nothing, its digits are in the fourth place.
    small = any(abs(end["calibration"]["gain"]) < 0.01 for end in ends)
    gains = _listed((end, _gain_of(end, 4 if small else 3)) for end in ends)
    return f"{gains} bits per read start on held-out parts of the genome (0 is chance)"


def _gain_of(end: Document, digits: int) -> str:
    calibration, details = end["calibration"], end["training"]["details"] or {}
    gain, error = calibration["gain"], calibration["gain_error"]
    text = f"{gain:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")
    if details.get("own_gain") is not None and details.get("prior_gain") is not None:
        own, prior = details["own_gain"], details["prior_gain"]
        text += f" (own alone {own:.{digits}f}, prior alone {prior:.{digits}f})"
    return text


def _size(report: Document) -> str:
    """Say whether the correction is as large as held-out reads ask for."""
    used = [end for end in report["ends"] if end["calibration"]["applied"]]
    if not used:
        return "nothing is corrected for bias"
    sizes = _by_read((end, _size_of(end["reliability"])) for end in used)
    return f"{sizes} (1 is right)" if sizes else "not measured: no exon has enough reads"


def _size_of(reliability: Document) -> str:
    slope, low, high = (reliability[name] for name in ("slope", "low", "high"))
    if slope is None:
        return ""
    if low is None or high is None:
        return f"slope {slope:.2f}, with too few reads for an interval"
    # The words fit the numbers as they are shown.
    slope, low, high = (round(number, 2) for number in (slope, low, high))
    distance, off = round(max(low - 1, 1 - high), 2), round(abs(slope - 1), 2)
    verdict = "right"
    if distance > 0 and off > RIGHT:
        slightly = "slightly " if distance <= SLIGHT else ""
        verdict = f"{slightly}too {'small' if slope > 1 else 'large'}"
    return f"{verdict}, slope {slope:.2f}, 95% interval {low:.2f} to {high:.2f}"


def _weights(report: Document) -> str:
    weights = report["weights"]
    if not any(end["calibration"]["applied"] for end in report["ends"]):
        return "all are 1"
    effective, reads = weights["effective_sample_size"], weights["reads"]
    if effective is None:
        return "no read has one"
    capped = _percent(weights["capped_share"]) if weights["capped"] else "none"
    return (
        f"as precise as {_percent(effective)} of {reads:,} equal reads (effective sample size); "
        f"{capped} capped"
    )


def _files(prefix: str, endings: Sequence[str]) -> str:
    first, *others = endings
    return f"{prefix}{first}, next to it {', '.join(others)}"


def _percent(share: float) -> str:
    """Show a share; one too small for a decimal is not shown as none."""
    return f"{100 * share:.1f}%" if share >= 0.0005 or not share else "under 0.1%"


def _listed(texts: Iterable[tuple[Document, str]]) -> str:
    """List what is said of each read end, as ``1 (read 1) and 2 (read 2)``."""
    known = [(_READS[end["end"]], text) for end, text in texts if text]
    return " and ".join(f"{text} ({read})" if read else text for read, text in known)


def _by_read(texts: Iterable[tuple[Document, str | None]]) -> str:
    """List what is said of each read end, which may be long, as ``read 1: a; read 2: b``."""
    known = [(_READS[end["end"]], text) for end, text in texts if text]
    if len(known) > 1 and len({text for _, text in known}) == 1:
        return str(known[0][1])
    return "; ".join(f"{read}: {text}" if read else str(text) for read, text in known)
