"""Write ``PREFIX.isoforms.results``: the isoforms of the features, one row each.

Columns have RSEM's names and units, so that what reads RSEM's files (tximport with
``type = "rsem"``) reads this one; two columns of standard errors follow. There is no line but the
header and the rows. Decimals have up to nine significant digits, as in the table of counts; the
same numbers always give the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from counterbias.files import whole_text
from counterbias.records import Isoforms

#: The columns, in the order of the file.
COLUMNS = (
    "transcript_id",
    "gene_id",
    "length",
    "effective_length",
    "expected_count",
    "TPM",
    "FPKM",
    "IsoPct",
    "expected_count_se",
    "IsoPct_se",
)
_ROW = "\t".join(("%s", "%s", "%d", *("%.9g" for _ in COLUMNS[3:]))) + "\n"


def write_isoforms(
    path: str | os.PathLike[str], features: Sequence[str], isoforms: Isoforms
) -> None:
    """Write the table whole or not at all.

    Args:
        path: file to write.
        features: identifiers of the features that ``isoforms.feature`` counts from 0.
        isoforms: the isoforms.

    Raises:
        InputError: the file cannot be written.
    """
    numbers = (
        isoforms.length,
        isoforms.effective_length,
        isoforms.expected_count,
        isoforms.tpm,
        isoforms.fpkm,
        isoforms.iso_pct,
        isoforms.expected_count_se,
        isoforms.iso_pct_se,
    )
    names = (features[number] for number in isoforms.feature.tolist())
    columns = (isoforms.ids, names, *(values.tolist() for values in numbers))
    with whole_text(path) as file:
        file.write("\t".join(COLUMNS) + "\n")
        file.writelines(map(_ROW.__mod__, zip(*columns, strict=True)))
