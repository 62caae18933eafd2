"""The import names that task and agent folders were written against, made to work in those folders and nowhere else.

    names = PublishedNames.of_task("project/tasks/cafe")
    functions = names.load("tasks.cafe.task_functions")

A folder's code may import `env.data_models`, `agents.base_agent`, `agents.base_agent_with_units`, `agents.base_trainer`, and the files of
its project as `tasks.<name>....` and `agents.<name>....`, at its top or inside its functions, now or later. These are common names (an
installed package may well be called `agents`), so that they are not put into `sys.modules`: the loaded modules have an `__import__` of
their own, which every import statement in them asks first.
"""

import builtins
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, resolve_name, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from rapport.core.config import ConfigError
from rapport.simulator import agents, state

SHIMS = {
    "env.data_models": state,
    "agents.base_agent": agents,
    "agents.base_agent_with_units": agents,
    "agents.base_trainer": agents,
}
"""Published module to ours; all that the published ones define is in it."""

ROOMS = ("env", "agents", "tasks")

_loading = threading.RLock()


class BrokenModule(ConfigError, ImportError):
    """A Python file of a task or agent folder that cannot be imported."""


class PublishedNames:
    """The modules of one project: a folder with `tasks/` and `agents/` in it, either of which may be missing or be called otherwise."""

    def __init__(self, tasks: Path, agents: Path) -> None:
        self._folders = {"tasks": tasks, "agents": agents}
        self._modules: dict[str, ModuleType] = {}

    @classmethod
    def of_task(cls, folder: str | Path) -> "PublishedNames":
        """For the code of a task folder, whose parent is the project's `tasks`."""
        room = Path(folder).resolve().parent
        return cls(tasks=room, agents=room.parent / "agents")

    @classmethod
    def of_agent(cls, folder: str | Path) -> "PublishedNames":
        """For the code of an agent folder, whose parent is the project's `agents`."""
        room = Path(folder).resolve().parent
        return cls(tasks=room.parent / "tasks", agents=room)

    def load(self, name: str) -> ModuleType:
        """The module of a published name, such as `tasks.cafe.task_functions`; the same one each time.

        Raises BrokenModule that names the file when its code raises, and ModuleNotFoundError when there is none.
        """
        with _loading:
            if name not in self._modules:
                self._load(name)
            return self._modules[name]

    def _load(self, name: str) -> None:
        room, _, leaf = name.rpartition(".")
        parent = self.load(room) if room else None
        if name in SHIMS:
            module = SHIMS[name]
        else:
            module = module_from_spec(self._spec(name, parent))
            self._modules[name] = module  # before it runs, for modules that import each other
            self._run(module)
        self._modules[name] = module
        if parent is not None and room not in SHIMS:
            setattr(parent, leaf, module)

    def _spec(self, name: str, parent: ModuleType | None) -> ModuleSpec:
        if name in ROOMS:
            package = ModuleSpec(name, None, is_package=True)
            package.submodule_search_locations = [str(self._folders[name])] if name in self._folders else []
            return package
        for root in getattr(parent, "__path__", []):
            folder = Path(root, name.rpartition(".")[2])
            for file, inner in ((folder / "__init__.py", [str(folder)]), (folder.with_name(folder.name + ".py"), None)):
                if file.is_file():
                    spec = spec_from_file_location(name, file, loader=_Uncached(name, str(file)), submodule_search_locations=inner)
                    assert spec is not None
                    return spec
            if folder.is_dir():
                package = ModuleSpec(name, None, is_package=True)
                package.submodule_search_locations = [str(folder)]
                return package
        searched = ", ".join(getattr(parent, "__path__", [])) or "the published names"
        raise ModuleNotFoundError(f"no module {name!r} in {searched}", name=name)

    def _run(self, module: ModuleType) -> None:
        if module.__spec__ is None or not isinstance(module.__spec__.loader, _Uncached):
            return
        # CPython asks the `__import__` of a module's own builtins, also for imports inside its functions after all is loaded.
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import}
        name = module.__name__
        hidden = sys.modules.get(name)
        sys.modules[name] = module  # while it runs: dataclasses look their module up here
        try:
            module.__spec__.loader.exec_module(module)
        except BrokenModule:
            del self._modules[name]
            raise
        except Exception as error:
            del self._modules[name]
            raise BrokenModule(f"{module.__file__}: cannot be imported: {type(error).__name__}: {error}") from error
        finally:
            if hidden is None:
                del sys.modules[name]
            else:
                sys.modules[name] = hidden

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """What an import statement in a loaded module means; the signature is that of `builtins.__import__`."""
        full = resolve_name("." * level + name, str((globals or {}).get("__package__"))) if level else name
        if full.partition(".")[0] not in ROOMS:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = self.load(full)
        if not fromlist:
            return self.load(full.partition(".")[0])
        for member in fromlist:
            if member != "*" and not hasattr(module, member) and full not in SHIMS:
                self._load_if_there(f"{full}.{member}")
        return module

    def _load_if_there(self, name: str) -> None:
        try:
            self.load(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise  # Python then says that the name cannot be imported from its module


class _Uncached(SourceFileLoader):
    """Compiles a file each time: no `__pycache__` in somebody's folder, and no stale code after an edit within the clock's tick."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)
