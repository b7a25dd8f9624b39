"""Files with secrets on a real disk: modes, links, damage, full and read-only disks, two writers."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from ante_nb.errors import ConfigError
from ante_nb.providers.auth.secret_file import CorruptFileError, SecretFile

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "tok-3f9c1d"


@pytest.fixture
def told():
    return []


@pytest.fixture
def file(tmp_path, told):
    return SecretFile(tmp_path / "auth" / "x.json", notify=told.append)


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def put(file, data) -> None:
    with file.locked():
        file.write(data)


def names(file) -> set[str]:
    return {path.name for path in file.path.parent.iterdir()}


def test_round_trip(file, told):
    assert file.read() is None and not file.path.parent.exists(), "asking makes nothing"
    put(file, {"a": SECRET, "ü": [1]})
    put(file, {"a": "later"})
    assert file.read() == {"a": "later"}
    assert (mode(file.path), mode(file.path.parent)) == (0o600, 0o700)
    assert names(file) == {"x.json", "x.lock"} and told == []
    with file.locked():
        assert file.remove() is True and file.remove() is False
    assert file.read() is None


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_do_not_depend_on_the_umask(tmp_path, umask):
    file = SecretFile(tmp_path / "deep" / "auth" / "x.json")
    old = os.umask(umask)
    try:
        put(file, {})
    finally:
        os.umask(old)
    assert (mode(file.path), mode(file.path.parent), mode(file.path.with_suffix(".lock"))) == (
        0o600,
        0o700,
        0o600,
    )


@pytest.mark.parametrize(
    ("loose", "folder"), [(0o644, 0o700), (0o600, 0o755), (0o666, 0o777), (0o640, 0o750)]
)
@pytest.mark.parametrize("act", ["read", "write"])
def test_loose_modes_are_repaired_and_told(file, told, loose, folder, act):
    put(file, {"a": 1})
    file.path.chmod(loose)
    file.path.parent.chmod(folder)
    if act == "read":
        assert file.read() == {"a": 1}
    else:
        put(file, {"a": 2})
    assert (mode(file.path), mode(file.path.parent)) == (0o600, 0o700)
    expected = [f"mode {m:o}" for m, tight in ((folder, 0o700), (loose, 0o600)) if m != tight]
    assert [line.partition("(")[2].partition(")")[0] for line in told] == expected
    assert all("open to other users" in line and "now only to you" in line for line in told)
    file.read()
    assert len(told) == len(expected), "told once"


def test_a_linked_file_is_refused(file, tmp_path):
    target = tmp_path / "elsewhere.json"
    target.write_text('{"a": "tok-elsewhere"}')
    file.path.parent.mkdir(mode=0o700)
    file.path.symlink_to(target)
    for act in (file.read, lambda: put(file, {"a": 1})):
        # The advice alone would end at the same error again.
        with pytest.raises(
            ConfigError, match=r"symbolic link, which is not followed\. Remove the link; then"
        ):
            act()
    assert target.read_text() == '{"a": "tok-elsewhere"}' and mode(target) != 0o600


def test_a_linked_directory_is_refused(file, tmp_path):
    real = tmp_path / "real"
    real.mkdir(mode=0o755)
    (real / "x.json").write_text("{}")
    file.path.parent.symlink_to(real)
    for act in (file.read, file.remove, lambda: put(file, {"a": 1})):
        with pytest.raises(
            ConfigError, match=r"directory that is a symbolic link.* Put a directory in its place"
        ):
            act()
    assert [path.name for path in real.iterdir()] == ["x.json"] and mode(real) == 0o755


def test_a_linked_lock_is_refused(file, tmp_path):
    target = tmp_path / "precious.txt"
    target.write_text("precious")
    file.path.parent.mkdir(mode=0o700)
    file.path.with_suffix(".lock").symlink_to(target)
    with pytest.raises(ConfigError, match=r"x\.lock is a symbolic link"):
        put(file, {"a": 1})
    assert target.read_text() == "precious" and not file.path.exists()


@pytest.mark.parametrize("kind", ["symlink", "hard link", "loose", "pipe"])
def test_what_lies_in_the_place_of_the_temporary_file_gets_no_secret(file, tmp_path, kind):
    put(file, {"a": 1})
    target = tmp_path / "watched.txt"
    target.write_text("before")
    temporary = file.path.with_name(".x.json.tmp")
    match kind:
        case "symlink":
            temporary.symlink_to(target)
        case "hard link":
            target.chmod(0o600)
            os.link(target, temporary)
        case "loose":
            temporary.write_text("x" * 5000)
            temporary.chmod(0o666)
        case "pipe":
            os.mkfifo(temporary, 0o600)
    put(file, {"a": SECRET})
    assert target.read_text() == "before"
    assert file.read() == {"a": SECRET} and mode(file.path) == 0o600 and not file.path.is_symlink()


def test_a_directory_or_pipe_in_its_place_is_refused_at_once(file):
    file.path.mkdir(parents=True)
    with pytest.raises(ConfigError, match="no regular file"):
        file.read()
    file.path.rmdir()
    os.mkfifo(file.path)
    with pytest.raises(ConfigError, match="no regular file"):
        file.read()


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"a": "tok-3f9c1d', b"\xff\xfe", b"[" * 100_000, b"[]", b"null", b"3"]
)
def test_a_damaged_file_is_told_and_kept_aside(file, told, content):
    file.path.parent.mkdir(mode=0o700)
    file.path.write_bytes(content)
    file.path.chmod(0o600)
    for _ in range(2):
        with pytest.raises(CorruptFileError) as caught:
            file.read()
        assert "x.json" in str(caught.value) and SECRET not in str(caught.value)
        assert (
            caught.value.__cause__ is None and caught.value.__suppress_context__
        ) or caught.value.__context__ is None
    assert file.path.read_bytes() == content, "reading changes nothing"
    put(file, {"a": 1})
    file.path.write_bytes(content)
    put(file, {"a": 2})
    assert file.read() == {"a": 2}
    for number in (1, 2):
        aside = file.path.with_name(f"x.json.corrupt-{number}")
        assert aside.read_bytes() == content and mode(aside) == 0o600
    assert ["corrupt-1" in told[0], "corrupt-2" in told[1], len(told)] == [True, True, 2]


def test_the_lock_is_waited_for_and_its_holder_named(file):
    other = SecretFile(file.path)
    with (
        file.locked(),
        pytest.raises(ConfigError, match="locked by another kernel"),
        other.locked(timeout=0.2),
    ):
        pass
    with other.locked(timeout=0.2):
        pass


def test_threads_that_add_at_once_lose_nothing(file):
    def add(name: str) -> None:
        mine = SecretFile(file.path)
        for number in range(20):
            with mine.locked(timeout=60):
                mine.write({**(mine.read() or {}), f"{name}{number}": 1})

    threads = [threading.Thread(target=add, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(file.read()) == 40


# ---------------------------------------------------------------------------------- disks that are no use


def limit_files(size: int):
    def apply() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return apply


FULL = """
import sys
from pathlib import Path
from ante_nb.errors import ConfigError
from ante_nb.providers.auth.secret_file import SecretFile
file = SecretFile(Path(sys.argv[1]))
for act in (lambda: file.write({"a": "tok-" + "n" * 20000}), lambda: file.reserve(20000)):
    with file.locked():
        try:
            act()
        except ConfigError as error:
            print(error)
        else:
            print("written")
"""


def test_a_write_that_breaks_off_leaves_the_old_object(file):
    put(file, {"a": "old"})
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(file.path)],
        preexec_fn=limit_files(4096),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and all("x.json cannot be written: File too large" in line for line in lines)
    assert file.read() == {"a": "old"} and names(file) == {"x.json", "x.lock"}


@pytest.fixture
def tiny_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True
    )
    if made.returncode:
        pytest.skip(
            "no disk of its own can be mounted here (needs root); the file-size limit is tested above"
        )
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    with (folder / "ballast").open("ab", buffering=0) as ballast:
        for size in (65536, 4096, 1):
            try:
                while True:
                    ballast.write(b"x" * size)
            except OSError:
                continue


def test_a_full_disk(tiny_disk):
    file = SecretFile(tiny_disk / "auth" / "x.json")
    put(file, {"a": "old"})
    fill(tiny_disk)
    for act in (lambda: file.write({"a": "n" * 9000}), file.reserve):
        with file.locked(), pytest.raises(ConfigError, match=r"No space left.*Free some space"):
            act()
    assert file.read() == {"a": "old"} and names(file) == {"x.json", "x.lock"}
    (tiny_disk / "ballast").unlink()
    put(file, {"a": "n" * 9000})
    assert file.read() == {"a": "n" * 9000}


def test_what_was_reserved_can_be_written_when_the_disk_is_full_by_then(tiny_disk):
    file = SecretFile(tiny_disk / "auth" / "x.json")
    put(file, {"a": "old"})
    with file.locked():
        file.reserve()
        fill(tiny_disk)
        file.write({"a": "n" * 9000})
    assert file.read() == {"a": "n" * 9000} and names(file) == {"x.json", "x.lock"}
    assert file.path.stat().st_size < 10_000


@pytest.fixture
def read_only(tmp_path):
    """A home with an object in it that cannot be written: by mount for root, by mode for others."""
    home = tmp_path / "ro"
    file = SecretFile(home / "auth" / "x.json")
    put(file, {"a": "old"})
    if os.geteuid():
        (home / "auth").chmod(0o500)
        yield home
        (home / "auth").chmod(0o700)
        return
    for options in (["--bind", str(home), str(home)], ["-o", "remount,ro,bind", str(home)]):
        if subprocess.run(["mount", *options], capture_output=True).returncode:
            pytest.skip("root writes everywhere, and no read-only mount can be made here")
    yield home
    subprocess.run(["umount", "-l", str(home)], check=True)


def test_a_home_that_cannot_be_written_is_read(read_only):
    file = SecretFile(read_only / "auth" / "x.json")
    assert file.read() == {"a": "old"}
    with pytest.raises(ConfigError, match=r"cannot be written: (Read-only|Permission).*ANTE_HOME"):
        put(file, {"a": "new"})
    assert file.read() == {"a": "old"}
    other = SecretFile(read_only / "other" / "x.json")
    if not os.geteuid():
        with pytest.raises(ConfigError, match="cannot be written"):
            put(other, {})


def test_a_loose_mode_that_cannot_be_repaired_is_told(tmp_path, told):
    if os.geteuid():
        pytest.skip("needs a read-only mount")
    home = tmp_path / "ro"
    file = SecretFile(home / "auth" / "x.json", notify=told.append)
    put(file, {"a": "old"})
    file.path.chmod(0o644)
    for options in (["--bind", str(home), str(home)], ["-o", "remount,ro,bind", str(home)]):
        if subprocess.run(["mount", *options], capture_output=True).returncode:
            pytest.skip("no read-only mount can be made here")
    try:
        assert file.read() == {"a": "old"}
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)
    assert len(told) == 1 and "cannot be changed" in told[0] and "644" in told[0]


def test_no_secret_in_what_a_mistake_prints(file):
    put(file, {"a": SECRET})
    text = repr(file) + str(vars(file))
    assert SECRET not in text
    assert json.loads(file.path.read_text()) == {"a": SECRET}
