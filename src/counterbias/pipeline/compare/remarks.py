"""What a user should know about a comparison, one line each."""

from __future__ import annotations

from counterbias.pipeline.compare.outcome import why_left_out
from counterbias.pipeline.compare.results import Comparison, SampleResult


def remarks(result: Comparison) -> list[str]:
    """Return what was left out, what models warn of, and what the truth table lacks."""
    lines = [
        f"{name}: {candidate.label} has learnt from this sample: its gain here is not held out, "
        "and it is not recommended"
        for candidate in result.candidates
        for name in result.training_samples(candidate)
    ]
    for sample in result.samples:
        lines += _left_out(sample)
        lines += _warnings(result, sample)
        lines += _of_trials(result, sample)
        lines += _alone_in_group(result, sample)
    about_truth = {text for sample in result.samples for text in _missing_truth(result, sample)}
    return [*lines, *sorted(about_truth)]


def _left_out(sample: SampleResult) -> list[str]:
    """Return why the sample, or models in it, were left out."""
    unlearnable = why_left_out(sample.outcomes)
    if unlearnable:
        return [f"{sample.name} is left out: {unlearnable}"]
    lines = []
    for outcome in sample.outcomes:
        if outcome.reason:
            model = f"{outcome.candidate.label}, window {outcome.candidate.window}"
            lines.append(f"{sample.name}: {model}: {outcome.status}: {outcome.reason}")
    return lines


def _warnings(result: Comparison, sample: SampleResult) -> list[str]:
    """Return each warning of the counts once, with its models unless all of them gave it."""
    counted = [outcome for outcome in sample.outcomes if outcome.columns]
    models: dict[str, list[str]] = {}
    for outcome in counted:
        for text in outcome.count["warnings"]:
            models.setdefault(text, []).append(result.name_of(outcome.candidate))
    hint = "--stranded "  # was shown before the models were fitted
    return [
        f"{sample.name}: {text}"
        if len(names) == len(counted)
        else f"{sample.name}: {', '.join(names)}: {text}"
        for text, names in models.items()
        if not text.startswith(hint)
    ]


def _of_trials(result: Comparison, sample: SampleResult) -> list[str]:
    """Return what models remark on their fits without a fold, each once with the first trial."""
    lines = []
    for outcome in sample.outcomes:
        first: dict[str, str] = {}
        for trial in outcome.trials:
            for text in trial.get("remarks", ()):
                first.setdefault(text, f"fold {trial['fold']}, seed {trial['seed']}")
        name = result.name_of(outcome.candidate)
        lines += [f"{sample.name}: {name}: {place}: {text}" for text, place in first.items()]
    return lines


def _missing_truth(result: Comparison, sample: SampleResult) -> list[str]:
    """Return what could not be joined to the truth table, if anything."""
    joined, table = sample.truth, result.truth
    if joined is None or table is None:
        return []
    missing = table.missing[result.truth_column(sample)]
    if not (joined.absent or joined.shared or missing):
        return []
    return [
        f"{table.path}: {joined.joined} features have a true value; left out: "
        f"{joined.absent} identifiers that no feature has, {joined.shared} names that several "
        f"features share, {missing} cells without a value"
    ]


def _alone_in_group(result: Comparison, sample: SampleResult) -> list[str]:
    group = [
        one
        for one in result.samples
        if one.group == sample.group and not why_left_out(one.outcomes)
    ]
    if sample.group is None or group != [sample]:
        return []
    return [
        f"{sample.name} is alone in group '{sample.group}': there is no replicate to compare it "
        "with"
    ]
