# One model for all samples, or one per batch. A plain count of each sample comes first, so that a
# sample that cannot be read does not keep the others from sharing a model.


localrules:
    screened,


rule screen:
    input:
        alignments=lambda wildcards: alignments_of(wildcards.sample),
        annotation=config["annotation"],
        genome=config["genome"],
        earlier=[],
    output:
        directory("results/screened/{sample}"),
    log:
        "logs/screen/{sample}.log",
    retries: TRIES
    conda:
        "../envs/counterbias.yaml"
    resources:
        attempt=tries,
    params:
        strandedness=lambda wildcards: SAMPLES[wildcards.sample].strandedness,
        counting=config["counting"],
        own=lambda wildcards: SAMPLES[wildcards.sample].options,
    shell:
        recorded(
            "screen",
            "counterbias count -s {params.strandedness} {params.counting} {params.own} "
            "--bias-genome {input.genome:q} --bias-threads {threads} "
            "{input.alignments:q} {input.annotation:q} > {output}/{wildcards.sample}.txt",
        )


# A list in a file, as thousands of names are more than a command line in a shell can hold.
rule screened:
    input:
        folders=lambda wildcards: expand(
            "results/screened/{sample}", sample=samples_of(wildcards.pool)
        ),
    output:
        "results/lists/models/{pool}.txt",
    log:
        "logs/screened/{pool}.log",
    conda:
        "../envs/counterbias.yaml"
    params:
        paths=lambda wildcards: [
            alignments_of(name) for name in samples_of(wildcards.pool)
        ],
    script:
        "../scripts/list_successful.py"


rule train:
    input:
        names="results/lists/models/{pool}.txt",
        alignments=lambda wildcards: [
            alignments_of(name) for name in samples_of(wildcards.pool)
        ],
        annotation=config["annotation"],
        genome=config["genome"],
        earlier=[],
    output:
        directory("results/models/{pool}"),
    log:
        "logs/train/{pool}.log",
    retries: TRIES
    conda:
        "../envs/counterbias.yaml"
    resources:
        attempt=tries,
    params:
        strandedness=lambda wildcards: SAMPLES[
            samples_of(wildcards.pool)[0]
        ].strandedness,
        counting=config["counting"],
        model=config["model"],
        options=config["pooled"]["options"],
    shell:
        recorded_for_all(
            "train",
            "counterbias train -s {params.strandedness} {params.counting} "
            "--bias-model {params.model:q} {params.options} --bias-genome {input.genome:q} "
            "--bias-threads {threads} -o {output}/{wildcards.pool}.model "
            '"${{alignments[@]}}" {input.annotation:q} > {output}/gains.tsv',
        )
