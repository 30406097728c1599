"""Finding and loading plug-ins, and calling their hooks.

Input: the entry points of the group ``counterbias``. Output: a :class:`Manager`, made once by
:func:`load_plugins` and passed on; there is no global one. Entry points are loaded one by one, each
identified by distribution and name: one that cannot be imported is reported and does not affect the
others.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import inspect
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

#: The entry-point group, also pluggy's name of the project.
GROUP = "counterbias"
#: Environment variable with the names of plug-ins to leave out, as in ``pwm,rnn``; where two
#: plug-ins share a name, ``distribution:name``.
DISABLE = "COUNTERBIAS_DISABLE_PLUGINS"

#: The values of :attr:`Plugin.status`.
LOADED, FAILED, DISABLED, DUPLICATE = "loaded", "failed", "disabled", "duplicate"


@dataclass(frozen=True)
class Plugin:
    """A plug-in, and whether it could be loaded.

    Args:
        name: the name of its entry point.
        distribution, version: the distribution that provides it; empty if registered by hand.
        status: ``loaded``, ``failed``, ``disabled`` or ``duplicate``.
        problem: why it was not loaded, one line; empty if it was.
    """

    name: str
    distribution: str = ""
    version: str = ""
    status: str = LOADED
    problem: str = ""

    @property
    def origin(self) -> str:
        """The distribution and its version, for messages."""
        return f"{self.distribution} {self.version}".strip() or "registered by hand"


@dataclass(frozen=True)
class Registration:
    """A backend and the plug-in that offers it."""

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
    """The plug-ins of one run.

    Args:
        disabled: names of plug-ins to leave out, see :data:`DISABLE`.
    """

    def __init__(self, disabled: Iterable[str] = ()) -> None:
        self._pluggy = pluggy.PluginManager(GROUP)
        self._pluggy.add_hookspecs(hookspecs)
        self._disabled = frozenset(name.strip() for name in disabled if name.strip())
        self._offers: dict[str, list[Registration]] = defaultdict(list)
        #: Every plug-in found, loaded or not; those of entry points by name and distribution.
        self.plugins: list[Plugin] = []

    # -- loading ---------------------------------------------------------------------------------

    def load_entry_points(
        self, entry_points: Iterable[importlib.metadata.EntryPoint] | None = None
    ) -> None:
        """Load the entry points of the installed distributions, or those given.

        A plug-in that cannot be loaded raises nothing: see :attr:`plugins`.
        """
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
        """Load the entry point of this name; where several distributions have one, load none."""
        enabled = {}
        for (distribution, version), entry_point in sorted(candidates.items()):
            if name in self._disabled or f"{distribution}:{name}" in self._disabled:
                self.plugins.append(
                    Plugin(name, distribution, version, DISABLED, f"switched off by {DISABLE}")
                )
            else:
                enabled[distribution, version] = entry_point
        for (distribution, version), entry_point in enabled.items():
            if len(enabled) > 1:
                origins = " and ".join(" ".join(origin) for origin in enabled)
                reason = (
                    f"{origins} both provide a plug-in '{name}', so neither is used: "
                    f"uninstall one or set {DISABLE}=DISTRIBUTION:{name}"
                )
                self.plugins.append(Plugin(name, distribution, version, DUPLICATE, reason))
                continue
            try:
                module = entry_point.load()
            except (Exception, SystemExit) as problem:  # a plug-in may do anything on import
                reason = f"cannot be imported: {_describe(problem)}"
                self.plugins.append(Plugin(name, distribution, version, FAILED, reason))
            else:
                self.register(module, name=name, distribution=distribution, version=version)

    def register(
        self, module: object, *, name: str, distribution: str = "", version: str = ""
    ) -> Plugin:
        """Register a plug-in that is already imported: a module, or an object with marked methods.

        Nothing is raised for a faulty plug-in; see :attr:`Plugin.status` of the returned value.
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
        """Call ``counterbias_backends`` of one plug-in only."""
        others = [other for other in self._pluggy.get_plugins() if other is not module]
        answers = self._pluggy.subset_hook_caller("counterbias_backends", remove_plugins=others)()
        backends = [backend for answer in answers for backend in answer]
        for backend in backends:
            if not isinstance(backend, Backend):
                raise TypeError(
                    f"counterbias_backends() returned {backend!r}, not a counterbias.Backend"
                )
        names = [backend.name for backend in backends]
        if len(set(names)) < len(names):
            raise ValueError(
                "counterbias_backends() returned two backends of one name: "
                f"{', '.join(sorted(names))}"
            )
        return backends

    # -- backends --------------------------------------------------------------------------------

    @property
    def backends(self) -> Mapping[str, Registration]:
        """Name → backend and plug-in, sorted by name, without :attr:`duplicates`."""
        return {
            name: offers[0] for name, offers in sorted(self._offers.items()) if len(offers) == 1
        }

    @property
    def duplicates(self) -> Mapping[str, tuple[Plugin, ...]]:
        """Backend name → the plug-ins that offer it, where there are several."""
        return {
            name: tuple(offer.plugin for offer in offers)
            for name, offers in sorted(self._offers.items())
            if len(offers) > 1
        }

    def registration(self, name: str) -> Registration:
        """Return a backend and the plug-in that offers it.

        Raises:
            InputError: no plug-in offers the name (the message suggests similar ones), or several
                do.
        """
        found = self.backends.get(name)
        if found is not None:
            return found
        if name in self.duplicates:
            offering = self.duplicates[name]
            both = " and ".join(f"'{plugin.name}' ({plugin.origin})" for plugin in offering)
            remedy = f"uninstall one, or leave one out with {DISABLE}={offering[-1].name}"
            raise InputError(f"backend '{name}' is offered by two plug-ins, {both}", remedy=remedy)
        raise InputError(f"there is no backend '{name}'", remedy=self._hint(name))

    def backend(self, name: str) -> Backend:
        """Return a backend by name. Raises InputError as :meth:`registration` does."""
        return self.registration(name).backend

    def _hint(self, name: str) -> str:
        """Return a remedy: names that the user may have meant, and where to look."""
        near = difflib.get_close_matches(name, self.backends, n=3, cutoff=0.5)
        parts = [f"did you mean {' or '.join(near)}?"] if near else []
        parts.append("'counterbias models' lists what is installed")
        missing = [plugin.name for plugin in self.plugins if plugin.status != LOADED]
        if missing:
            parts[-1] += f", and why these plug-ins were not loaded: {', '.join(missing)}"
        return " ".join(parts)

    def load(self, name: str) -> type[BiasModel]:
        """Load the class of a backend's models.

        Raises:
            InputError: as in :meth:`registration`, or the plug-in fails, or offers something else.
            ImportError: a package is missing or broken.
        """
        found = self.registration(name)
        try:
            model = found.backend.load()
        except (ImportError, OSError, MemoryError, InputError):
            raise  # no fault of the plug-in's
        except Exception as problem:
            why = _describe(problem)
        else:
            if not (isinstance(model, type) and issubclass(model, BiasModel)):
                why = f"load() returned {model!r}, not a subclass of counterbias.BiasModel"
            elif inspect.isabstract(model):
                lacking = ", ".join(sorted(model.__abstractmethods__))
                why = f"{model.__name__} lacks what every model has: {lacking}"
            else:
                return model
        raise InputError(
            f"backend '{name}' cannot be loaded: {why}",
            remedy=f"take another model, or tell the author of the plug-in ({found.plugin.origin})",
        )

    def require(self, name: str) -> Backend:
        """Return a backend that is about to be trained.

        Raises InputError as :meth:`registration` does, and where packages it trains with are
        missing.
        """
        found = self.registration(name)
        require(found.backend, found.plugin.distribution or GROUP)
        return found.backend

    # -- metrics ---------------------------------------------------------------------------------

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
    """Load the installed plug-ins, except those that :data:`DISABLE` names.

    Args:
        environ: environment variables; None for those of the process.

    Returns:
        A manager; plug-ins that could not be loaded are listed in :attr:`Manager.plugins`.
    """
    manager = Manager((os.environ if environ is None else environ).get(DISABLE, "").split(","))
    manager.load_entry_points()
    return manager


def missing_modules(backend: Backend) -> tuple[str, ...]:
    """Return the modules that training the backend needs and that are not installed.

    Nothing is imported.
    """
    return tuple(module for module in backend.requires if not _is_installed(module))


def require(backend: Backend, distribution: str = GROUP) -> None:
    """Raise InputError if packages that training the backend needs are missing.

    The message is as in ``Backend 'deep' needs: pip install 'your-distribution[deep]'``.

    Args:
        backend: the backend about to be trained.
        distribution: the distribution whose extra brings these packages.
    """
    missing = missing_modules(backend)
    if missing:
        packages = f"'{distribution}[{backend.extra}]'" if backend.extra else " ".join(missing)
        raise InputError(f"Backend '{backend.name}' needs: pip install {packages}")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # a missing parent package; a module without a spec
        return False


def _merge(metrics: dict[str, float], answer: Mapping[str, float]) -> None:
    """Add one hook's metrics, all of them or none."""
    values = {str(name): float(value) for name, value in answer.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"'{name}' is not finite")
        if name in metrics:
            raise ValueError(f"another plug-in already reports '{name}'")
    metrics.update(values)


def _origin(entry_point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    """Return the distribution and version that an entry point comes from."""
    distribution = entry_point.dist
    if distribution is None:
        return "unknown", ""
    metadata = distribution.metadata  # read from its file each time
    return metadata["Name"], metadata["Version"]


def _describe(problem: BaseException) -> str:
    """Describe an exception on one line, with its type unless it is an ImportError."""
    text = " ".join(str(problem).split())
    if text and isinstance(problem, ImportError):
        return text
    return f"{type(problem).__name__}: {text}"
