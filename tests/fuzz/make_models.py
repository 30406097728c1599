"""Fit the small models in ``models/``, from which the target ``models`` starts.

They are kept as files because some take long to fit. The file of ``heptamer`` is large, so this
model is fitted when needed. That the models have learnt next to nothing does not matter. If the
arrays of a backend change, run ``python -m tests.fuzz.make_models``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from counterbias import EndModel, ModelFile, Training, Window, save_models
from counterbias.blend import Blend
from counterbias.model_file import Prior
from counterbias.plugins import load_plugins
from counterbias.testing import planted_sample

FOLDER = Path(__file__).with_name("models")
WINDOW = Window(3, 4)
SHORT = {"min_steps": 2, "max_steps": 2, "batch_tiles": 4, "batch_windows": 16}
OPTIONS: dict[str, dict[str, Any]] = {
    "pwm": {},
    "heptamer": {},
    "vlmm": {"layout": "1"},
    "bayesnet": {"max_parents": 1},
    "cnn": {"members": 2, "units": 16, "channels": 4, "distil": False, **SHORT},
    "gru": {"hidden": 3, "epochs": 1, "min_steps": 0},
    "lstm": {"hidden": 2, "head": "position", "epochs": 1, "min_steps": 0},
    "ensemble": {"members": ("pwm", "vlmm:layout=1")},
}


def fitted(name: str, seed: int) -> Any:
    """Return a model of a backend, fitted to a few hundred read starts."""
    model_class = load_plugins().registration(name).backend.load()
    window = Window(3, 8) if name == "heptamer" else WINDOW
    model = model_class(window, model_class.Options(**OPTIONS[name]))
    model.fit(planted_sample(window, starts=200, seed=seed), np.random.default_rng(seed))
    return model


TRAINING = Training(("a", "b"), 7, "local", "0.1.0")


def save(path: Path, name: str) -> None:
    """Write a model file: one model for both reads, or with ``pwm``, one for each."""
    if name == "pwm":
        ends = (
            EndModel("read1", fitted(name, 1), 0.25, 0.875, 1234, 0.1),
            EndModel("read2", fitted(name, 2), -0.5, 1.0, 1200, None),
        )
    else:
        ends = (EndModel("both", fitted(name, 1), 0.25, 0.875, 1234, 0.1, 1.5),)
    save_models(
        path, ModelFile(name, "", "", ends[0].model.window, ends, TRAINING, cap=12.5, factor=0.75)
    )


def main() -> None:
    """Write a file for each backend, and one with a prior."""
    FOLDER.mkdir(exist_ok=True)
    for name in OPTIONS:
        if name != "heptamer":
            save(FOLDER / f"{name}.model", name)
    blended = EndModel(
        "both", Blend(fitted("pwm", 1), fitted("vlmm", 2), 0.5, 0.25), 0.1, 1.0, 100, 0.2
    )
    prior = Prior("vlmm", "", "", TRAINING)
    save_models(
        FOLDER / "prior.model", ModelFile("pwm", "", "", WINDOW, (blended,), TRAINING, prior=prior)
    )


if __name__ == "__main__":
    main()
