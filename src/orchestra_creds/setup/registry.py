"""Every kind of resource that `setup` knows: one entry for each file in `setup/kinds/`. Pure."""

import importlib
import pkgutil
import re
from collections.abc import Mapping

from orchestra_creds.core.resources import Ref, ResourceKind
from orchestra_creds.setup import kinds
from orchestra_creds.setup.kind import KindEntry

_MODULES = [importlib.import_module(f"{kinds.__name__}.{file.name}") for file in pkgutil.iter_modules(kinds.__path__)]
_BY_KIND: Mapping[ResourceKind, KindEntry] = {module.ENTRY.kind: module.ENTRY for module in _MODULES}
ENTRIES = {kind: _BY_KIND[kind] for kind in ResourceKind}
"""The entries in the order in which resources are created."""
PARTS = {
    part: frozenset(kind for kind, entry in ENTRIES.items() if entry.part == part)
    for part in dict.fromkeys(entry.part for entry in ENTRIES.values())
}
"""Value of `setup --only` -> the kinds that it means."""


def _holder_pattern(holder: str) -> re.Pattern[str]:
    """Return the pattern of a full resource name; each part of it is one segment of the path."""
    return re.compile("/".join(rf"(?P<{part[1:-1]}>[^/]*)" if part[0] == "{" else part for part in holder.split("/")))


_HOLDERS = {kind: _holder_pattern(entry.policy.holder) for kind, entry in ENTRIES.items() if entry.policy is not None}


def holder_ref(holder: str) -> Ref | None:
    """Return the resource that has a policy, or None for the project itself."""
    for kind, pattern in _HOLDERS.items():
        if found := pattern.fullmatch(holder):
            parts = found.groupdict()
            return Ref(kind, parts.get("name") or f"{parts['first']}/{parts['rest']}")
    return None
