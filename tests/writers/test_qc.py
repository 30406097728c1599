from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterbias.errors import InputError
from counterbias.writers.qc import build_qc, check_known, check_qc, schema_tree, write_qc
from counterbias.writers.qc_schema import KEYS, TAG, VERSION, markdown_table

PARTS: dict[str, Any] = {
    "sample": "s1",
    "versions": {"counterbias": "1.0"},
    "counting": {"paired": True, "fragments": np.int64(12), "assigned": 7},
    "ends": [
        {
            "end": "both",
            "offsets": np.arange(-1, 2),
            "composition": {"before": {"A": np.array([0.25, 1 / 3, np.nan])}},
            "divergence": {
                "held_out": [{"k": 1, "before": [0.1, 0.2, float("inf")], "fall": np.float32(0.5)}]
            },
            "calibration": {"applied": np.bool_(False), "reason": "no gain", "gain": float("nan")},
            "training": {"curves": {"loss": (3.0, 2.0)}},
        }
    ],
    "warnings": ("look here",),
    "run": {"seconds": {"counting": 0.5}},
}


def leaves(tree: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name, kind in tree.items():
        if isinstance(kind, dict):
            found += leaves(kind, f"{prefix}{name}.")
        elif isinstance(kind, list):
            found += leaves(kind[0], f"{prefix}{name}[].")
        else:
            found.append(prefix + name)
    return found


def test_all_keys_are_always_there() -> None:
    for parts in ({"sample": "s"}, PARTS):
        document = build_qc(parts)
        check_qc(document)
        assert list(document) == list(schema_tree())
    document = build_qc(PARTS)
    assert document["ends"][0]["composition"]["after"] == {
        "A": None,
        "C": None,
        "G": None,
        "T": None,
    }
    assert document["ends"][0]["divergence"]["training"] == []
    assert set(document["weights"]) == {
        key.path.split(".")[1] for key in KEYS if key.path.startswith("weights.")
    }
    assert len(set(leaves(schema_tree()))) == len(KEYS)


def test_numbers_become_plain_and_finite() -> None:
    end = build_qc(PARTS)["ends"][0]
    assert end["offsets"] == [-1, 0, 1]
    assert end["composition"]["before"]["A"] == [0.25, 0.33333333, None]
    assert end["divergence"]["held_out"][0]["before"] == [0.1, 0.2, None]
    assert end["divergence"]["held_out"][0]["fall"] == 0.5
    assert end["calibration"]["applied"] is False
    assert end["calibration"]["gain"] is None
    assert end["training"]["curves"] == {"loss": [3.0, 2.0]}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"sample": "s", "sampel": 1}, "sampel: no such key"),
        (
            {"sample": "s", "ends": [{"end": "both", "skipped": {"nope": 1}}]},
            r"ends\[\]\.skipped\.nope: no such key",
        ),
        (
            {"sample": "s", "counting": {"fragments": "many"}},
            "counting.fragments: 'many' is not of type integer",
        ),
        ({"sample": "s", "counting": {"paired": 1}}, "counting.paired"),
        ({"sample": "s", "ends": [{"offsets": [0.5]}]}, "offsets"),
        ({"sample": "s", "weights": 3}, "an object is needed"),
        ({"sample": "s", "options": {"x": object()}}, "cannot be written as JSON"),
        ({}, "a name is needed"),
        ({"sample": "s", TAG: [2, 0]}, "major version"),
    ],
)
def test_what_does_not_fit_the_schema_is_refused(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_qc(parts)


def test_a_document_with_a_missing_key_is_noticed() -> None:
    document = build_qc(PARTS)
    del document["ends"][0]["auc"]
    with pytest.raises(ValueError, match="auc"):
        check_qc(document)


def test_the_file_starts_with_the_tag_and_is_always_the_same(tmp_path: Path) -> None:
    path = tmp_path / "s1.counterbias.json"
    write_qc(path, build_qc(PARTS))
    lines = path.read_text().splitlines()
    assert lines[0] == f'{{"{TAG}": [{VERSION[0]}, {VERSION[1]}],'
    assert json.loads(path.read_text()) == build_qc(PARTS)
    first = path.read_bytes()
    write_qc(path, build_qc(dict(reversed(PARTS.items()))))
    assert path.read_bytes() == first
    assert [entry.name for entry in tmp_path.iterdir()] == ["s1.counterbias.json"]


def test_an_unwritable_report_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_qc(tmp_path / "missing" / "s.json", build_qc({"sample": "s"}))


def test_the_reference_page_lists_every_key(root: Path) -> None:
    page = (root / "docs" / "reference" / "qc-json.md").read_text()
    assert page.endswith(markdown_table()), (
        "run: python -c 'from counterbias.writers.qc_schema import *; print(markdown_table())'"
    )


# -- documents of other minor versions ---------------------------------------------------------


def test_a_document_may_lack_keys_and_have_others() -> None:
    check_known(build_qc(PARTS))
    check_known({"sample": "s"})
    check_known({"sample": "s", "counting": {"new": [None]}, "ends": None, "newer": 1})
    check_known({"sample": "s", "ends": [{"end": "both", "newest": {}}], "weights": {}})


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "sample: a name is needed"),
        ({"sample": ""}, "sample: a name is needed"),
        ({"sample": 3}, "sample: '3' is not of type text"),
        ({"sample": "s", "counting": None}, "counting: an object is needed"),
        ({"sample": "s", "counting": {"fragments": "x"}}, "counting.fragments: 'x' is not of type"),
        ({"sample": "s", "ends": {}}, "ends: a list is needed"),
        ({"sample": "s", "ends": [3]}, r"ends\[\]: an object is needed"),
        ({"sample": "s", "warnings": ["a", 1]}, "warnings: .* is not of type texts"),
    ],
)
def test_what_a_document_has_must_fit(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        check_known(parts)
