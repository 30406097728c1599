"""A bias model in which each base depends on the one before it (a plug-in for Counterbias)."""

import time
from dataclasses import dataclass

import numpy as np

from counterbias import Backend, BiasModel, FitReport, hookimpl, take_arrays


@dataclass(frozen=True)
class Options:
    pseudocount: float = 10.0


class Dinucleotide(BiasModel):
    Options = Options
    # float64 (width, 16): ln P(base | base before) at read starts minus the same in the background
    table = None

    def fit(self, sample, rng):
        began = time.perf_counter()
        self.table = self.log_conditional(sample.foreground, sample.foreground_weight)
        self.table -= self.log_conditional(sample.background, sample.background_weight)
        parameters = 2 * (3 + 12 * (self.window.width - 1))
        return FitReport(seconds=time.perf_counter() - began, parameters=parameters)

    def log_conditional(self, contexts, weights):
        counts = np.stack([np.bincount(column, weights, 16) for column in pairs(contexts).T])
        counts = counts.reshape(-1, 4, 4) + self.options.pseudocount
        return np.log(counts / counts.sum(axis=2, keepdims=True)).reshape(-1, 16)

    def log_bias(self, contexts):
        if self.table is None:
            raise RuntimeError("log_bias was called before fit")
        return self.table[np.arange(self.window.width), pairs(contexts)].sum(axis=1)

    def to_arrays(self):
        return {"table": self.table}

    def from_arrays(self, arrays):
        self.table = take_arrays(arrays, {"table": (self.window.width, 16)})["table"]


def pairs(contexts):
    # (n, width): 4 × base before + base; the first column has no base before
    codes = contexts.astype(np.intp)
    codes[:, 1:] += 4 * codes[:, :-1]
    return codes


@hookimpl
def counterbias_backends():
    return [Backend("dinucleotide", "each base given the one before it", lambda: Dinucleotide)]


@hookimpl
def counterbias_qc_metrics(model, held_out):
    if not isinstance(model, Dinucleotide):
        return {}
    return {"dinucleotide.largest_effect": float(abs(model.table).max())}
