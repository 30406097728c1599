"""What MultiQC runs before it reads its configuration: how to find our files and name samples.

An exception in here would stop every MultiQC run of this user, with or without our files. So this
module imports nothing heavy and does nothing twice.
"""

from __future__ import annotations

from multiqc import config

#: Where the configuration holds our thresholds.
CONFIG_KEY = "counterbias"
#: Search patterns. The part before ``/`` must equal the name of the module's entry point.
QC_PATTERN, COMPARISON_PATTERN = "counterbias/qc", "counterbias/comparison"
PATTERNS = {
    QC_PATTERN: {
        "fn": "*.counterbias.json",
        "contents": '"counterbias_schema"',
        "num_lines": 10,
    },
    COMPARISON_PATTERN: {
        "fn": "*comparison.json",
        "contents": '"counterbias_comparison"',
        "num_lines": 10,
    },
}
#: What MultiQC cuts off the names of our files, and off samples' names that contain it.
ENDINGS = (".counterbias.json", ".comparison.json")
#: The end of the name of htseq-count's table beside ours, in the demo and elsewhere. The htseq
#: module would show ``X.htseq`` in a row of its own instead of that of ``X``.
HTSEQ_ENDING = r"\.htseq$"


def before_config() -> None:
    """Register search patterns, file endings and the module's place in the report.

    What users have configured is read later and takes precedence.
    """
    if QC_PATTERN in config.sp:
        return
    config.sp.update(PATTERNS)
    # MultiQC resets its own settings before each run within a process, but not those of plug-ins.
    setattr(config, CONFIG_KEY, {})
    for ending in ENDINGS:
        config.fn_clean_exts.append(
            {"type": "truncate", "pattern": ending, "module": "counterbias"}
        )
    config.fn_clean_exts.append({"type": "regex", "pattern": HTSEQ_ENDING, "module": "htseq"})
    names = [
        name if isinstance(name, str) else next(iter(name), "") for name in config.module_order
    ]
    if "counterbias" not in names:
        position = names.index("htseq") + 1 if "htseq" in names else len(names)
        config.module_order.insert(position, {"counterbias": {"module_tag": ["RNA"]}})
