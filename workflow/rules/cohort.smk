# All samples: their tables in matrices, models compared, one report, and what is missing.


localrules:
    outcomes,
    compared,
    complete,


COMPARED = config["compare"]["samples"]


rule outcomes:
    input:
        samples=expand("results/samples/{sample}", sample=SAMPLES),
        comparison="results/comparison" if COMPARED else [],
    output:
        table="results/outcomes.tsv",
        tables="results/lists/tables.txt",
        reported="results/lists/reported.txt",
        missing="results/lists/missing_mqc.tsv",
    log:
        "logs/outcomes.log",
    conda:
        "../envs/counterbias.yaml"
    params:
        names=list(SAMPLES),
    script:
        "../scripts/gather_outcomes.py"


rule collect:
    input:
        samples=expand("results/samples/{sample}", sample=SAMPLES),
        names="results/lists/tables.txt",
    output:
        directory("results/cohort"),
    log:
        "logs/collect.log",
    conda:
        "../envs/counterbias.yaml"
    params:
        options=config["collect_options"],
    shell:
        "mapfile -t tables < {input.names:q}; "
        'counterbias collect {params.options} -o {output} "${{tables[@]}}" > {log:q} 2>&1'


# A list in a file of those to be compared that were counted.
rule compared:
    input:
        folders=expand("results/samples/{sample}", sample=COMPARED),
    output:
        "results/lists/compared.txt",
    log:
        "logs/compared.log",
    conda:
        "../envs/counterbias.yaml"
    params:
        paths=[alignments_of(name) for name in COMPARED],
    script:
        "../scripts/list_successful.py"


rule compare:
    input:
        names="results/lists/compared.txt",
        alignments=[alignments_of(name) for name in COMPARED],
        annotation=config["annotation"],
        genome=config["genome"],
        groups=ancient(config["samples"]),
        earlier=[],
    output:
        directory("results/comparison"),
    log:
        "logs/compare.log",
    retries: TRIES
    conda:
        "../envs/counterbias.yaml"
    resources:
        attempt=tries,
    params:
        strandedness=SAMPLES[COMPARED[0]].strandedness if COMPARED else "",
        counting=config["counting"],
        options=config["compare"]["options"],
        groups=[SAMPLES[name].group for name in COMPARED],
    shell:
        recorded_for_all(
            "compare",
            "counterbias compare -s {params.strandedness} {params.counting} "
            "{params.options} --groups {input.groups:q} --bias-genome {input.genome:q} "
            "--bias-threads {threads} -o {output} "
            '"${{alignments[@]}}" {input.annotation:q} > {output}/summary.txt',
        )


rule multiqc:
    input:
        samples=expand("results/samples/{sample}", sample=SAMPLES),
        comparison="results/comparison" if COMPARED else [],
        reported="results/lists/reported.txt",
    output:
        directory("results/multiqc"),
    log:
        "logs/multiqc.log",
    conda:
        "../envs/counterbias.yaml"
    params:
        options=config["multiqc"]["options"],
    shell:
        "multiqc {params.options} --force --outdir {output} --file-list {input.reported:q} "
        "> {log:q} 2>&1"


rule complete:
    input:
        outcomes="results/outcomes.tsv",
        cohort="results/cohort",
        report="results/multiqc" if config["multiqc"]["run"] else [],
    output:
        touch("results/complete"),
    log:
        "logs/complete.log",
    conda:
        "../envs/counterbias.yaml"
    shell:
        "! grep $'\\tfailed\\t' {input.outcomes:q} | tee {log:q} >&2"
