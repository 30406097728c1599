"""``bayesnet``: a Bayesian network over the window's columns, as in seqbias.

Listing it does not import numba. Source: Jones, Ruzzo, Peng & Katze 2012, Bioinformatics 28:921.
"""

from __future__ import annotations

from counterbias import Backend, BiasModel, hookimpl


def _load() -> type[BiasModel]:
    from counterbias_backends.bayesnet.model import BayesianNetwork

    return BayesianNetwork


@hookimpl
def counterbias_backends() -> list[Backend]:
    """Offer ``bayesnet``."""
    return [
        Backend(
            "bayesnet",
            "Bayesian network learnt by hill climbing, as in seqbias (Jones et al. 2012)",
            _load,
        )
    ]
