"""Fixtures of the tests of networks. Imports no torch, which may be absent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from counterbias import Backend, BiasModel, hookimpl
from counterbias.cli import main
from counterbias.plugins import Manager, load_plugins
from tests.helpers.samples_without_starts import Builder


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small samples be trained on for fewer steps than it takes to learn much."""
    lessons = pytest.importorskip("counterbias_torch.lessons")
    monkeypatch.setattr(lessons, "LEAST_STEPS", 15)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Let torch calculate on one thread, as it does while networks are trained."""
    devices = pytest.importorskip("counterbias_torch.devices")
    with devices.one_thread():
        yield


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample ``good``, its genome and genes."""
    folder = tmp_path_factory.mktemp("sample")
    Builder(folder).single("good", 1500, 3)
    return folder


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[BiasModel]], None]:
    """Install a plug-in with the backend ``mine``."""

    def install(kind: type[BiasModel]) -> None:
        class Plugin:
            @hookimpl
            def counterbias_backends(self) -> list[Backend]:
                return [
                    Backend("mine", "a network", lambda: kind, extra="deep", requires=("torch",))
                ]

        def load(environ: object = None) -> Manager:
            manager = load_plugins()
            manager.register(Plugin(), name="mine", distribution="mine", version="1")
            return manager

        monkeypatch.setattr("counterbias.plugins.load_plugins", load)
        monkeypatch.setattr("counterbias.pipeline.compare.run.load_plugins", load)

    return install


@pytest.fixture
def count(sample_folder: Path, tmp_path: Path) -> Callable[..., int]:
    """Run ``counterbias count`` with the backend ``mine`` and further words."""

    def run(*more: str) -> int:
        words = ["count", "-q", "-s", "yes", "--bias-model", "mine", *more]
        files = ["--bias-genome", f"{sample_folder}/genome.fa", "--bias-output", f"{tmp_path}/"]
        files += ["-c", f"{tmp_path}/t.tsv", f"{sample_folder}/good.sam"]
        return main([*words, *files, f"{sample_folder}/genes.gtf"])

    return run
