"""JSON files with changed values: the MultiQC module must refuse them or have finite numbers."""

from __future__ import annotations

import copy
import json
import math
import random
from functools import lru_cache
from typing import Any

from counterbias_multiqc import checks
from counterbias_multiqc.parser import UnusableFile, parse_comparison, parse_report
from counterbias_multiqc.problems import problems_of
from counterbias_multiqc.samples import Collection
from counterbias_multiqc.thresholds import Thresholds
from tests.fuzz.case import Case
from tests.fuzz.json_changes import Placeholders, random_place
from tests.fuzz.judging import wording
from tests.helpers.multiqc_builders import comparison, document


@lru_cache(maxsize=1)
def _sound() -> list[str]:
    training = {"counterbias_train": [1, 0], "samples": [{"sample": "s1", "gains": [0.1, None]}]}
    return [json.dumps(tree) for tree in (document("s1"), comparison(("s1", "s2")), training)]


def mutate(rng: random.Random) -> Case:
    """Draw a document."""
    which = rng.choice((0, 0, 0, 0, 1, 1, 1, 2))
    text = _sound()[which]
    chance = rng.random()
    if chance < 0.1:
        item = bytearray(text.encode())
        for _ in range(rng.choice((1, 2, 10))):
            item[rng.randrange(len(item))] = rng.randrange(256)
        return Case([bytes(item)], {"report": which != 1})
    if chance < 0.14:
        return Case([text.encode()[: rng.randrange(len(text))]], {"report": which != 1})
    tree = json.loads(text)
    placeholders = Placeholders()
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        _change(rng, tree, placeholders)
    text = json.dumps(tree)
    if rng.random() < 0.02:
        text = "[" * 100_000 + text
    return Case([placeholders.fill(text)], {"report": which != 1})


def _change(rng: random.Random, tree: dict[str, Any], placeholders: Placeholders) -> None:
    """Change a value, or insert some."""
    owner, last = random_place(rng, tree)
    value = placeholders.value(rng)
    chance = rng.random()
    if last is None:
        tree["x"] = value
    elif chance < 0.15 and isinstance(owner, dict):
        del owner[last]
    elif chance < 0.25 and isinstance(owner, list):
        owner[last:last] = [value] * (
            rng.choice((1, 3)) if isinstance(value, str) else rng.choice((1, 3, 3, 2100))
        )
    elif chance < 0.4 and isinstance(owner, dict):
        # A value from elsewhere in the document.
        owner[last] = copy.deepcopy(rng.choice(list(owner.values())))
    else:
        owner[last] = value


def _finite(value: Any) -> bool:
    """Whether all numbers in parsed values are finite."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_finite(key) and _finite(entry) for key, entry in value.items())
    if isinstance(value, tuple | list):
        return all(_finite(entry) for entry in value)
    if hasattr(value, "__dataclass_fields__"):
        return all(_finite(getattr(value, name)) for name in value.__dataclass_fields__)
    return True


def check(case: Case) -> str:
    """Parse the document, and do what the module does before it draws."""
    text = b"".join(case.parts).decode(
        "utf-8", "replace" if case.options.get("replace", True) else "surrogateescape"
    )
    try:
        parsed: Any = parse_report(text) if case.options["report"] else parse_comparison(text)
    except UnusableFile as problem:
        refusal = str(problem)
    else:
        _prepare(parsed, case.options["report"])
        return "read"
    assert 0 < len(refusal) < 400
    return f"refused: {wording(refusal)}"


def _prepare(parsed: Any, report: bool) -> None:
    assert _finite(parsed), "a number that is not finite"
    collection = Collection()
    if report:
        collection.add("s1", parsed)
        thresholds = Thresholds()
        problems_of("s1", checks.check_sample(parsed, thresholds))
        checks.percent_assigned(parsed)
        checks.bias_removed(parsed, thresholds)
        checks.has_bias(parsed, thresholds)
    else:
        collection.add_comparison(
            parsed, {sample.sample: sample.sample for sample in parsed.samples}
        )
    for source in collection.sources():
        assert set(source.common()) <= set(source.models)
        for results in source.models.values():
            assert all(_finite(result) for result in results)
