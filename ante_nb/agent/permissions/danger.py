"""Commands that can do harm that is hard to undo: what the auto mode asks about by name."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from ante_nb.agent.permissions.programs import names

if TYPE_CHECKING:
    from ante_nb.agent.permissions.shell import Shell, Stage

ALWAYS = names(
    "sudo su doas pkexec shred mkfs fdisk sfdisk parted wipefs swapoff swapon mount umount losetup cryptsetup "
    "shutdown reboot halt poweroff init telinit kill killall pkill xkill chown chgrp chattr setfacl setcap "
    "useradd userdel usermod groupadd groupdel passwd chpasswd visudo vipw crontab at batch "
    "iptables ip6tables nft ufw firewall-cmd sysctl modprobe insmod rmmod chroot unshare nsenter "
    "systemctl service launchctl ssh scp sftp telnet ftp nc ncat netcat socat eval truncate dropdb "
    "ssh-keygen ssh-add gpg security defaults diskutil xattr csrutil"
)
"""Programs that are dangerous whatever their arguments."""

_SHELLS = names("sh bash zsh dash ksh fish ash python python3 python2 perl ruby node php lua")
_FETCH = names("curl wget fetch aria2c http https base64 openssl xxd")
WRAPPERS = names(
    "env nohup setsid stdbuf ionice nice time timeout xargs exec command builtin caffeinate chrt taskset unbuffer "
    "parallel strace ltrace watch flock busybox"
)
"""Programs that run the command that their arguments hold."""

_FORMS: dict[str, tuple[str, ...]] = {
    # The whole argument line is searched, so flags may stand anywhere.
    "rm": (r"(?:^| )-\w*[rRf]", r"(?:^| )--(?:r|f|no-p)", r"(?:^| )(?:/|~|\.\.|\*|\.$)"),
    "rmdir": (r"(?:^| )(?:-p|--parents)",),
    "dd": (r"(?:^| )of=",),
    "mv": (r" /dev/null$", r"(?:^| )(?:/(?:etc|usr|bin|boot|lib|sbin|sys|proc)?|~)/?(?: |$)"),
    "chmod": (r"(?:^| )-\w*R", r"(?:^| )--recursive", r"(?:^| )[0-7]?[0-7]?[0-7][2367](?: |$)", r"\+\w*s"),
    "find": (r"(?:^| )-(?:delete|exec|execdir|ok|okdir|fprint\w*|fls)(?: |$)",),
    "tee": (r"(?:^| )(?:/etc|/dev/(?!null)|/usr|/boot|~)",),
    "ln": (r"(?:^| )-\w*f",),
    "rsync": (r"--del", r"--remove", r"\S:"),
    "curl": (
        r"(?:^| )(?:-X|--request) ?=?(?:POST|PUT|DELETE|PATCH)",
        r"(?:^| )(?:-[dFT]|--data|--form|--upload)",
    ),
    "wget": (r"--post", r"--method"),
    "git": (
        r"^push\b.* (?:--force|--mirror|--delete|-\w*[fd]|\+)",
        r"^reset\b.* --(?:hard|merge|keep)",
        r"^clean\b.* (?:-\w*f|--force)",
        r"^(?:checkout|switch)\b.* (?:-\w*f\b|--force|--discard|-- |\.$)",
        r"^restore ",
        r"^branch\b.* (?:-\w*[DM]|--force|--delete)",
        r"^tag\b.* (?:-d|--delete|-f|--force)",
        r"^stash (?:drop|clear)",
        r"^(?:filter-branch|filter-repo|update-ref|gc .*--prune|reflog (?:expire|delete)|replace)",
        r"^rebase",
        r"^remote (?:rm|remove|set-url)",
        r"^worktree remove",
        r"(?i)^config\b.*(?:hookspath|pager|editor|sshcommand|fsmonitor|alias\.|helper|textconv)",
        r"^(?:-c|--exec-path|--upload-pack|--config-env)",
        r"^rm\b.* -\w*[rf]",
    ),
    "docker": (
        r"(?:system|volume|image|container|network|builder) (?:prune|rm)",
        r"^(?:rm|rmi|kill)",
        r"--privileged",
        r"-v /:",
        r"--volume[ =]/:",
    ),
    "kubectl": (r"^(?:delete|drain|cordon|replace|apply|exec|scale)",),
    "helm": (r"^(?:uninstall|delete|rollback)",),
    "terraform": (r"^(?:destroy|apply|state rm|import|force-unlock)",),
    "aws": (r"\b(?:rm|rb|delete[\w-]*|terminate[\w-]*|put[\w-]*)\b",),
    "gcloud": (r"\bdelete\b",),
    "az": (r"\bdelete\b",),
    "gh": (r"^(?:repo|release|secret|ssh-key|gist|run|issue|pr) (?:delete|set|merge|close)", r"^api .*-X"),
    "npm": (r"^(?:publish|unpublish|deprecate|owner|access|token|adduser|login)",),
    "yarn": (r"^(?:npm )?publish",),
    "cargo": (r"^(?:publish|yank|owner|login)",),
    "twine": (r"^upload",),
    "uv": (r"^publish", r"^cache clean"),
    "poetry": (r"^publish",),
    "gem": (r"^(?:push|yank)",),
    "pip": (r"^uninstall",),
    "pip3": (r"^uninstall",),
    "conda": (r"^(?:remove|env remove|uninstall)",),
    "apt": (r"^(?:remove|purge|autoremove|dist-upgrade)", r"(?:^| )install"),
    "apt-get": (r"^(?:remove|purge|autoremove|dist-upgrade)", r"(?:^| )install"),
    "brew": (r"^(?:uninstall|remove|cleanup|services)",),
    "psql": (r"(?i)\b(?:drop|truncate|delete|alter|update)\b",),
    "mysql": (r"(?i)\b(?:drop|truncate|delete|alter|update)\b",),
    "sqlite3": (r"(?i)\b(?:drop|delete|alter|update)\b|\.(?:shell|system)",),
    "redis-cli": (r"(?i)\b(?:flushall|flushdb|del|shutdown|config)\b",),
    "history": (r"-c",),
    "export": (r"(?:LD_|DYLD_|PATH=|PYTHONPATH|BASH_ENV)",),
    "jupyter": (r"^server stop", r"^kernelspec (?:remove|uninstall)"),
}
_PATTERNS = {name: tuple(re.compile(form) for form in forms) for name, forms in _FORMS.items()}
_MOST_UNWRAPPED = 40
_BAD_TARGET = re.compile(
    r"[&]?>>?\|?\s*[\"']?(?:/(?:etc|usr|bin|sbin|boot|lib|sys|proc|dev/(?!null\b|std|tty))|~|\$\{?HOME"
    r"|.*(?:\.bashrc|\.zshrc|\.profile|\.bash_profile|\.ssh/|\.git/|authorized_keys|\.gitconfig|\.netrc))"
)
_BAD_ASSIGNMENT = re.compile(r"(?:LD_PRELOAD|LD_LIBRARY_PATH|LD_AUDIT|DYLD_\w+|BASH_ENV|ENV|IFS|PATH)\+?=")


def unwrapped(words: list[str]) -> list[list[str]]:
    """The commands inside a command: itself, and what ``env``, ``xargs`` and the like would run.

    Options with values can't be told from the command without a table for each wrapper, so every word
    that may be where the command starts is tried: this is used to find harm, never to rule it out.
    """
    found = [words]
    index = 0
    # Each wrapper found is looked into in turn; a few words on is far enough for any real command.
    while index < len(found) < _MOST_UNWRAPPED:
        argv = found[index]
        index += 1
        if argv and _name(argv[0]) in WRAPPERS | {"sudo", "doas"}:
            for place, word in enumerate(argv[1:12], 1):
                if word and not word.startswith("-") and "=" not in word and not word.isdigit():
                    found.append(argv[place:])
                    if _name(word) in WRAPPERS:
                        break
    if words and _name(words[0]) == "find":
        for index, word in enumerate(words):
            if word in ("-exec", "-execdir", "-ok", "-okdir"):
                found.append(words[index + 1 :])
    return [item for item in found if item]


def scripts(words: list[str]) -> list[str]:
    """The shell code that a command carries in its arguments: ``bash -c CODE``, ``eval CODE``."""
    out = []
    for argv in unwrapped(words):
        name = _name(argv[0])
        if name == "eval":
            out.append(" ".join(argv[1:]))
        elif name in ("sh", "bash", "zsh", "dash", "ksh", "ash", "su"):
            for index, word in enumerate(argv[1:-1], 1):
                if re.fullmatch(r"-\w*c|--command", word):
                    out.append(argv[index + 1])
    return out


def _name(word: str) -> str:
    return word.rpartition("/")[2]


def dangerous(shell: Shell, depth: int = 0) -> str | None:
    """What in a command is dangerous, in a few words, or ``None``."""
    from ante_nb.agent.permissions.shell import parse

    for stage in shell.stages:
        for text in stage.assignments:
            if _BAD_ASSIGNMENT.match(text):
                return f"sets {text.split('=')[0].rstrip('+')}"
        for argv in unwrapped(stage.argv):
            why = _command(argv)
            if why:
                return why
        if depth < 3:
            for script in scripts(stage.argv):
                why = dangerous(parse(script), depth + 1)
                if why:
                    return why
        if not stage.words and stage.text.startswith(("export", "declare", "typeset", "readonly")):
            why = _command(stage.text.split())
            if why:
                return why
    for target in shell.redirects:
        if _BAD_TARGET.match(target):
            return f"redirects to {target.lstrip('&>| ')[:60]}"
    return _piped_code(shell.stages)


def _command(argv: list[str]) -> str | None:
    name = _name(argv[0]).lower()
    if name in ALWAYS or name.startswith("mkfs."):
        return f"runs {name}"
    line = " ".join(argv[1:])
    for pattern in _PATTERNS.get(name, ()):
        if pattern.search(line):
            return f"runs {name} {line}"[:80]
    return None


def _piped_code(stages: list[Stage]) -> str | None:
    """Something fetched or decoded that goes into an interpreter: ``curl ... | sh``."""
    programs = [{_name(argv[0]) for argv in unwrapped(stage.argv)} for stage in stages]
    for index, there in enumerate(programs):
        fetch = there & _FETCH
        if fetch and any(later & _SHELLS for later in programs[index + 1 :]):
            return f"fetches or decodes with {sorted(fetch)[0]} and runs an interpreter"
        # bash <(curl ...) and bash -c "$(curl ...)": the outer command comes first.
        inner = (
            later & _FETCH
            for later, stage in zip(programs, stages, strict=True)
            if stage is not stages[index] and stage.text in stages[index].text
        )
        if there & _SHELLS and any(inner):
            return "runs code from elsewhere"
    return None


def fork_bomb(command: str) -> bool:
    """Whether a command defines a function that pipes into itself."""
    compact = "".join(command.split())
    for found in itertools.islice(re.finditer(r"\(\)\{", compact), 20):
        body = compact[found.end() :]
        name = re.split(r"[;&|(){}]", compact[max(0, found.start() - 40) : found.start()])[-1]
        if name and f"{name}|{name}" in body:
            return True
    return False
