"""Write a list of those files whose samples came through the step before."""

from typing import TYPE_CHECKING, Any

from outcomes import list_successful

if TYPE_CHECKING:
    snakemake: Any = None  # what Snakemake puts in front of a script

list_successful(snakemake.input.folders, snakemake.params.paths, snakemake.output[0])
