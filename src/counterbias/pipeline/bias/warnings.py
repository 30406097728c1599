"""What a user should know of a sample's fit, one line each."""

from __future__ import annotations

from collections.abc import Iterator

from counterbias.lengths import FragmentLengths
from counterbias.no_model import NoModel
from counterbias.options import BiasOptions
from counterbias.pipeline.bias.context import SampleContext
from counterbias.pipeline.bias.fitted_end import FittedEnd
from counterbias.pipeline.bias.weighing import Weighed
from counterbias.records import FitReport

#: Below this many distinct starts the user is warned.
FEW_STARTS = 2000


def warnings_of(context: SampleContext, weighed: Weighed) -> list[str]:
    """Return the warnings about a sample's models."""
    lines = warnings_of_fragments(context.options, weighed.fragments)
    without = [end for end in weighed.ends if isinstance(end.model, NoModel)]
    if len(without) == len(weighed.ends):
        reasons = "; ".join(dict.fromkeys(end.calibration.reason for end in without))
        return [*lines, f"there is no model, all its weights are 1: {reasons}"]
    if context.prior is not None and context.prior.training.includes(context.sample):
        lines.append(
            f"the prior has learnt from '{context.sample}' itself: its share and the gain of the "
            "blend are overrated"
        )
    for end in weighed.ends:
        lines += _of_end(context, weighed, end)
    for end in weighed.ends:
        lines += remarks_of(end.fitted.report, context.choice.backend, end.reads.label)
    return lines


def remarks_of(report: FitReport | None, backend: str, label: str) -> list[str]:
    """Return what a model remarks on its own fit to a read end, for the user."""
    to = "" if label == "both" else f" to {label}"
    return [] if report is None else [f"fitting {backend}{to}: {text}" for text in report.remarks]


def warnings_of_fragments(options: BiasOptions, fragments: FragmentLengths) -> list[str]:
    """Return the warnings about fragment lengths."""
    if options.fragment_length is None or fragments.assumed:
        return []
    return [
        f"--bias-fragment-length is not used: {fragments.fragments:,} pairs show fragments of "
        f"{fragments.mean:.0f} ± {fragments.sd:.0f} bases"
    ]


def _of_end(context: SampleContext, weighed: Weighed, end: FittedEnd) -> Iterator[str]:
    """Yield the warnings about one read end."""
    reads, calibration = end.reads.label, end.calibration
    stand_in = _stand_in(context, weighed, end)
    if stand_in is not None:
        yield (
            f"all weights of {reads} are 1, while effective lengths take its model in {stand_in} "
            f"as it is: {calibration.reason}"
        )
        return
    if isinstance(end.model, NoModel):
        yield (f"there is no model of {reads}, whose reads count as unbiased: {calibration.reason}")
        return
    of = "" if reads == "both" else f" of {reads}"
    if end.starts < FEW_STARTS and context.choice.fitted is None:
        hint = "" if context.prior else "; one of other samples steadies it (--bias-prior FILE)"
        yield (
            f"only {end.starts:,} distinct read starts{of} to learn from "
            f"(fewer than {FEW_STARTS:,}): expect a noisy model{hint}"
        )
    yield from _of_signature(end, of)
    if calibration.applied and calibration.reason:
        yield (
            f"the model{of} would not be used by itself ({calibration.reason}); since the other "
            f"read is biased, it is used with the slope {calibration.slope:.2f} that its starts "
            "ask for"
        )
    if not calibration.applied:
        yield f"the model{of} is not used, all its weights are 1: {calibration.reason}"


def _of_signature(end: FittedEnd, of: str) -> Iterator[str]:
    """Yield a warning where the window in use does not hold the bias signature."""
    signature = end.signature()
    if signature is None or signature.covered is not False:
        return
    if signature.precedes_start:
        yield (
            f"the bias signature{of} lies at {signature.first:+d}…{signature.last:+d}, before the "
            "read start, as in reads whose 5' end was trimmed; --bias-window "
            f"{signature.window} would hold it"
        )
    else:
        yield (
            f"much of the bias signature{of} lies outside the window; --bias-window "
            f"{signature.window} would hold it"
        )


def _stand_in(context: SampleContext, weighed: Weighed, end: FittedEnd) -> str | None:
    """Name the source of the model that stands in for an end in effective lengths, or None."""
    scores = weighed.read_scores
    if not scores.applied or end.reads.numbers[0] not in scores.unseen:
        return None
    return "the prior" if context.choice.fitted is None else context.choice.path
