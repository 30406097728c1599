"""The errors of the tools of `peers.py`: of genes, and of their transcripts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers_tools import Estimate, Floats, Isoforms, Reads
from scipy.stats import spearmanr
from simulated import LENGTHS as SIZES

from counterbias import simulation
from counterbias.evaluation.agreement import compare_with_truth

FRAGMENTS, MOLECULES = "fragments", "molecules"
ALL, ONE, SEVERAL = "all", "one transcript", "several transcripts"
#: The limit: the fragments drawn, divided by each gene's true mean bias and, for molecules, by its
#: true number of fragments per molecule.
CHANCE = "chance"
#: Standard errors on either side of an estimate within which 95 % of the truths should lie.
NORMAL_95 = 1.96


def genes_of(reads: Reads) -> dict[str, NDArray[np.bool_]]:
    """Return the genes that are compared apart, bool (genes,): by transcripts and by length."""
    transcripts = np.bincount(reads.transcript_row, minlength=len(reads.truth.ids))
    found = {
        ALL: transcripts > 0,
        ONE: transcripts == 1,
        SEVERAL: transcripts > 1,
    }
    length = reads.truth.length
    for name, (low, high) in SIZES.items():
        found.setdefault(name, (length >= low) & (length < high))
    return found


# -- genes -----------------------------------------------------------------------------------------


def by_chance(truth: simulation.Truth) -> Estimate:
    """Return the estimates of a tool whose only error is the sampling of fragments."""
    fragments = truth.fragments / truth.mean_bias
    per_molecule = np.divide(
        truth.unbiased_fragments,
        truth.abundance,
        out=np.ones(len(fragments)),
        where=truth.abundance > 0,
    )
    return Estimate(
        fragments,
        np.divide(fragments, per_molecule, out=np.zeros(len(fragments)), where=per_molecule > 0),
        np.nan,
    )


def judge(
    found: dict[str, Estimate], reads: Reads, fewest: float, seed: int
) -> list[dict[str, Any]]:
    """Compare every tool with both truths, over all genes and over parts of them."""
    truth = reads.truth
    judged = []
    for what, values in ((FRAGMENTS, truth.unbiased_fragments), (MOLECULES, truth.abundance)):
        table = {name: getattr(one, what) for name, one in found.items()}
        table = {name: one for name, one in table.items() if one is not None}
        for genes, chosen in genes_of(reads).items():
            wanted = np.where(chosen & (truth.unbiased_fragments >= fewest), values, np.nan)
            # Errors are over seeds: no intervals are needed.
            agreement = compare_with_truth(
                wanted, table, np.random.default_rng([seed, 6]), resamples=1
            )
            for name, measures in agreement.of.items():
                less = agreement.minus_raw.get(name)
                row = {
                    "truth": what,
                    "genes": genes,
                    "tool": name,
                    "number": agreement.features,
                    "seconds": found[name].seconds,
                }
                row |= {measure: one.value for measure, one in measures.items()}
                judged.append(
                    {**row, "rmse_minus_raw": None if less is None else less["rmse"].value}
                )
    return judged


# -- transcripts -----------------------------------------------------------------------------------


def judge_isoforms(found: dict[str, Estimate], reads: Reads, fewest: float) -> list[dict[str, Any]]:
    """Compare the tools' transcripts with the truth, in genes with ``fewest`` expected fragments.

    All transcripts of these genes are compared, those without fragments as well. A transcript for
    which some tool has no estimate (its gene fell back to the union of its exons) is left out of
    all.
    """
    row, groups = reads.transcript_row, genes_of(reads)
    wanted = (reads.truth.unbiased_fragments >= fewest)[row]
    tools = {name: one.isoforms for name, one in found.items() if one.isoforms is not None}
    known = wanted.copy()
    for one in tools.values():
        known &= np.isfinite(one.molecules) & np.isfinite(one.counts)
    judged = []
    for genes in (ALL, SEVERAL):
        chosen = known & groups[genes][row]
        for name, one in tools.items():
            about = {"genes": genes, "tool": name, "number": int(chosen.sum())}
            about["left_out"] = int((wanted & groups[genes][row]).sum() - chosen.sum())
            judged.append({**about, **errors(one, reads, chosen), **covered(one, reads, chosen)})
    return judged


def errors(one: Isoforms, reads: Reads, chosen: NDArray[np.bool_]) -> dict[str, float]:
    """Measure the errors of transcripts.

    Returns of molecules ``spearman``, ``mard`` (they are scaled to the true sum; the mean of the
    absolute difference over the sum, 0 where both are 0) and ``rmse`` (of log2 of the fragments
    that they would yield without bias, plus 1); and ``percent``, the root mean square error of the
    transcript's share of its gene's molecules, in percentage points.
    """
    truth = reads.transcript_truth
    y = truth.abundance[chosen]
    x = one.molecules[chosen] * (y.sum() / one.molecules[chosen].sum())
    both = np.where(x + y > 0, x + y, 1.0)
    per_molecule = np.divide(truth.unbiased_fragments[chosen], y, out=np.zeros(len(y)), where=y > 0)
    logs = np.log2((x * per_molecule + 1) / (y * per_molecule + 1))
    percent = percent_of(one.molecules, reads) - percent_of(truth.abundance, reads)
    return {
        "spearman": float(spearmanr(x, y).statistic),
        "mard": float((np.abs(x - y) / both).mean()),
        "rmse": float(np.sqrt((logs**2).mean())),
        "percent": float(np.sqrt((percent[chosen] ** 2).mean())),
    }


def percent_of(molecules: Floats, reads: Reads) -> Floats:
    """Return each transcript's share of its gene's molecules, %; 0 without any."""
    row = reads.transcript_row
    total = np.bincount(row, molecules, minlength=len(reads.truth.ids))[row]
    return np.divide(100 * molecules, total, out=np.zeros(len(row)), where=total > 0)


def covered(one: Isoforms, reads: Reads, chosen: NDArray[np.bool_]) -> dict[str, float | None]:
    """Measure how often the truth lies within ±1.96 reported standard errors.

    Returns the share of transcripts for ``count_covered`` (of the fragments expected of the
    transcript, given its gene's), ``drawn_covered`` (of those that were drawn from it, a truth
    without sampling error) and ``percent_covered``; and ``without_error``, the share whose
    standard error is not finite. None if the tool reports no standard errors.
    """
    names = ("count_covered", "drawn_covered", "percent_covered", "without_error")
    if one.count_error is None or one.percent_error is None:
        return dict.fromkeys(names)
    truth, row = reads.transcript_truth, reads.transcript_row
    genes = len(reads.truth.ids)
    counts, expected = (
        np.bincount(row, values, minlength=genes)[row]
        for values in (np.nan_to_num(one.counts), truth.expected_fragments)
    )
    wanted = np.divide(
        truth.expected_fragments * counts, expected, out=np.zeros(len(row)), where=expected > 0
    )
    percent = percent_of(one.molecules, reads) - percent_of(truth.abundance, reads)
    pairs = (
        (one.counts - wanted, one.count_error),
        (one.counts - truth.fragments, one.count_error),
        (percent, one.percent_error),
    )
    known = chosen & np.isfinite(one.count_error) & np.isfinite(one.percent_error)
    shares = [
        float((np.abs(difference) <= NORMAL_95 * error)[known].mean()) if known.any() else None
        for difference, error in pairs
    ]
    return dict(zip(names, (*shares, 1 - float(known.sum() / max(1, chosen.sum()))), strict=True))
