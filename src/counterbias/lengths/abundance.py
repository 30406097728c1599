"""Classes of one feature's fragments → the shares of its transcripts, and how certain they are.

The mixture is that of RSEM (Li & Dewey 2011), Cufflinks (Trapnell et al. 2010) and salmon (Patro
et al. 2017): a fragment of class c is from transcript t with probability θ_t a_ct / Σ_s θ_s a_cs,
where a_ct is its likelihood divided by the effective length of t. The shares θ are found by EM,
accelerated by SQUAREM (Varadhan & Roland 2008). Everything here runs in compiled code.
"""

from __future__ import annotations

import numpy as np

from counterbias.loops import helper, loop

#: Fragments' worth of prior for equally abundant transcripts. It steadies the lengths of features
#: with few fragments: at three to ten, their error (log2) is .067; with .1 it is .114, with 8 .064.
PRIOR_FRAGMENTS = 2.0
#: Largest change of a share at which EM stops, and most steps.
TOLERANCE, MOST_STEPS = 1e-7, 3000
#: Standard error of a share that may be anything between 0 and 1: no share is less certain.
NOTHING_KNOWN = 12**-0.5


@helper
def scale_classes(offsets, members, likelihood, effective):  # type: ignore[no-untyped-def]
    """Divide likelihoods by effective lengths, in place; the largest of each class becomes 1."""
    for c in range(len(offsets) - 1):
        largest = 0.0
        for i in range(offsets[c], offsets[c + 1]):
            likelihood[i] /= effective[members[i]]
            largest = max(largest, likelihood[i])
        for i in range(offsets[c], offsets[c + 1]):
            likelihood[i] /= largest


@helper
def _step(counts, offsets, members, ratio, prior, theta, judge, out):  # type: ignore[no-untyped-def]
    """Write the shares after one step of EM; return the log posterior of ``theta``.

    Without ``judge`` the posterior is not summed up: logarithms take most of the time.
    """
    posterior = 0.0
    for t in range(len(theta)):
        out[t] = 0.0
    for c in range(len(counts)):
        total = 0.0
        for i in range(offsets[c], offsets[c + 1]):
            total += theta[members[i]] * ratio[i]
        total = max(total, 1e-300)
        if judge:
            posterior += counts[c] * np.log(total)
        each = counts[c] / total
        for i in range(offsets[c], offsets[c + 1]):
            out[members[i]] += each * ratio[i]
    every = 0.0
    for t in range(len(theta)):
        if judge and prior[t] > 0:
            posterior += prior[t] * np.log(max(theta[t], 1e-300))
        out[t] = prior[t] + theta[t] * out[t]
        every += out[t]
    for t in range(len(theta)):
        out[t] /= every
    return posterior


@loop("f8[::1], i8[::1], i4[::1], f8[::1], f8[::1]")
def estimate_shares(counts, offsets, members, ratio, effective):  # type: ignore[no-untyped-def]
    """Return the shares of transcripts among a feature's fragments, float64 (t,), sum 1.

    Where no fragment tells, transcripts are equally abundant: their shares are in proportion to
    their effective lengths.
    """
    size, every = len(effective), effective.sum()
    prior, theta = np.empty(size), np.empty(size)
    for t in range(size):
        theta[t] = effective[t] / every
        prior[t] = PRIOR_FRAGMENTS * theta[t]
    once, twice, leap = np.empty(size), np.empty(size), np.empty(size)
    steps = 0
    while steps < MOST_STEPS:
        _step(counts, offsets, members, ratio, prior, theta, False, once)
        before = _step(counts, offsets, members, ratio, prior, once, True, twice)
        steps += 2
        change, first, second = 0.0, 0.0, 0.0
        for t in range(len(theta)):
            change = max(change, abs(twice[t] - once[t]))
            first += (once[t] - theta[t]) ** 2
            second += (twice[t] - 2 * once[t] + theta[t]) ** 2
        if change < TOLERANCE or second <= 0.0:
            return twice
        stride = max(1.0, np.sqrt(first / second))
        total = 0.0
        for t in range(len(theta)):
            leap[t] = (
                theta[t]
                + 2 * stride * (once[t] - theta[t])
                + stride**2 * (twice[t] - 2 * once[t] + theta[t])
            )
            leap[t] = max(leap[t], 1e-12)
            total += leap[t]
        for t in range(len(theta)):
            leap[t] /= total
        after = _step(counts, offsets, members, ratio, prior, leap, True, once)
        steps += 1
        if after >= before:
            theta, once = once, theta
        else:
            theta, twice = twice, theta
    return theta


@loop("f8[::1], i8[::1], i4[::1], f8[::1], f8[::1]")
def share_information(counts, offsets, members, ratio, theta):  # type: ignore[no-untyped-def]
    """Return the observed Fisher information of the shares, float64 (t, t)."""
    size = len(theta)
    information = np.zeros((size, size))
    for c in range(len(counts)):
        mixed = 0.0
        for i in range(offsets[c], offsets[c + 1]):
            mixed += theta[members[i]] * ratio[i]
        mixed = max(mixed, 1e-300)
        for i in range(offsets[c], offsets[c + 1]):
            part = counts[c] * ratio[i] / mixed**2
            for j in range(offsets[c], offsets[c + 1]):
                information[members[i], members[j]] += part * ratio[j]
    return information


@loop("f8[::1], i8[::1], i4[::1], f8[::1], f8[::1]")
def share_covariance(counts, offsets, members, ratio, theta):  # type: ignore[no-untyped-def]
    """Return the covariance of the shares, float64 (t, t), by the observed Fisher information.

    What fragments do not tell apart has no information. There each share is taken to be uniform
    between 0 and what its transcript could claim (:func:`_claims`); so the variance stays finite,
    and no doubt is hidden. Where fragments do tell, this would claim to know more than they do. So
    twice the precision is used in the inverse and taken off again to first order: with C the
    inverse of information + P, the covariance is C + C P C.
    """
    size = len(theta)
    information = share_information(counts, offsets, members, ratio, theta)
    precision = 12.0 / _claims(information, theta) ** 2
    for t in range(size):
        information[t, t] += precision[t]
    inverse = _constrained_inverse(information)
    covariance = inverse.copy()
    for i in range(size):
        for k in range(size):
            part = inverse[i, k] * precision[k]
            for j in range(size):
                covariance[i, j] += part * inverse[k, j]
    return covariance


@helper
def _claims(information, theta):  # type: ignore[no-untyped-def]
    """Return the largest share that each transcript could have, float64 (t,), at most 1.

    To its own share come those of the others, each as far as fragments do not tell the two apart:
    up to three standard errors of what one has at the other's expense.
    """
    claims = theta.copy()
    for t in range(len(theta)):
        for s in range(len(theta)):
            known = information[t, t] + information[s, s] - 2 * information[t, s]
            if s != t:
                claims[t] += min(theta[s], 3.0 / np.sqrt(max(known, 1e-300)))
    return np.minimum(claims, 1.0)


@helper
def _constrained_inverse(matrix):  # type: ignore[no-untyped-def]
    """Return the covariance for a precision matrix where the variables sum to a constant.

    With H the matrix: H⁻¹ − H⁻¹ 1 1ᵀ H⁻¹ / (1ᵀ H⁻¹ 1). H is positive definite; it is overwritten.
    """
    size = len(matrix)
    inverse = np.zeros((size, size))
    for t in range(size):
        inverse[t, t] = 1.0
    for k in range(size):  # Gauss-Jordan; a positive definite matrix needs no pivoting
        pivot = matrix[k, k]
        for j in range(size):
            matrix[k, j] /= pivot
            inverse[k, j] /= pivot
        for i in range(size):
            factor = matrix[i, k]
            if i != k and factor != 0.0:
                for j in range(size):
                    matrix[i, j] -= factor * matrix[k, j]
                    inverse[i, j] -= factor * inverse[k, j]
    sums, every = np.zeros(size), 0.0
    for i in range(size):
        for j in range(size):
            sums[i] += inverse[i, j]
        every += sums[i]
    for i in range(size):
        for j in range(size):
            inverse[i, j] -= sums[i] * sums[j] / every
    return inverse


@helper
def standard_errors(covariance, theta, effective, length, of_share, of_percentage):  # type: ignore[no-untyped-def]
    """Write the standard errors of shares, and of percentages of the feature's molecules.

    The percentage of t is 100 θ_t / ℓ̃_t · ``length``, where ``length`` = 1 / Σ θ_s / ℓ̃_s is the
    feature's effective length; its error is by the delta method. No error exceeds that of a share
    of which nothing is known: a very short transcript's percentage follows its share so steeply
    that a straight line would leave the range from 0 to 100 far behind.
    """
    size = len(theta)
    along = np.zeros(size)
    for i in range(size):
        for j in range(size):
            along[i] += covariance[i, j] / effective[j]
    across = 0.0
    for i in range(size):
        across += along[i] / effective[i]
    for t in range(size):
        own, molecules = length / effective[t], theta[t] / effective[t] * length
        variance = (
            own**2 * covariance[t, t]
            - 2 * own * molecules * length * along[t]
            + (molecules * length) ** 2 * across
        )
        of_share[t] = min(np.sqrt(max(covariance[t, t], 0.0)), NOTHING_KNOWN)
        of_percentage[t] = 100 * min(np.sqrt(max(variance, 0.0)), NOTHING_KNOWN)
