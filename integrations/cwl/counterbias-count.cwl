#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Count reads per feature, and correct the counts for sequence-specific bias
doc: |
  htseq-count's options and output; with `bias_output`, the files of a bias model as well. Options that are not inputs
  here are given in `more_options`, word by word.
baseCommand: [counterbias, count]
hints:
  # Neither the package nor the image exists before Counterbias is released on Bioconda; the build string is known then.
  # Run the tool with --no-container, with counterbias on the PATH, until that day.
  SoftwareRequirement:
    packages:
      counterbias:
        version: ["0.2.0"]
  DockerRequirement:
    dockerPull: quay.io/biocontainers/counterbias:0.2.0--0
  ResourceRequirement:
    coresMin: 1

inputs:
  alignments:
    type: File
    doc: BAM, CRAM or SAM file of one sample
    inputBinding: {position: 2}
  annotation:
    type: File
    doc: GTF or GFF3 file, plain or gzipped
    inputBinding: {position: 3}
  order:
    type:
      - "null"
      - type: enum
        symbols: [pos, name]
    doc: how paired-end files are sorted (by name if not given)
    inputBinding: {prefix: --order}
  stranded:
    type:
      - "null"
      - type: enum
        symbols: ["yes", "no", reverse]
    doc: whether the library is strand-specific (yes if not given)
    inputBinding: {prefix: --stranded}
  mode:
    type:
      - "null"
      - type: enum
        symbols: [union, intersection-strict, intersection-nonempty]
    inputBinding: {prefix: --mode}
  nonunique:
    type:
      - "null"
      - type: enum
        symbols: [none, all, fraction, random]
    inputBinding: {prefix: --nonunique}
  minaqual:
    type: int?
    doc: leave out alignments whose mapping quality is below this
    inputBinding: {prefix: --minaqual}
  type:
    type: string?
    doc: feature type (third column) to count
    inputBinding: {prefix: --type}
  idattr:
    type: string?
    doc: attribute that names the feature counted
    inputBinding: {prefix: --idattr}
  genome:
    type: File?
    doc: FASTA file, for a bias model and for CRAM files
    inputBinding: {prefix: --bias-genome}
  bias_output:
    type: string?
    doc: start of the names of the bias model's files; a bias model is used if it is given
    inputBinding: {prefix: --bias-output}
  bias_model:
    type: string?
    doc: the kind of bias model to fit (automatic if not given)
    inputBinding: {prefix: --bias-model}
  saved_model:
    type: File?
    doc: a saved bias model, used instead of fitting one
    inputBinding: {prefix: --bias-model}
  prior:
    type: File?
    doc: a model of other samples to blend the fitted one with
    inputBinding: {prefix: --bias-prior}
  more_options:
    type: string[]?
    doc: any other options of counterbias count
    inputBinding: {position: 1}
  counts_name:
    type: string
    default: counts.tsv
    doc: name of the table of counts

arguments:
  - prefix: --bias-threads
    valueFrom: $(runtime.cores)

stdout: $(inputs.counts_name)

outputs:
  counts:
    type: stdout
    doc: the same bytes as htseq-count writes
  bias_table:
    type: File?
    doc: raw, weighted and corrected counts, and effective lengths
    outputBinding: {glob: $(inputs.bias_output).counts.tsv}
  genes:
    type: File?
    doc: RSEM's columns, for tximport
    outputBinding: {glob: $(inputs.bias_output).genes.results}
  isoforms:
    type: File?
    outputBinding: {glob: $(inputs.bias_output).isoforms.results}
  model:
    type: File?
    outputBinding: {glob: $(inputs.bias_output).model}
  report:
    type: File?
    doc: the quality report, which MultiQC reads
    outputBinding: {glob: $(inputs.bias_output).counterbias.json}
  log:
    type: File?
    doc: the summary of the run
    outputBinding: {glob: $(inputs.bias_output).log}
