"""What ``import counterbias`` offers and loads, and the pages about it on plug-ins."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import counterbias
from counterbias.testing import check_backend

# -- the public face ---------------------------------------------------------------------------


def test_import_loads_no_heavy_package() -> None:
    script = (
        "import sys; import counterbias\n"
        "heavy = {'numpy', 'numba', 'pandas', 'torch', 'HTSeq', 'pysam', 'pytest', 'pluggy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_loading_the_plugins_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom counterbias.plugins import Manager, load_plugins\nload_plugins()\n"
        "import counterbias_backends.pwm as pwm\nManager().register(pwm, name='pwm')\n"
        "print(sorted({'numba', 'pandas', 'torch', 'HTSeq', 'pysam', 'pytest'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_public_names_are_all_there() -> None:
    assert set(counterbias._HOMES) | {"__version__"} == set(counterbias.__all__)
    assert set(counterbias.__all__) <= set(dir(counterbias))
    for name, home in counterbias._HOMES.items():
        assert getattr(counterbias, name) is getattr(sys.modules[home], name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = counterbias.nothing


# -- the docs ----------------------------------------------------------------------------------


def test_model_in_the_docs_conforms(root: Path) -> None:
    page = (root / "docs" / "reference" / "plugin-api.md").read_text()
    code = re.search(r"```python\n(\"\"\"counterbias_firstbase.*?)```", page, re.DOTALL)
    assert code is not None
    namespace: dict[str, object] = {"__name__": "counterbias_firstbase"}
    exec(compile(code.group(1), "docs/reference/plugin-api.md", "exec"), namespace)
    (backend,) = namespace["counterbias_backends"]()
    check_backend(backend, learns=0.2)
