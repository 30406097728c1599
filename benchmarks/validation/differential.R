# Test tables of counts for differential expression: Rscript differential.R FOLDER
#
# FOLDER/samples.tsv   sample, condition (two); rows in the order of the columns of all other tables
# FOLDER/methods.tsv   method, counts, lengths: file names in FOLDER; lengths is empty for methods
#                      without offsets
# FOLDER/results.tsv   output: method, test, gene, log2_fold_change, adjusted; NA for a gene that a
#                      test filters out
suppressPackageStartupMessages({
  library(DESeq2)
  library(edgeR)
  library(limma)
})

read_matrix <- function(path) as.matrix(read.delim(path, row.names = 1, check.names = FALSE))

# Offsets as in docs/how-to/differential-expression.md: each gene's effective lengths over their
# geometric mean.
factors_of <- function(lengths) lengths / exp(rowMeans(log(lengths)))

deseq2 <- function(counts, lengths, samples) {
  dds <- DESeqDataSetFromMatrix(round(counts), samples, ~ condition)
  dds <- if (is.null(lengths)) {
    estimateSizeFactors(dds)
  } else {
    estimateSizeFactors(dds, normMatrix = factors_of(lengths))
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

edger <- function(counts, lengths, samples) {
  design <- model.matrix(~ condition, samples)
  y <- DGEList(counts)
  if (is.null(lengths)) {
    y <- calcNormFactors(y)
  } else {
    factors <- factors_of(lengths)
    normalised <- counts / factors
    library_size <- calcNormFactors(normalised) * colSums(normalised)
    y <- scaleOffset(y, log(sweep(factors, 2, library_size, "*")))
  }
  fit <- glmQLFit(estimateDisp(y, design, robust = TRUE), design, robust = TRUE)
  found <- topTags(glmQLFTest(fit, coef = 2), n = Inf, sort.by = "none")$table
  data.frame(gene = rownames(found), log2_fold_change = found$logFC, adjusted = found$FDR)
}

voom_limma <- function(counts, lengths, samples) {
  if (!is.null(lengths)) return(NULL) # voom does not support offsets
  design <- model.matrix(~ condition, samples)
  fit <- eBayes(lmFit(voom(calcNormFactors(DGEList(counts)), design), design))
  found <- topTable(fit, coef = 2, number = Inf, sort.by = "none")
  data.frame(gene = rownames(found), log2_fold_change = found$logFC, adjusted = found$adj.P.Val)
}

tests <- list(DESeq2 = deseq2, edgeR = edger, voom = voom_limma)
folder <- commandArgs(trailingOnly = TRUE)[1]
samples <- read.delim(file.path(folder, "samples.tsv"), stringsAsFactors = TRUE)
methods <- read.delim(file.path(folder, "methods.tsv"), colClasses = "character")
results <- list()
for (row in seq_len(nrow(methods))) {
  method <- methods[row, ]
  counts <- read_matrix(file.path(folder, method$counts))
  lengths <- if (nzchar(method$lengths)) read_matrix(file.path(folder, method$lengths)) else NULL
  for (test in names(tests)) {
    found <- suppressMessages(tests[[test]](counts, lengths, samples))
    if (!is.null(found)) {
      results[[length(results) + 1]] <- cbind(method = method$method, test = test, found)
    }
  }
}
output <- file.path(folder, "results.tsv")
write.table(do.call(rbind, results), output, sep = "\t", quote = FALSE, row.names = FALSE)
