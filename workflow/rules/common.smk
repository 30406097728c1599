# What all rules need: the samples, checked before any job starts, and how a step is recorded.
import importlib.util
import re
import shlex
import sys

from snakemake.utils import min_version, validate

min_version("9.0")


def load(name):
    """Import a module of ../scripts, wherever the workflow was deployed from."""
    # A plain text: Snakemake's own kind cannot be written into compiled modules.
    path = str(workflow.source_path(f"../scripts/{name}.py"))
    spec = importlib.util.spec_from_file_location(name, path)
    loaded = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


samplesheet = load("samplesheet")
outcomes = load("outcomes")


def read_checked():
    """Return the samples by name; stop with one line where they or the configuration are wrong."""
    shared = workflow.storage_settings.default_storage_provider is None
    # Files of an object store are not here, and Snakemake says which of them is missing.
    exist = shared and workflow.is_main_process
    try:
        samplesheet.check_config(
            config,
            ", ".join(map(str, workflow.configfiles)) or "the configuration",
            workflow.source_path("../schemas/config.schema.yaml"),
            exist=exist,
        )
        validate(config, schema="../schemas/config.schema.yaml")
        found = samplesheet.read_samples(
            config,
            workflow.source_path("../schemas/samples.schema.yaml"),
            exist=exist,
        )
        if not shared and (
            config["pooled"]["by"] != "none" or config["compare"]["samples"]
        ):
            raise samplesheet.SheetError(
                "pooled models and comparisons need a folder that all jobs share: train on one "
                "machine, and name the file in the setting model"
            )
    except samplesheet.SheetError as problem:
        sys.exit(f"counterbias workflow: {problem}")
    return {sample.name: sample for sample in found}


SAMPLES = read_checked()
#: How samples share models: none, cohort or batch.
POOLED_BY = config["pooled"]["by"]
#: How often a job is tried that was killed, with more memory and time by the profile.
TRIES = 2


def pool_of(sample):
    return samplesheet.pool_of(SAMPLES[sample], POOLED_BY)


POOLS = [] if POOLED_BY == "none" else list(dict.fromkeys(map(pool_of, SAMPLES)))


wildcard_constraints:
    sample="[^/]+",
    pool="[^/]+",


def samples_of(pool):
    """List the samples that share a model."""
    return [name for name in SAMPLES if pool_of(name) == pool]


def alignments_of(sample):
    """Return the file of a sample under the sample's name, which all commands take over."""
    own = SAMPLES[sample]
    if own.is_named_alike:
        return own.alignments
    return f"results/alignments/{sample}{own.ending}"


def model_options(wildcards):
    """Return the options of the bias model: the sample's own, the pooled one, or both."""
    own = f"--bias-model {shlex.quote(config['model'])}"
    if POOLED_BY == "none":
        return own
    pool = pool_of(wildcards.sample)
    pooled = f"results/models/{pool}/{pool}.model"
    if config["pooled"]["use"] == "prior":
        return f"{own} --bias-prior {pooled}"
    return f"--bias-model {pooled}"


def steps_before_count(wildcards):
    """List the folders of the steps that must have succeeded before."""
    if POOLED_BY == "none":
        return []
    return [
        f"results/screened/{wildcards.sample}",
        f"results/models/{pool_of(wildcards.sample)}",
    ]


def tries(wildcards, attempt):
    return attempt


def recorded(step, command):
    """Return the shell text that runs a command and writes how it ended into the output folder.

    A failed command does not fail the job, so that the other samples and the report go on; it leaves
    nothing but its record, a line of the step, `ok` or `failed`, the log and its last line. Nothing
    is tried where an earlier step has failed. What was killed fails the job, and Snakemake tries it
    again; after the last try that is recorded, too.
    """
    return (
        """
        mkdir -p {output}
        record() {{ printf '%s\\t%s\\t%s\\t%s\\n' STEP "$1" {log:q} "$2" > {output}/outcome.tsv; }}
        for earlier in {input.earlier}; do
            if grep -q $'\\tfailed\\t' "$earlier/outcome.tsv"; then
                cp "$earlier/outcome.tsv" {output}
                exit 0
            fi
        done
        if [ {resources.attempt} -gt TRIES ]; then
            record failed "it was killed in each of TRIES tries: out of memory or time?"
            exit 0
        fi
        status=0
        {{ COMMAND; }} 2> {log:q} || status=$?
        if [ "$status" -gt 128 ]; then
            exit "$status"
        elif [ "$status" -eq 0 ]; then
            record ok ""
        else
            find {output} -mindepth 1 -delete
            record failed "$(tail -n 1 {log:q} | tr '\\t' ' ')"
        fi
        """.replace("COMMAND", command)
        .replace("STEP", step)
        .replace("TRIES", str(TRIES))
    )


def recorded_for_all(step, command):
    """Return the same for a command on the `alignments` of the list {input.names}."""
    reading = (
        "{{ test -s {input.names:q} || {{ echo 'none of the samples was counted' >&2; false; }}; }}"
        " && mapfile -t alignments < {input.names:q}"
    )
    return recorded(step, f"{reading} && {command}")


def name_and_forget_failures():
    """Name the failed samples in one line, and remove their folders: they are undone the next time."""
    folders = [
        *(f"results/screened/{name}" for name in SAMPLES),
        *(f"results/models/{pool}" for pool in POOLS),
        *(f"results/samples/{name}" for name in SAMPLES),
        "results/comparison",
    ]
    if line := outcomes.forget_failures(folders, list(SAMPLES)):
        print(line, file=sys.stderr)
