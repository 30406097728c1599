# Test tables of counts for differential expression: Rscript differential.R FOLDER
#
# FOLDER/samples.tsv   sample, condition (two); rows in the order of the columns of all other tables
# FOLDER/genes.tsv     gene: those to test, in the order of the rows of all other tables
# FOLDER/methods.tsv   method, counts, lengths: file names in FOLDER; lengths is empty for methods
#                      without offsets. Instead of both, quantified: a folder that has salmon's
#                      results of each sample, and tx2gene.tsv (transcript, gene)
# FOLDER/results.tsv   output: method, test, gene, log2_fold_change, adjusted; NA for a gene that a
#                      test filters out
# lengths.tsv          output, in each folder "quantified": tximport's average lengths of all genes
suppressPackageStartupMessages({
  library(DESeq2)
  library(edgeR)
  library(limma)
})

read_matrix <- function(path) as.matrix(read.delim(path, row.names = 1, check.names = FALSE))

# Offsets as in docs/how-to/differential-expression.md: each gene's effective lengths over their
# geometric mean.
factors_of <- function(lengths) lengths / exp(rowMeans(log(lengths)))

# What a method gives the tests: counts, lengths for offsets (or NULL), and with salmon what
# tximport read and counts that need no offsets.
from_tables <- function(method, folder) {
  list(
    counts = read_matrix(file.path(folder, method$counts)),
    lengths = if (nzchar(method$lengths)) read_matrix(file.path(folder, method$lengths))
  )
}

# As the manual of tximport describes for each test.
from_salmon <- function(folder, genes, samples) {
  tx2gene <- read.delim(file.path(folder, "tx2gene.tsv"))
  files <- setNames(file.path(folder, samples$sample, "quant.sf"), samples$sample)
  read_with <- function(scaling) {
    tximport::tximport(files, "salmon", tx2gene = tx2gene, countsFromAbundance = scaling)
  }
  read <- read_with("no")
  output <- data.frame(gene = rownames(read$length), read$length, check.names = FALSE)
  write.table(output, file.path(folder, "lengths.tsv"), sep = "\t", quote = FALSE, row.names = FALSE)
  for (table in c("abundance", "counts", "length")) read[[table]] <- read[[table]][genes, ]
  list(
    counts = read$counts,
    lengths = read$length,
    tximport = read,
    scaled = read_with("lengthScaledTPM")$counts[genes, ]
  )
}

deseq2 <- function(given, samples) {
  dds <- if (is.null(given$tximport)) {
    DESeqDataSetFromMatrix(round(given$counts), samples, ~ condition)
  } else {
    DESeqDataSetFromTximport(given$tximport, samples, ~ condition)
  }
  dds <- if (is.null(given$tximport) && !is.null(given$lengths)) {
    estimateSizeFactors(dds, normMatrix = factors_of(given$lengths))
  } else {
    estimateSizeFactors(dds) # with the average lengths that tximport left in the data set, if any
  }
  dds <- tryCatch(DESeq(dds, quiet = TRUE), error = function(problem) {
    # For samples that hardly differ, DESeq2 requires gene-wise dispersions.
    if (!grepl("within 2 orders of magnitude", conditionMessage(problem))) stop(problem)
    dds <- estimateDispersionsGeneEst(dds, quiet = TRUE)
    dispersions(dds) <- mcols(dds)$dispGeneEst
    nbinomWaldTest(dds, quiet = TRUE)
  })
  found <- results(dds, alpha = 0.05)
  data.frame(gene = rownames(found), log2_fold_change = found$log2FoldChange, adjusted = found$padj)
}

edger <- function(given, samples) {
  design <- model.matrix(~ condition, samples)
  y <- DGEList(given$counts)
  if (is.null(given$lengths)) {
    y <- calcNormFactors(y)
  } else {
    factors <- factors_of(given$lengths)
    normalised <- given$counts / factors
    library_size <- calcNormFactors(normalised) * colSums(normalised)
    y <- scaleOffset(y, log(sweep(factors, 2, library_size, "*")))
  }
  fit <- glmQLFit(estimateDisp(y, design, robust = TRUE), design, robust = TRUE)
  found <- topTags(glmQLFTest(fit, coef = 2), n = Inf, sort.by = "none")$table
  data.frame(gene = rownames(found), log2_fold_change = found$logFC, adjusted = found$FDR)
}

voom_limma <- function(given, samples) {
  counts <- if (is.null(given$scaled)) given$counts else given$scaled
  if (is.null(given$scaled) && !is.null(given$lengths)) return(NULL) # voom supports no offsets
  design <- model.matrix(~ condition, samples)
  fit <- eBayes(lmFit(voom(calcNormFactors(DGEList(counts)), design), design))
  found <- topTable(fit, coef = 2, number = Inf, sort.by = "none")
  data.frame(gene = rownames(found), log2_fold_change = found$logFC, adjusted = found$adj.P.Val)
}

tests <- list(DESeq2 = deseq2, edgeR = edger, voom = voom_limma)
folder <- commandArgs(trailingOnly = TRUE)[1]
samples <- read.delim(file.path(folder, "samples.tsv"), stringsAsFactors = TRUE)
methods <- read.delim(file.path(folder, "methods.tsv"), colClasses = "character")
genes <- read.delim(file.path(folder, "genes.tsv"), colClasses = "character")$gene
results <- list()
for (row in seq_len(nrow(methods))) {
  method <- methods[row, ]
  given <- suppressMessages(if (nzchar(method$quantified)) {
    from_salmon(method$quantified, genes, samples)
  } else {
    from_tables(method, folder)
  })
  for (test in names(tests)) {
    found <- suppressMessages(tests[[test]](given, samples))
    if (!is.null(found)) {
      results[[length(results) + 1]] <- cbind(method = method$method, test = test, found)
    }
  }
}
output <- file.path(folder, "results.tsv")
write.table(do.call(rbind, results), output, sep = "\t", quote = FALSE, row.names = FALSE)
