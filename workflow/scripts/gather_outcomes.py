"""Write how all samples ended, and the lists of the files of those that were counted."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from outcomes import list_successful, read_outcome, write_missing, write_outcomes

if TYPE_CHECKING:
    snakemake: Any = None  # what Snakemake puts in front of a script

folders = list(snakemake.input.samples)
samples = [read_outcome(folder) for folder in folders]
comparison = [read_outcome(folder) for folder in [snakemake.input.get("comparison")] if folder]
write_outcomes(samples, comparison, snakemake.output.table)
write_missing(samples, snakemake.output.missing)
tables = [f"{folder}/{Path(folder).name}.counts.tsv" for folder in folders]
list_successful(folders, tables, snakemake.output.tables)
list_successful(folders, folders, snakemake.output.reported)
further = [one.folder for one in comparison if not one.failed]
if any(one.failed for one in samples):
    further.append(snakemake.output.missing)
with open(snakemake.output.reported, "a", encoding="utf-8") as file:
    file.writelines(f"{path}\n" for path in further)
