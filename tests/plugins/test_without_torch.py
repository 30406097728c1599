"""Everything that is installed without extras trains every bias model: nothing needs torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from counterbias.plugins import load_plugins

#: Fits the backends named on the command line where importing torch fails.
SCRIPT = """
import sys
sys.modules["torch"] = None  # importing it raises ImportError
import numpy as np
from counterbias import InputError, Resources, Window, parse_options
from counterbias.plugins import load_plugins
from counterbias.testing import planted_sample

STEPS = ["min_steps=20", "max_steps=20", "distil_steps=20", "members=1", "units=16", "channels=4"]
QUICK = {
    "cnn": [STEPS],
    "gru": [["hidden=2", "min_steps=0", "epochs=1"], ["hidden=2", "objective=ratio"]],
    "lstm": [["hidden=2", "min_steps=0", "epochs=1"], ["hidden=2", "objective=ratio"]],
}
window, manager = Window(3, 8), load_plugins()
sample = planted_sample(window, starts=200, seed=1)
contexts = np.random.default_rng(1).integers(0, 4, (100, window.width), dtype=np.uint8)
for name in sys.argv[1:]:
    kind = manager.require(name).load()
    for words in QUICK.get(name, [[]]):
        model = kind(window, parse_options(kind, words))
        model.fit(sample, np.random.default_rng(1))
        assert model.log_bias(contexts).std() > 0, name
    model.resources = Resources(device="cuda")
    try:
        model.check_resources()
        print(name, "trains")
    except InputError as problem:
        print(name, "trains;", problem.line())
"""

#: What networks say of a GPU that only torch could use.
REFUSED = (
    "--bias-device cuda needs torch. "
    "Run: pip install 'counterbias[torch]', or use --bias-device cpu"
)


def test_every_shipped_backend_is_trained_without_torch(tmp_path: Path) -> None:
    names = [
        name
        for name, registration in load_plugins().backends.items()
        if registration.plugin.distribution == "counterbias"
    ]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *names],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    networks = {"cnn", "gru", "lstm"}
    assert networks < set(names)
    assert done.stdout.splitlines() == [
        f"{name} trains; {REFUSED}" if name in networks else f"{name} trains" for name in names
    ]
