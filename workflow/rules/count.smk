# Each sample: its reads counted, weighted and corrected, by one command.


localrules:
    link,


# All commands name a sample after its file; aligners often give all files one name.
rule link:
    input:
        lambda wildcards: SAMPLES[wildcards.sample].alignments,
    output:
        "results/alignments/{sample}{ending}",
    log:
        "logs/link/{sample}{ending}.log",
    wildcard_constraints:
        ending="|".join(map(re.escape, samplesheet.ENDINGS)),
    conda:
        "../envs/counterbias.yaml"
    shell:
        'ln -sf "$(realpath {input:q})" {output:q} 2> {log:q}'


rule count:
    input:
        alignments=lambda wildcards: alignments_of(wildcards.sample),
        annotation=config["annotation"],
        genome=config["genome"],
        model=config["model"] if config["model"].endswith(".model") else [],
        earlier=steps_before_count,
    output:
        directory("results/samples/{sample}"),
    log:
        "logs/count/{sample}.log",
    retries: TRIES
    conda:
        "../envs/counterbias.yaml"
    resources:
        attempt=tries,
    params:
        strandedness=lambda wildcards: SAMPLES[wildcards.sample].strandedness,
        counting=config["counting"],
        own=lambda wildcards: SAMPLES[wildcards.sample].options,
        options=config["count_options"],
        model=model_options,
    shell:
        recorded(
            "count",
            "counterbias count -s {params.strandedness} {params.counting} {params.options} "
            "{params.own} {params.model} --bias-genome {input.genome:q} "
            "--bias-threads {threads} --bias-output {output}/{wildcards.sample} "
            "{input.alignments:q} {input.annotation:q} > {output}/{wildcards.sample}.txt",
        )
