"""Kills a process with SIGKILL at every step of a change of the credential store, and looks what is left.

``python -m support.store_kill SCENARIO FOLDER POINTS SEED``: a process of its own, which forks one child
for each point; POINTS is a number of random ones, or ``all``. A point is the moment before a system call
that may change the disk (open, write, truncate, fsync, rename, remove, chmod, lock), the middle of a write,
or the end. After each kill a fresh child checks that the old object or the new one is read, that the store
can be used, and that nothing secret stays behind once it is deleted. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keyring

from ante_nb.errors import ConfigError
from ante_nb.providers.auth.keys import KeyStore
from ante_nb.providers.auth.record import SignInRecord
from ante_nb.providers.auth.secret_file import CorruptFileError
from ante_nb.providers.auth.store import SignInStore
from ante_nb.providers.spec import Secret
from ante_nb.settings import load_settings
from support.file_keyring import WINDOWS_LIMIT, FileKeyring

if TYPE_CHECKING:
    from collections.abc import Callable

# Long enough that the Windows limit splits it into several parts.
TOKENS = {name: f"tok-{name}-" + (name * 2600)[:2600] for name in ("old", "new", "third")}
DAMAGED = '{"version": 1, "access_token": "tok-damaged'


def record(name: str) -> SignInRecord:
    return SignInRecord("openai", Secret(TOKENS[name]), 1000.0, Secret(f"rt-{name}"), expires_in=900.0)


CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.truncate", "fcntl.flock"}
"""Audit events of what can change the disk; each is raised before the system call."""


class Torn:
    """A file of which half of a write reaches the disk before the next point."""

    def __init__(self, file: Any, tick: Callable[[], None]) -> None:
        self._file = file
        self._tick = tick

    def __enter__(self) -> Torn:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: bytes) -> None:
        half = len(data) // 2
        for part in (data[:half], data[half:]):
            self._tick()
            self._file.write(part)
            self._file.flush()

    def truncate(self) -> None:
        self._tick()
        self._file.truncate()


def traced(act: Callable[[], None], stop: int | None) -> int:
    """Run ``act``, killed at point ``stop``; the number of its points.

    Between two points nothing changes on the disk, so that they stand for every moment.
    """
    count, active = 0, True

    def tick() -> None:
        nonlocal count
        if count == stop:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    def audit(event: str, arguments: object) -> None:
        if active and event in CHANGES:
            tick()

    plain_fdopen, plain_fsync = os.fdopen, os.fsync

    def fdopen(handle: int, mode: str = "r", *more: Any, **options: Any) -> Any:
        file = plain_fdopen(handle, mode, *more, **options)
        return Torn(file, tick) if mode == "wb" else file

    def fsync(handle: int) -> None:
        tick()
        plain_fsync(handle)

    os.fdopen, os.fsync = fdopen, fsync
    sys.addaudithook(audit)
    try:
        act()
        tick()
    finally:
        active = False
        os.fdopen, os.fsync = plain_fdopen, plain_fsync
    return count


def in_child(act: Callable[[], Any]) -> tuple[int, Any]:
    """Run ``act`` in a forked child; its wait status and what it returned."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            answer = json.dumps(act())
        except BaseException:
            answer = json.dumps({"failed": traceback.format_exc()})
        with os.fdopen(writing, "w") as file:
            file.write(answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    status = os.waitpid(pid, 0)[1]
    return status, json.loads(text) if text else None


@dataclass
class World:
    """The disk of one point."""

    folder: Path
    limit: int | None = None

    def __post_init__(self) -> None:
        self.home = self.folder / "home"
        self.auth = self.home / "auth"
        self.file = self.auth / "oauth_openai.json"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ring = FileKeyring(self.folder / "ring.json", self.limit)
        keyring.set_keyring(self.ring)

    def store(self, backend: Any = "file") -> SignInStore:
        return SignInStore(self.home, backend)

    def seen(self, backend: Any = "file") -> str:
        """Which record is read: its name, ``none`` or ``damaged``."""
        try:
            found = self.store(backend).load("openai")
        except CorruptFileError:
            return "damaged"
        if found is None:
            return "none"
        return next(name for name in TOKENS if found == record(name))

    def use(self, backend: Any) -> None:
        """It can be written, read and emptied, and then holds nothing."""
        store = self.store(backend)
        with store.lock("openai", timeout=5):
            store.prepare("openai")
            store.save(record("third"))
        assert self.seen(backend) == "third"
        kind = "keyring" if backend == "keyring" else "file"
        assert (store.place("openai") == "system keyring") == (kind == "keyring")
        if kind == "file":
            assert not self.secrets, "a copy stayed in the keyring"
        else:
            assert "tok-" not in self.file.read_text(), "a copy stayed in the file"
        assert store.delete("openai") is True
        assert self.seen(backend) == "none" and self.clean()

    @property
    def secrets(self) -> list[str]:
        """The keyring's entries, without what a probe (``xxx``) has left; the next one removes that."""
        return [name for name, text in self.ring.entries.items() if ".probe|" not in name or "tok" in text]

    def clean(self) -> bool:
        assert not self.secrets, f"left in the keyring: {sorted(self.secrets)}"
        for path in self.auth.iterdir():
            if ".corrupt-" not in path.name:
                text = path.read_bytes()
                assert b"tok-" not in text and b"rt-" not in text, f"a token stays in {path.name}"
                assert path.suffix == ".lock", f"{path.name} stays"
        return True


@dataclass(frozen=True)
class Scenario:
    setup: Callable[[World], object]
    act: Callable[[World], object]
    allowed: tuple[str, ...]
    before: Any = "file"
    after: Any = "file"
    limit: int | None = None


def save(name: str, backend: Any = "file") -> Callable[[World], object]:
    return lambda world: world.store(backend).save(record(name))


def prepared(backend: Any) -> Callable[[World], object]:
    def act(world: World) -> None:
        store = world.store(backend)
        with store.lock("openai"):
            store.prepare("openai")
            store.save(record("new"))

    return act


def damage(world: World) -> None:
    world.auth.mkdir(parents=True, mode=0o700)
    world.file.write_text(DAMAGED)
    world.file.chmod(0o600)


def loosen(world: World) -> None:
    save("old")(world)
    world.file.chmod(0o644)
    world.auth.chmod(0o755)


RING, FILE = "keyring", "file"
SCENARIOS = {
    "first": Scenario(lambda world: None, save("new"), ("none", "new")),
    "replace": Scenario(save("old"), prepared(FILE), ("old", "new")),
    "loose": Scenario(loosen, save("new"), ("old", "new")),
    "damaged": Scenario(damage, save("new"), ("damaged", "none", "new")),
    "delete": Scenario(save("old"), lambda world: world.store().delete("openai"), ("old", "none")),
    "ring_first": Scenario(lambda world: None, save("new", RING), ("none", "new"), RING, RING),
    "ring_replace": Scenario(save("old", RING), prepared(RING), ("old", "new"), RING, RING),
    "split_first": Scenario(
        lambda world: None, save("new", RING), ("none", "new"), RING, RING, WINDOWS_LIMIT
    ),
    "split_replace": Scenario(save("old", RING), prepared(RING), ("old", "new"), RING, RING, WINDOWS_LIMIT),
    "split_delete": Scenario(
        save("old", RING),
        lambda world: world.store(RING).delete("openai"),
        ("old", "none"),
        RING,
        RING,
        WINDOWS_LIMIT,
    ),
    "to_ring": Scenario(save("old"), lambda world: world.seen(RING), ("old",), FILE, RING),
    "to_split": Scenario(save("old"), lambda world: world.seen(RING), ("old",), FILE, RING, WINDOWS_LIMIT),
    "from_ring": Scenario(save("old", RING), lambda world: world.seen(FILE), ("old",), RING, FILE),
    "from_split": Scenario(
        save("old", RING), lambda world: world.seen(FILE), ("old",), RING, FILE, WINDOWS_LIMIT
    ),
    "save_to_ring": Scenario(save("old"), prepared(RING), ("old", "new"), FILE, RING),
    "save_to_file": Scenario(save("old", RING), prepared(FILE), ("old", "new"), RING, FILE, WINDOWS_LIMIT),
}


def check(world: World, scenario: Scenario, point: int) -> str:
    """What was found; raises ``AssertionError`` or ``ConfigError`` where something is wrong."""
    # Every other point goes back to where it came from, the rest goes on.
    backend = scenario.before if point % 2 else scenario.after
    seen = world.seen(backend)
    assert seen in scenario.allowed, f"{seen} is read"
    assert world.seen(backend) == seen, "another answer the second time"
    if scenario is SCENARIOS["damaged"]:
        texts = [path.read_text() for path in world.auth.glob("oauth_openai.json*")]
        assert DAMAGED in texts, "the damaged file is lost"
    world.use(backend)
    return seen


KEYS = {"openai": "sk-old", "xai": "xai-old"}


def keys_setup(world: World) -> None:
    for name, key in KEYS.items():
        KeyStore(world.home, "file").set(name, key)


def keys_check(world: World, point: int, before: Any, after: Any) -> str:
    store = KeyStore(world.home, before if point % 2 else after)
    for name, key in KEYS.items():
        found = store.get(name)
        assert found is not None and found.value == key, f"{name} is lost"
    new = store.get("gemini")
    assert new is None or new.value == "AIza-new"
    store.set("third", "k-third")
    third = store.get("third")
    assert third is not None and third.value == "k-third"
    return "new" if new else "old"


def campaign(name: str, folder: Path, points: str, seed: int) -> dict[str, Any]:
    """All points of one scenario; ``failures`` is empty where nothing was lost."""
    keys = name in ("keys", "keys_to_ring")
    if keys:
        before, after = FILE, RING if name == "keys_to_ring" else FILE
        setup: Callable[[World], object] = keys_setup
        act: Callable[[World], object] = lambda world: KeyStore(world.home, after).set("gemini", "AIza-new")  # noqa: E731
        verify: Callable[[World, int], str] = lambda world, point: keys_check(world, point, before, after)  # noqa: E731
        limit = None
    else:
        scenario = SCENARIOS[name]
        setup, act, limit = scenario.setup, scenario.act, scenario.limit
        verify = lambda world, point: check(world, scenario, point)  # noqa: E731
    load_settings(folder)  # imported before the forks

    def world(number: int) -> World:
        return World(folder / name / str(number), limit)

    def counting() -> int:
        here = world(-1)
        setup(here)
        return traced(lambda: act(here), None)

    total = in_child(counting)[1]
    assert isinstance(total, int), total
    chosen = list(range(total))
    if points != "all":
        chosen = sorted(random.Random(seed).sample(chosen, min(int(points), total)))
    failures, outcomes = [], dict.fromkeys(("none", "old", "new", "damaged"), 0)
    for point in chosen:

        def run(point: int = point) -> None:
            here = world(point)
            setup(here)
            traced(lambda: act(here), point)

        status, _ = in_child(run)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            failures.append(f"point {point}: was not killed")
            continue
        seen = in_child(lambda point=point: verify(world(point), point))[1]
        if not isinstance(seen, str):
            failures.append(f"point {point}: {seen}")
        else:
            outcomes[seen] += 1
    return {"points": total, "killed": len(chosen), "failures": failures, "outcomes": outcomes}


NAMES = (*SCENARIOS, "keys", "keys_to_ring")

if __name__ == "__main__":
    try:
        print(json.dumps(campaign(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))))
    except ConfigError as error:
        sys.exit(str(error))
