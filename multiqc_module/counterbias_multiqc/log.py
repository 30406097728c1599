"""The module's log, under the name that users know it by."""

from __future__ import annotations

import logging


class _ModuleName(logging.Filter):
    """Show messages as ``counterbias | …``: MultiQC shows the name of the Python file instead."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.module = "counterbias"
        return True


_logger = logging.getLogger("counterbias_multiqc")
_logger.addFilter(_ModuleName())
#: Names of files and samples may hold brackets, which MultiQC's log would take for markup.
log = logging.LoggerAdapter(_logger, {"markup": False})
