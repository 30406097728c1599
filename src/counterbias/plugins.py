"""Find, load and question plug-ins.

Comes in: the entry points of group ``counterbias``. Goes out: a :class:`Manager`, made once by :func:`load_plugins` and passed
on; there is no global one. Entry points are loaded one by one under ``try``, each by its distribution and name: one that cannot
be imported is reported and never takes the others with it.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pluggy

from counterbias import hookspecs
from counterbias.errors import InputError
from counterbias.model import Backend, BiasModel
from counterbias.records import TrainingSet

#: Entry-point group, and the name of the project in pluggy's eyes.
GROUP = "counterbias"
#: Environment variable: names of plug-ins to leave out, as in ``pwm,rnn`` or, where two share a name, ``distribution:name``.
DISABLE = "COUNTERBIAS_DISABLE_PLUGINS"

LOADED, FAILED, DISABLED, DUPLICATE = "loaded", "failed", "disabled", "duplicate"


@dataclass(frozen=True)
class Plugin:
    """Say what became of one plug-in.

    Args:
        name: its entry point's name.
        distribution, version: the distribution that brought it; empty for one registered by hand.
        status: ``loaded``, ``failed``, ``disabled`` or ``duplicate``.
        problem: why it was not loaded, one line; empty when it was.
    """

    name: str
    distribution: str = ""
    version: str = ""
    status: str = LOADED
    problem: str = ""

    @property
    def origin(self) -> str:
        """Name the distribution and its version for messages."""
        return f"{self.distribution} {self.version}".strip() or "registered by hand"


@dataclass(frozen=True)
class Registration:
    """A backend and the plug-in that brought it."""

    backend: Backend
    plugin: Plugin


@dataclass(frozen=True)
class PluginMetrics:
    """What the plug-ins report of one fitted model.

    Args:
        values: metric name → value, sorted by name.
        problems: one line per hook that failed, in the order of the plug-ins' names.
    """

    values: Mapping[str, float]
    problems: tuple[str, ...] = ()


class Manager:
    """Hold the plug-ins of one run.

    Args:
        disabled: names of plug-ins to leave out (see :data:`DISABLE`).
    """

    def __init__(self, disabled: Iterable[str] = ()) -> None:
        self._pluggy = pluggy.PluginManager(GROUP)
        self._pluggy.add_hookspecs(hookspecs)
        self._disabled = frozenset(name.strip() for name in disabled if name.strip())
        self._offers: dict[str, list[Registration]] = defaultdict(list)
        #: Every plug-in seen, in the order of name and distribution in which it was seen.
        self.plugins: list[Plugin] = []

    # -- loading -----------------------------------------------------------------------------------------------------

    def load_entry_points(
        self, entry_points: Iterable[importlib.metadata.EntryPoint] | None = None
    ) -> None:
        """Load the entry points of the installed distributions (or those given), whatever some of them do."""
        if entry_points is None:
            entry_points = importlib.metadata.entry_points(group=GROUP)
        by_name: dict[str, dict[tuple[str, str], importlib.metadata.EntryPoint]] = defaultdict(dict)
        for entry_point in entry_points:
            by_name[entry_point.name][_origin(entry_point)] = entry_point
        for name, candidates in sorted(by_name.items()):
            self._load_name(name, candidates)

    def _load_name(
        self, name: str, candidates: dict[tuple[str, str], importlib.metadata.EntryPoint]
    ) -> None:
        """Load the entry point of a name; of several distributions' ones load none."""
        wanted = {}
        for (distribution, version), entry_point in sorted(candidates.items()):
            if name in self._disabled or f"{distribution}:{name}" in self._disabled:
                self.plugins.append(
                    Plugin(name, distribution, version, DISABLED, f"switched off by {DISABLE}")
                )
            else:
                wanted[distribution, version] = entry_point
        for (distribution, version), entry_point in wanted.items():
            if len(wanted) > 1:
                sides = " and ".join(" ".join(origin) for origin in wanted)
                problem = f"{sides} bring a plug-in '{name}', none is used: uninstall one or set {DISABLE}=DISTRIBUTION:{name}"
                self.plugins.append(Plugin(name, distribution, version, DUPLICATE, problem))
                continue
            try:
                module = entry_point.load()
            except (
                Exception,
                SystemExit,
            ) as problem_:  # whatever a plug-in does on import is its own affair
                self.plugins.append(
                    Plugin(
                        name,
                        distribution,
                        version,
                        FAILED,
                        f"cannot be imported: {_describe(problem_)}",
                    )
                )
            else:
                self.register(module, name=name, distribution=distribution, version=version)

    def register(
        self, module: object, *, name: str, distribution: str = "", version: str = ""
    ) -> Plugin:
        """Take in a plug-in that is already imported (a module or any object with marked methods).

        Returns:
            what became of it; nothing is raised for what the plug-in does wrong.
        """
        if name in self._disabled:
            plugin = Plugin(name, distribution, version, DISABLED, f"switched off by {DISABLE}")
        else:
            plugin = Plugin(name, distribution, version)
            try:
                self._pluggy.register(module, name)
                self._pluggy.check_pending()
                backends = self._offered(module)
            except (Exception, SystemExit) as problem:
                if self._pluggy.get_plugin(name) is module:
                    self._pluggy.unregister(module)
                plugin = Plugin(name, distribution, version, FAILED, _describe(problem))
            else:
                for backend in backends:
                    self._offers[backend.name].append(Registration(backend, plugin))
        self.plugins.append(plugin)
        return plugin

    def _offered(self, module: object) -> list[Backend]:
        """Ask one plug-in, and no other, for its backends."""
        others = [other for other in self._pluggy.get_plugins() if other is not module]
        answers = self._pluggy.subset_hook_caller("counterbias_backends", remove_plugins=others)()
        backends = [backend for answer in answers for backend in answer]
        for backend in backends:
            if not isinstance(backend, Backend):
                raise TypeError(
                    f"counterbias_backends() gave {backend!r}, which is not a counterbias.Backend"
                )
        names = [backend.name for backend in backends]
        if len(set(names)) < len(names):
            raise ValueError(
                f"counterbias_backends() gave two backends of one name: {', '.join(sorted(names))}"
            )
        return backends

    # -- backends ----------------------------------------------------------------------------------------------------

    @property
    def backends(self) -> Mapping[str, Registration]:
        """Name → backend and plug-in, sorted by name; names that two plug-ins claim are left out."""
        return {
            name: offers[0] for name, offers in sorted(self._offers.items()) if len(offers) == 1
        }

    @property
    def duplicates(self) -> Mapping[str, tuple[Plugin, ...]]:
        """Backend name → the plug-ins that claim it, where there are several."""
        return {
            name: tuple(offer.plugin for offer in offers)
            for name, offers in sorted(self._offers.items())
            if len(offers) > 1
        }

    def registration(self, name: str) -> Registration:
        """Find a backend and who brought it.

        Raises:
            InputError: there is none of that name (the nearest names are given), or several plug-ins claim it.
        """
        found = self.backends.get(name)
        if found is not None:
            return found
        if name in self.duplicates:
            sides = " and ".join(
                f"'{plugin.name}' ({plugin.origin})" for plugin in self.duplicates[name]
            )
            remedy = (
                f"uninstall one, or leave one out with {DISABLE}={self.duplicates[name][-1].name}"
            )
            raise InputError(f"backend '{name}' is offered by two plug-ins, {sides}", remedy=remedy)
        raise InputError(f"there is no backend '{name}'", remedy=self._hint(name))

    def backend(self, name: str) -> Backend:
        """Find a backend by name; raises InputError as :meth:`registration` does."""
        return self.registration(name).backend

    def _hint(self, name: str) -> str:
        """Say what the user may have meant, and where to look."""
        near = difflib.get_close_matches(name, self.backends, n=3, cutoff=0.5)
        parts = [f"did you mean {' or '.join(near)}?"] if near else []
        parts.append("'counterbias models' lists what is installed")
        missing = [plugin.name for plugin in self.plugins if plugin.status != LOADED]
        if missing:
            parts[-1] += f", and why these plug-ins were not loaded: {', '.join(missing)}"
        return " ".join(parts)

    def require(self, name: str) -> Backend:
        """Find a backend that is about to be trained; raises InputError, also where the packages it trains with are missing."""
        found = self.registration(name)
        require(found.backend, found.plugin.distribution or GROUP)
        return found.backend

    # -- the other hook ----------------------------------------------------------------------------------------------

    def qc_metrics(self, model: BiasModel, held_out: TrainingSet) -> PluginMetrics:
        """Call every plug-in's ``counterbias_qc_metrics`` for a fitted model.

        A hook that raises, or returns a value that is not finite or a name already taken, adds no
        value and one problem; nothing is raised here.
        """
        values: dict[str, float] = {}
        problems = []
        plugins = self._pluggy.list_name_plugin()
        for name, plugin in sorted(plugins, key=lambda pair: pair[0]):
            others = [other for _, other in plugins if other is not plugin]
            try:
                hook = self._pluggy.subset_hook_caller(
                    "counterbias_qc_metrics", remove_plugins=others
                )
                for answer in hook(model=model, held_out=held_out):
                    _merge(values, answer)
            except Exception as problem:
                problems.append(
                    f"plug-in '{name}': counterbias_qc_metrics failed: {_describe(problem)}"
                )
        return PluginMetrics(dict(sorted(values.items())), tuple(problems))


def load_plugins(environ: Mapping[str, str] | None = None) -> Manager:
    """Make a manager and load what is installed, but for the plug-ins that the environment switches off."""
    manager = Manager((os.environ if environ is None else environ).get(DISABLE, "").split(","))
    manager.load_entry_points()
    return manager


def missing_modules(backend: Backend) -> tuple[str, ...]:
    """Name the modules that training this backend needs and that are not installed, without importing them."""
    return tuple(module for module in backend.requires if not _is_installed(module))


def require(backend: Backend, distribution: str = GROUP) -> None:
    """Refuse to train a backend whose packages are missing.

    Args:
        backend: the backend about to be trained.
        distribution: the distribution that has the extra.

    Raises:
        InputError: as in ``Backend 'gru' needs: pip install 'counterbias[rnn]'``.
    """
    missing = missing_modules(backend)
    if missing:
        what = f"{distribution}[{backend.extra}]" if backend.extra else " ".join(missing)
        quoted = f"'{what}'" if backend.extra else what
        raise InputError(f"Backend '{backend.name}' needs: pip install {quoted}")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # a missing parent package; a module without a spec
        return False


def _merge(metrics: dict[str, float], answer: Mapping[str, float]) -> None:
    """Add one hook's answer, all of it or nothing."""
    values = {str(name): float(value) for name, value in answer.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"'{name}' is not finite")
        if name in metrics:
            raise ValueError(f"another plug-in gave '{name}'")
    metrics.update(values)


def _origin(entry_point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    """Give the distribution and version that an entry point comes from."""
    distribution = entry_point.dist
    if distribution is None:
        return "unknown", ""
    told = distribution.metadata  # read from its file each time
    return told["Name"], told["Version"]


def _describe(problem: BaseException) -> str:
    """Put an exception on one line; import failures speak for themselves."""
    text = " ".join(str(problem).split())
    return (
        text if text and isinstance(problem, ImportError) else f"{type(problem).__name__}: {text}"
    )
