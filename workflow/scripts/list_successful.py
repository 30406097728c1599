"""Write a list of those files whose samples came through the step before."""

from outcomes import list_successful
from snakemake.script import snakemake

list_successful(snakemake.input.folders, snakemake.params.paths, snakemake.output[0])
