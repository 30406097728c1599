"""What MultiQC runs before it looks for files: how ours are recognised, how names are cleaned, where the module stands.

An exception in here would end every MultiQC run of this user, ours or not: nothing heavy is imported, and nothing is done twice.
"""

from __future__ import annotations

from multiqc import config

#: Search patterns. The part before ``/`` must equal the name of the module's entry point.
PATTERNS = {
    "counterbias/qc": {
        "fn": "*.counterbias.json",
        "contents": '"counterbias_schema"',
        "num_lines": 10,
    },
    "counterbias/comparison": {
        "fn": "*comparison.json",
        "contents": '"counterbias_comparison"',
        "num_lines": 10,
    },
}
#: What is cut off the names of our files; names that stand inside of them keep their text up to it as well.
ENDINGS = (".counterbias.json", ".comparison.json")


def before_config() -> None:
    """Register search patterns, file endings and the module's place, once; what users have configured comes later and wins."""
    if "counterbias/qc" in config.sp:
        return
    config.sp.update(PATTERNS)
    for ending in ENDINGS:
        config.fn_clean_exts.append(
            {"type": "truncate", "pattern": ending, "module": "counterbias"}
        )
    names = [
        name if isinstance(name, str) else next(iter(name), "") for name in config.module_order
    ]
    if "counterbias" not in names:
        place = names.index("htseq") + 1 if "htseq" in names else len(names)
        config.module_order.insert(place, {"counterbias": {"module_tag": ["RNA"]}})
