process COUNTERBIAS_COUNT {
    tag "$meta.id"
    label 'process_medium'

    // Neither the Bioconda package nor the BioContainers built from it exist before Counterbias is released there;
    // the build string after the version is known then. Until that day: an image of your own, see the README.
    conda "${moduleDir}/environment.yml"
    container "${ workflow.containerEngine in ['singularity', 'apptainer'] && !task.ext.singularity_pull_docker_container ?
        'https://depot.galaxyproject.org/singularity/counterbias:0.2.0--0':
        'quay.io/biocontainers/counterbias:0.2.0--0' }"

    input:
    tuple val(meta), path(input), path(index)
    tuple val(meta2), path(gtf)
    tuple val(meta3), path(fasta)

    output:
    tuple val(meta), path("*.txt")                 , emit: txt
    tuple val(meta), path("*.counts.tsv")          , emit: counts  , optional: true
    tuple val(meta), path("*.genes.results")       , emit: genes   , optional: true
    tuple val(meta), path("*.isoforms.results")    , emit: isoforms, optional: true
    tuple val(meta), path("*.model")               , emit: model   , optional: true
    tuple val(meta), path("*.counterbias.json")    , emit: json    , optional: true
    tuple val(meta), path("*.log")                 , emit: log     , optional: true
    tuple val("${task.process}"), val('counterbias'), eval("counterbias --version"), emit: versions_counterbias, topic: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def prefix = task.ext.prefix ?: "${meta.id}"
    // Without a genome, this is HTSEQ_COUNT and its output; with one, the files of the bias model as well.
    def bias = fasta ? "--bias-genome ${fasta} --bias-output ${prefix}" : ''
    """
    counterbias count \\
        ${input} \\
        ${gtf} \\
        --bias-threads ${task.cpus} \\
        ${bias} \\
        ${args} \\
        > ${prefix}.txt
    """

    stub:
    def prefix = task.ext.prefix ?: "${meta.id}"
    def suffixes = 'counts.tsv genes.results isoforms.results model counterbias.json log'
    def bias = fasta ? "for suffix in ${suffixes}; do touch ${prefix}.\$suffix; done" : ''
    """
    touch ${prefix}.txt
    ${bias}
    """
}
