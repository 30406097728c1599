"""Plug-ins: hooks, loading whatever some of them do, duplicates, switching off, missing extras."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from counterbias import Backend, BiasModel, InputError, TrainingSet, Window, hookspecs
from counterbias.cli import main
from counterbias.hookspecs import hookimpl
from counterbias.plugins import (
    DISABLE,
    DISABLED,
    DUPLICATE,
    FAILED,
    LOADED,
    Manager,
    load_plugins,
    missing_modules,
    require,
)
from counterbias.testing import planted_sample
from counterbias_backends import pwm
from tests.helpers.samples_without_starts import write_singles
from tests.plugins.installed import GOOD, Install

HOOKS = [name for name in vars(hookspecs) if name.startswith("counterbias_")]


class Offering:
    """A plug-in object that offers backends of the names given."""

    def __init__(self, *names: str) -> None:
        self.names = names

    @hookimpl
    def counterbias_backends(self) -> list[Backend]:
        return [
            Backend(name, f"the {name} model", lambda: pwm.PositionWeightMatrix)
            for name in self.names
        ]


def fitted() -> tuple[BiasModel, TrainingSet]:
    sample = planted_sample(Window(1, 1), starts=50, seed=1)
    model = pwm.PositionWeightMatrix(sample.window)
    model.fit(sample, np.random.default_rng(1))
    assert sample.validation is not None
    return model, sample.validation


# -- the hooks ---------------------------------------------------------------------------------


def test_every_hook_has_a_heading_in_the_docs_and_a_test(root: Path) -> None:
    assert HOOKS == ["counterbias_backends", "counterbias_qc_metrics"]
    page = (root / "docs" / "reference" / "hooks.md").read_text()
    tests = Path(__file__).read_text()
    for name in HOOKS:
        arguments = ", ".join(inspect.signature(getattr(hookspecs, name)).parameters)
        assert re.search(rf"^## `{name}\({arguments}\)`$", page, re.MULTILINE), (
            f"docs/reference/hooks.md lacks {name}({arguments})"
        )
        assert f"def test_hook_{name}(" in tests, f"no test of {name}"
    headings = re.findall(r"^## `(\w+)\(", page, re.MULTILINE)
    assert headings == HOOKS, "the docs describe a hook that does not exist"


def test_every_hook_is_typed_and_tells_when_it_is_called() -> None:
    for name in HOOKS:
        spec = getattr(hookspecs, name)
        signature = inspect.signature(spec)
        assert signature.return_annotation is not inspect.Signature.empty
        text = inspect.getdoc(spec) or ""
        assert "Called once" in text
        assert "Returns:" in text
        for parameter in signature.parameters.values():
            assert parameter.annotation is not inspect.Parameter.empty
            assert f"{parameter.name}: " in text


def test_hook_counterbias_backends() -> None:
    manager = Manager()
    assert (
        manager.register(Offering("b", "a"), name="one", distribution="d", version="2").status
        == LOADED
    )
    assert list(manager.backends) == ["a", "b"]
    found = manager.registration("a")
    assert (found.backend.summary, found.plugin.name, found.plugin.origin) == (
        "the a model",
        "one",
        "d 2",
    )
    assert manager.backend("b") is manager.backends["b"].backend
    # A second plug-in is asked for its own backends only.
    manager.register(Offering("c"), name="two")
    assert {name: entry.plugin.name for name, entry in manager.backends.items()} == {
        "a": "one",
        "b": "one",
        "c": "two",
    }


def test_hook_counterbias_qc_metrics() -> None:
    asked = []

    class Measuring:
        @hookimpl
        def counterbias_qc_metrics(self, model, held_out):
            asked.append((model, held_out))
            return {"z.rows": len(held_out.foreground), "a.width": np.float64(model.window.width)}

    class OfTheModelOnly:
        @hookimpl
        def counterbias_qc_metrics(self, model):
            return {"m.one": 1}

    manager = Manager()
    for name, plugin in (
        ("measuring", Measuring()),
        ("model-only", OfTheModelOnly()),
        ("silent", Offering("x")),
    ):
        assert manager.register(plugin, name=name).status == LOADED
    model, held_out = fitted()
    metrics = manager.qc_metrics(model, held_out)
    assert metrics.values == {"a.width": 3.0, "m.one": 1.0, "z.rows": 12.0}
    assert list(metrics.values) == sorted(metrics.values)
    assert all(type(value) is float for value in metrics.values.values())
    assert asked == [(model, held_out)]
    assert metrics.problems == ()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: {"bad.value": float("nan")}, "'bad.value' is not finite"),
        (
            lambda: {"good.value": 2.0, "bad.value": 1.0},
            "another plug-in already reports 'good.value'",
        ),
        (lambda: {"bad.value": "text"}, "ValueError"),
        (lambda: 3, "AttributeError"),
    ],
)
def test_failing_qc_hook_is_reported_and_not_fatal(answer, why) -> None:
    def plugin(result):
        class Plugin:
            @hookimpl
            def counterbias_qc_metrics(self, model, held_out):
                return result()

        return Plugin()

    manager = Manager()
    manager.register(plugin(lambda: {"good.value": 1.0}), name="a-good")
    manager.register(plugin(answer), name="bad")
    manager.register(plugin(lambda: {"late.value": 3.0}), name="c-good")
    metrics = manager.qc_metrics(*fitted())
    assert metrics.values == {"good.value": 1.0, "late.value": 3.0}
    (problem,) = metrics.problems
    assert problem.startswith("plug-in 'bad': counterbias_qc_metrics failed: ")
    assert why in problem
    # One sample's problems are not in the next one's report.
    assert len(manager.qc_metrics(*fitted()).problems) == 1


# -- loading -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (
            "import nonexistent_module_of_no_one\n",
            "cannot be imported: No module named 'nonexistent_module_of_no_one'",
        ),
        ("def broken(:\n", "cannot be imported: SyntaxError"),
        ("raise SystemExit(3)\n", "cannot be imported: SystemExit: 3"),
        (GOOD.format(backend="UPPER CASE"), "cannot name a backend"),
        (
            GOOD.format(backend="x").replace("counterbias_backends():", "counterbias_backend():"),
            "unknown hook 'counterbias_backend'",
        ),
        (
            GOOD.format(backend="x").replace(
                "counterbias_backends():", "counterbias_backends(wrong):"
            ),
            "wrong",
        ),
        (GOOD.format(backend="x").replace("[Backend(", "[str("), "TypeError"),
        (
            GOOD.format(backend="x").replace("load)]", "load), Backend('x', 'again', load)]"),
            "two backends of one name",
        ),
    ],
)
def test_plugin_that_fails_is_reported_and_others_work(
    install: Install, source: str, why: str
) -> None:
    install("aaa-broken", "aaa-broken", source, version="0.3")
    install("zzz-good", "zzz-good", GOOD.format(backend="zzz"))
    manager = load_plugins({})
    plugins = {plugin.name: plugin for plugin in manager.plugins}
    broken = plugins["aaa-broken"]
    assert (broken.status, broken.origin) == (FAILED, "aaa-broken 0.3")
    assert why in broken.problem
    assert "\n" not in broken.problem
    assert plugins["zzz-good"].status == LOADED
    assert manager.backend("zzz").load() is pwm.PositionWeightMatrix
    assert not {"x", "UPPER CASE"} & set(manager.backends)


def test_one_entry_point_name_of_two_distributions_is_refused(install: Install) -> None:
    install("first-dist", "same", GOOD.format(backend="one"))
    install("second-dist", "same", GOOD.format(backend="two"), version="2.1")
    install("third-dist", "other", GOOD.format(backend="three"))
    manager = load_plugins({})
    same = [plugin for plugin in manager.plugins if plugin.name == "same"]
    assert [plugin.status for plugin in same] == [DUPLICATE, DUPLICATE]
    for plugin in same:
        assert "first-dist 1.0 and second-dist 2.1" in plugin.problem
    assert "three" in manager.backends
    assert not {"one", "two"} & set(manager.backends)
    # Leaving one of them out settles it.
    manager = load_plugins({DISABLE: "first-dist:same"})
    assert "two" in manager.backends
    assert [plugin.status for plugin in manager.plugins if plugin.name == "same"] == [
        DISABLED,
        LOADED,
    ]


def test_one_backend_name_of_two_plugins_is_refused(install: Install) -> None:
    install("first-dist", "one", GOOD.format(backend="same"))
    install("second-dist", "two", GOOD.format(backend="same"), version="2.1")
    manager = load_plugins({})
    assert "same" not in manager.backends
    with pytest.raises(InputError, match="offered by two plug-ins") as caught:
        manager.backend("same")
    assert "'one' (first-dist 1.0) and 'two' (second-dist 2.1)" in caught.value.problem
    assert f"{DISABLE}=two" in caught.value.remedy
    assert load_plugins({DISABLE: "two"}).registration("same").plugin.name == "one"


def test_switching_off(install: Install) -> None:
    install("some-dist", "some", "raise AssertionError('it must not be imported')\n")
    manager = load_plugins({DISABLE: " some , none-such"})
    plugin = next(plugin for plugin in manager.plugins if plugin.name == "some")
    assert (plugin.status, plugin.origin) == (DISABLED, "some-dist 1.0")
    assert Manager(["some"]).register(Offering("x"), name="some").status == DISABLED


def test_two_managers_share_nothing() -> None:
    one, two = Manager(), Manager()
    one.register(Offering("x"), name="x")
    assert list(one.backends) == ["x"]
    assert list(two.backends) == []


# -- choosing a backend ------------------------------------------------------------------------


def test_unknown_backend_names_the_nearest() -> None:
    manager = Manager()
    manager.register(Offering("gru", "lstm", "heptamer"), name="some")
    with pytest.raises(InputError, match="there is no backend 'gruu'") as caught:
        manager.backend("gruu")
    assert caught.value.remedy == "did you mean gru? 'counterbias models' lists what is installed"
    with pytest.raises(InputError) as caught:
        manager.backend("qqqqqq")
    assert caught.value.remedy == "'counterbias models' lists what is installed"


def test_unknown_backend_names_the_plugins_that_failed(install: Install) -> None:
    install("broken-dist", "lost", "import nonexistent_module_of_no_one\n")
    with pytest.raises(InputError) as caught:
        load_plugins({}).backend("lost-model")
    assert "why these plug-ins were not loaded: " in caught.value.remedy
    assert "lost" in caught.value.remedy
    assert "Error" not in caught.value.line()


def fails() -> type[BiasModel]:
    raise KeyError("a\nname")


class Unfinished(BiasModel):
    """Lacks most methods."""

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {}


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (fails, "KeyError: 'a\\nname'"),
        (lambda: None, "load() returned None, not a subclass of counterbias.BiasModel"),
        (lambda: int, "load() returned <class 'int'>, not a subclass of counterbias.BiasModel"),
        (lambda: Unfinished, "Unfinished lacks what every model has: fit, from_arrays, log_bias"),
    ],
)
@pytest.mark.parametrize(
    "words", [("count", "--bias-model", "odd"), ("compare", "--models", "odd")]
)
def test_backend_that_cannot_be_loaded_is_one_line(
    load: Callable[[], type[BiasModel]],
    why: str,
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Plugin:
        @hookimpl
        def counterbias_backends(self):
            return [Backend("odd", "summary", load)]

    def load_with(environ: object = None) -> Manager:
        manager = Manager()
        manager.register(Plugin(), name="theirs", distribution="their-plugin", version="1")
        return manager

    monkeypatch.setattr("counterbias.plugins.load_plugins", load_with)
    monkeypatch.setattr("counterbias.pipeline.compare.run.load_plugins", load_with)
    write_singles(tmp_path)
    given = (
        {"--bias-genome": "genome.fa", "-o": "c"}
        if words[0] == "compare"
        else {"--bias-genome": "genome.fa", "--bias-output": "out"}
    )
    options = [part for name, file in given.items() for part in (name, str(tmp_path / file))]
    before = sorted(tmp_path.iterdir())
    assert main([*words, *options, str(tmp_path / "good.sam"), str(tmp_path / "genes.gtf")]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"counterbias: backend 'odd' cannot be loaded: {why}. "
        "Take another model, or tell the author of the plug-in (their-plugin 1)"
    )
    assert not list(tmp_path.glob("out*"))
    assert set(tmp_path.iterdir()) - set(before) <= {tmp_path / "c"}


def test_missing_extra_is_refused_only_when_training() -> None:
    backend = Backend(
        "deep",
        "summary",
        lambda: pwm.PositionWeightMatrix,
        extra="deep",
        requires=("numpy", "no_such.module", "nope"),
    )

    class Plugin:
        @hookimpl
        def counterbias_backends(self):
            return [backend]

    manager = Manager()
    manager.register(Plugin(), name="deep", distribution="their-plugin")
    assert manager.backend("deep") is backend
    assert missing_modules(backend) == ("no_such.module", "nope")
    with pytest.raises(InputError) as caught:
        manager.require("deep")
    assert caught.value.line() == "Backend 'deep' needs: pip install 'their-plugin[deep]'"
    with pytest.raises(InputError, match=re.escape("pip install 'counterbias[deep]'")):
        require(backend)
    with pytest.raises(InputError, match="pip install nope"):
        require(Backend("x", "s", backend.load, requires=("nope",)))
    require(Backend("x", "s", backend.load, requires=("numpy",)))
