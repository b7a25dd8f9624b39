"""The person's variables: bound anew, rebound, gone, changed in place; and back.

Everything here is called on the thread that the namespace belongs to.
"""

from __future__ import annotations

import contextlib
import weakref
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from ante_nb.agent.undo.inplace import Copies, Copy, is_array, is_pandas, nbytes
from ante_nb.log import logger

HOLD_CAP = 256 * 1024 * 1024
"""Bytes of an object that is kept alive after the turn has let go of it."""

_SHELL = frozenset({"In", "Out", "get_ipython", "exit", "quit"})
MISSING: Any = type("Missing", (), {"__repr__": lambda self: "<nothing>", "__slots__": ()})()


class Held:
    """What a name was bound to; a large object is not kept from being freed."""

    __slots__ = ("_strong", "_weak", "kind", "size")

    def __init__(self, value: Any) -> None:
        self.kind = type(value).__name__
        self.size = nbytes(value)
        self._strong = value
        self._weak: Any = None
        if self.size > HOLD_CAP:
            with contextlib.suppress(TypeError):
                self._weak = weakref.ref(value)
                self._strong = MISSING

    def get(self) -> Any:
        """The object, or ``MISSING`` where it was freed."""
        if self._weak is None:
            return self._strong
        found = self._weak()
        return MISSING if found is None else found


NOTHING = Held(MISSING)


@dataclass(slots=True)
class Binding:
    """A name and what it is bound to before and after; ``NOTHING`` where it does not exist."""

    name: str
    before: Held
    after: Held


@dataclass(slots=True)
class Mutation:
    """An object that was changed in place, the variables that show it, and both states."""

    names: list[str]
    before: Copy
    after: Copy


@dataclass(slots=True)
class NamespaceChanges:
    """What a record did to the namespace. ``unseen`` are variables that may have changed unseen, and why."""

    bindings: list[Binding] = field(default_factory=list)
    mutations: list[Mutation] = field(default_factory=list)
    unseen: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.bindings or self.mutations)

    @property
    def new(self) -> list[str]:
        return [b.name for b in self.bindings if b.before is NOTHING and b.after.kind != "module"]

    @property
    def gone(self) -> list[str]:
        return [b.name for b in self.bindings if b.after is NOTHING and b.before.kind != "module"]

    @property
    def changed(self) -> list[str]:
        rebound = [b.name for b in self.bindings if b.before is not NOTHING and b.after is not NOTHING]
        return list(dict.fromkeys([*rebound, *(name for m in self.mutations for name in m.names)]))

    def kind_of(self, name: str) -> str:
        """The type of a variable, as it is after the record (where it is gone: before)."""
        for binding in self.bindings:
            if binding.name == name:
                return (binding.before if binding.after is NOTHING else binding.after).kind
        for mutation in self.mutations:
            if name in mutation.names:
                return type(mutation.before.target).__name__
        return ""


@dataclass(slots=True)
class NamespaceRestored:
    """What came of putting variables back."""

    restored: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.restored) + len(self.removed)


class NamespaceBefore:
    """A namespace as it is now."""

    def __init__(self, space: dict[str, Any]) -> None:
        self._bound = {name: Held(value) for name, value in _own(space).items()}
        self._copies = Copies()
        self._copies.take(
            (name, value) for name, value in _own(space).items() if not isinstance(value, ModuleType)
        )

    def compare(self, space: dict[str, Any], mentioned: set[str] | None = None) -> NamespaceChanges:
        """What is different now.

        Args:
            space: the same namespace.
            mentioned: names that the code which ran has used; ``None`` where that is not known.
        """
        out = NamespaceChanges()
        now = _own(space)
        for name in [*self._bound, *(name for name in now if name not in self._bound)]:
            before = self._bound.get(name, NOTHING)
            after = now.get(name, MISSING)
            if before is not NOTHING and before.get() is after:
                continue
            out.bindings.append(Binding(name, before, NOTHING if after is MISSING else Held(after)))
        for key, copy in self._copies.by_id.items():
            try:
                changed = copy.changed()
                if changed:
                    out.mutations.append(Mutation(self._copies.roots[key], copy, copy.again()))
            except Exception as error:
                logger.info("a %s could not be compared: %s", type(copy.target).__name__, error)
        rebound = {binding.name for binding in out.bindings}
        out.unseen = {
            name: why
            for name, why in self._copies.opaque.items()
            if name not in rebound and (mentioned is None or name in mentioned)
        }
        return out


def restore(space: dict[str, Any], changes: NamespaceChanges) -> tuple[NamespaceRestored, NamespaceChanges]:
    """Put a namespace back, each thing only where it is still as the record left it.

    Returns:
        What was done, and the changes that this made, to take it back in the same way.
    """
    out, reverse = NamespaceRestored(), NamespaceChanges()
    for mutation in changes.mutations:
        names = ", ".join(mutation.names)
        try:
            if mutation.after.changed():
                out.left.append((names, "it was changed since the turn"))
                continue
            mutation.before.put_back()
        except Exception as error:
            logger.info("%s could not be put back in place: %s", names, error)
            if not _rebind(space, mutation, out, reverse):
                out.left.append((names, f"it does not take its old contents: {error}"))
            continue
        out.restored += [name for name in mutation.names if name not in out.restored]
        reverse.mutations.append(Mutation(mutation.names, mutation.after, mutation.before.again()))
    for binding in changes.bindings:
        name = binding.name
        present = space.get(name, MISSING)
        expected = binding.after.get() if binding.after is not NOTHING else MISSING
        if present is not expected:
            out.left.append((name, "it was bound anew since the turn"))
            continue
        if binding.before is NOTHING:
            space.pop(name, None)
            out.removed.append(name)
        else:
            old = binding.before.get()
            if old is MISSING:
                size = binding.before.size / 1e6
                out.left.append((name, f"its old value ({size:,.0f} MB) was too large to be kept alive"))
                continue
            space[name] = old
            if name not in out.restored:
                out.restored.append(name)
        reverse.bindings.append(Binding(name, binding.after, binding.before))
    return out, reverse


def _rebind(
    space: dict[str, Any], mutation: Mutation, out: NamespaceRestored, reverse: NamespaceChanges
) -> bool:
    """Bind the variables that hold the object directly to a copy of what it was."""
    target = mutation.before.target
    names = [name for name in mutation.names if space.get(name, MISSING) is target]
    if not names or not (is_array(target) or is_pandas(target)):
        return False
    fresh = mutation.before.copy()
    for name in names:
        reverse.bindings.append(Binding(name, Held(target), Held(fresh)))
        space[name] = fresh
        out.restored.append(name)
    return True


def _own(space: dict[str, Any]) -> dict[str, Any]:
    """The bindings that a turn may change: modules with them, what the shell itself writes without."""
    return {
        name: value for name, value in list(space.items()) if not name.startswith("_") and name not in _SHELL
    }
