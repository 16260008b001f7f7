"""Modules below this package under the name `vascx_simplify.…` where it stands for vascx_simplify.

Without this, `sys.modules["vascx_simplify"] = vascx_rs.vascx_simplify` would have `import vascx_simplify.utils` load
those files a second time, with classes that are not the same.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_ALIAS = "vascx_simplify"
_PACKAGE = __name__.rpartition(".")[0]


class _Existing(Loader):
    """Gives the module that there is."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        stands_in = sys.modules.get(_ALIAS) is sys.modules.get(_PACKAGE)
        if not fullname.startswith(_ALIAS + ".") or not stands_in:
            return None
        try:
            module = importlib.import_module(_PACKAGE + fullname.removeprefix(_ALIAS))
        except ModuleNotFoundError:
            return None
        return ModuleSpec(fullname, _Existing(module), is_package=hasattr(module, "__path__"))


def install() -> None:
    """Once, before the other finders."""
    sys.meta_path.insert(0, _Finder())
