"""Precedence of rules, modes, grants, and paths that lead elsewhere."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ante_nb.agent.host import ToolContext
from ante_nb.agent.permissions import Permissions, parse_rule, parse_rules
from ante_nb.agent.tools import builtin_tools
from ante_nb.agent.tools.base import ToolState
from ante_nb.errors import ConfigError
from ante_nb.messages import ToolCall

if TYPE_CHECKING:
    from pathlib import Path


class Desk:
    """A working directory with some files, and a way to ask for decisions about calls in it."""

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd
        self.host: Any = SimpleNamespace(
            cwd=cwd, env=dict(os.environ), notebook_path=None, has_python=True, has_cells=False
        )
        self.tools = builtin_tools(self.host)
        self.state = ToolState()

    def decide(self, permissions: Permissions, tool: str, **arguments: Any) -> Any:
        call = ToolCall("c", tool, arguments)
        chosen = self.tools[tool]
        return permissions.decide(chosen, chosen.parse(arguments), ToolContext(self.host, call, self.state))

    def action(self, permissions: Permissions, tool: str, **arguments: Any) -> str:
        action: str = self.decide(permissions, tool, **arguments).action
        return action


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    cwd = tmp_path / "work"
    (cwd / "src").mkdir(parents=True)
    (cwd / "secrets").mkdir()
    (cwd / ".git" / "hooks").mkdir(parents=True)
    for name in ("a.py", "src/a.py", "secrets/key.txt", ".env"):
        (cwd / name).write_text("x = 1\n")
    (tmp_path / "outside.txt").write_text("private\n")
    (cwd / "link.txt").symlink_to(tmp_path / "outside.txt")
    (cwd / "linked").symlink_to(tmp_path)
    return Desk(cwd)


def bash(command: str) -> tuple[str, dict[str, Any]]:
    return "Bash", {"command": command}


def edit(path: str) -> tuple[str, dict[str, Any]]:
    return "Edit", {"file_path": path, "old_string": "a", "new_string": "b"}


def read(path: str) -> tuple[str, dict[str, Any]]:
    return "Read", {"file_path": path}


def write(path: str) -> tuple[str, dict[str, Any]]:
    return "Write", {"file_path": path, "content": ""}


def python(code: str) -> tuple[str, dict[str, Any]]:
    return "Python", {"code": code}


STRICT: list[tuple[tuple[str, dict[str, Any]], str]] = [
    (read("a.py"), "allow"),
    (read("src/../a.py"), "allow"),
    (read("'a.py'"), "allow"),
    (read("missing.py"), "allow"),
    (read("../outside.txt"), "ask"),
    (read("link.txt"), "ask"),
    (read("linked/outside.txt"), "ask"),
    (read("/etc/passwd"), "ask"),
    (read("~/.ssh/id_rsa"), "ask"),
    (write("a.py"), "ask"),
    (edit("a.py"), "ask"),
    (("Glob", {"pattern": "*.py"}), "allow"),
    (("Glob", {"pattern": "/etc/*.conf"}), "ask"),
    (("Glob", {"pattern": "../*"}), "ask"),
    (("Glob", {"pattern": "*", "path": "/"}), "ask"),
    (("Grep", {"pattern": "x"}), "allow"),
    (("Grep", {"pattern": "/etc"}), "allow"),
    (("Grep", {"pattern": "x", "path": ".."}), "ask"),
    (("Grep", {"pattern": "x", "path": "linked"}), "ask"),
    (("TodoWrite", {"todos": []}), "allow"),
    (bash("ls -la"), "allow"),
    (bash("cat a.py | wc -l"), "allow"),
    (bash("cat src/*.py"), "allow"),
    (bash("cat ./src/../a.py"), "allow"),
    (bash("grep -n /etc/passwd a.py"), "allow"),
    (bash("grep -rn '/api/v1' src"), "allow"),
    (bash("cd src && cat a.py"), "allow"),
    (bash("cd src; cat ../a.py"), "ask"),  # cd may fail
    (bash("cat ../outside.txt"), "ask"),
    (bash("cat link.txt"), "ask"),
    (bash("cat link*"), "ask"),
    (bash("cat */outside.txt"), "ask"),
    (bash("cat linked/../outside.txt"), "ask"),
    (bash("cd linked && cat outside.txt"), "ask"),
    (bash("cd src && cat ../../outside.txt"), "ask"),
    (bash("cat /etc/passwd"), "ask"),
    (bash("cat ~/.ssh/id_rsa"), "ask"),
    (bash("grep --file=/etc/passwd x"), "ask"),
    (bash("grep -f/etc/passwd a.py"), "ask"),
    (bash("grep x /etc/passwd"), "ask"),
    (bash("ls /"), "ask"),
    (bash("diff a.py /etc/hosts"), "ask"),
    (bash("git diff --no-index a.py /etc/hosts"), "ask"),
    (bash("make"), "ask"),
    (bash("rm -rf src"), "ask"),
    (python("1 + 1"), "allow"),
    (python("import math\nmath.sqrt(2)"), "allow"),
    (python("df.head()"), "ask"),
    (python("open('a')"), "ask"),
]


@pytest.mark.parametrize(("call", "expected"), STRICT, ids=[str(row[0]) for row in STRICT])
def test_strict_defaults(desk: Desk, call: tuple[str, dict[str, Any]], expected: str) -> None:
    assert desk.action(Permissions("strict"), call[0], **call[1]) == expected


AUTO: list[tuple[tuple[str, dict[str, Any]], str]] = [
    (write("new.txt"), "allow"),
    (edit("a.py"), "allow"),
    (write("../new.txt"), "ask"),
    (write("link.txt"), "ask"),
    (write(".git/hooks/pre-commit"), "ask"),
    (write(".GIT/config"), "ask"),
    (write("src/.envrc"), "ask"),
    (bash("mkdir -p build"), "allow"),
    (bash("cp a.py b.py"), "allow"),
    (bash("mkdir -p build && cp a.py build && ls build"), "allow"),
    (bash("cp a.py /etc/cron.d/x"), "ask"),
    (bash("cp a.py linked/x"), "ask"),
    (bash("cp a.py .git/hooks/pre-commit"), "ask"),
    (bash("touch -t x a.py"), "ask"),
    (bash("cp * x"), "ask"),
    (bash("make"), "ask"),
    (bash("rm -rf src"), "ask"),
    (bash("ls > a.py"), "ask"),
    (bash("ls 'unclosed"), "ask"),
    (python("x.y()"), "ask"),
]


@pytest.mark.parametrize(("call", "expected"), AUTO, ids=[str(row[0]) for row in AUTO])
def test_auto_defaults(desk: Desk, call: tuple[str, dict[str, Any]], expected: str) -> None:
    assert desk.action(Permissions("auto"), call[0], **call[1]) == expected


# rules, call, expected in strict mode
RULES: list[tuple[dict[str, list[str]], tuple[str, dict[str, Any]], str]] = [
    # one kind each
    ({"allow": ["Bash(make *)"]}, bash("make test"), "allow"),
    ({"allow": ["Bash(make *)"]}, bash("make"), "allow"),
    ({"allow": ["Bash(make *)"]}, bash("makefile"), "ask"),
    ({"allow": ["bash(make *)"]}, bash("make test"), "allow"),
    ({"allow": ["B*"]}, bash("make test"), "allow"),
    ({"allow": ["Bash"]}, bash("make; rm -rf x"), "allow"),
    ({"allow": ["Bash(*)"]}, bash("ls 'unclosed"), "allow"),
    ({"allow": ["Bash(make)"]}, bash("make test"), "ask"),
    ({"ask": ["Bash(ls *)"]}, bash("ls -l"), "ask"),
    ({"ask": ["Read"]}, read("a.py"), "ask"),
    ({"deny": ["Bash(rm *)"]}, bash("rm x"), "deny"),
    ({"deny": ["Read(.env)"]}, read(".env"), "deny"),
    ({"deny": ["Read(.env)"]}, read("src/../.ENV"), "deny"),
    ({"deny": ["Read(.env)"]}, read("'.env'"), "deny"),
    ({"deny": ["Read(secrets/**)"]}, read("secrets/key.txt"), "deny"),
    ({"deny": ["Read(secrets/**)"]}, read("./src/../secrets/key.txt"), "deny"),
    ({"deny": ["Read(./secrets/**)"]}, read("secrets/key.txt"), "deny"),
    ({"deny": ["Read(*.pem)"]}, read("/etc/ssl/x.pem"), "deny"),
    ({"deny": ["Read(~/.ssh/**)"]}, read("~/.ssh/id_rsa"), "deny"),
    ({"deny": ["Read(/etc/*)"]}, read("/etc/passwd"), "deny"),
    ({"deny": ["Edit(src/**)"]}, edit("src/a.py"), "deny"),
    ({"deny": ["Edit(src/**)"]}, edit("a.py"), "ask"),
    ({"deny": ["*"]}, read("a.py"), "deny"),
    # precedence
    ({"deny": ["Bash(make *)"], "allow": ["Bash(make *)"]}, bash("make x"), "deny"),
    ({"deny": ["Bash(make *)"], "ask": ["Bash(make *)"]}, bash("make x"), "deny"),
    ({"ask": ["Bash(make *)"], "allow": ["Bash(make *)"]}, bash("make x"), "ask"),
    ({"ask": ["Edit(src/**)"], "allow": ["Edit"]}, edit("src/a.py"), "ask"),
    ({"ask": ["Edit(src/**)"], "allow": ["Edit"]}, edit("a.py"), "allow"),
    # every stage must be allowed
    ({"allow": ["Bash(make *)"]}, bash("make x; rm y"), "ask"),
    ({"allow": ["Bash(make *)"]}, bash("make x && curl z"), "ask"),
    ({"allow": ["Bash(make *)"]}, bash("make x | sh"), "ask"),
    ({"allow": ["Bash(make *)"]}, bash("make $(curl x)"), "ask"),
    ({"allow": ["Bash(make *)"]}, bash("make `curl x`"), "ask"),
    ({"allow": ["Bash(make *)"]}, bash("make x\ncurl y"), "ask"),
    ({"allow": ["Bash(make *)"]}, bash("make x & curl y"), "ask"),
    ({"allow": ["Bash(make *)"]}, bash("make x > ~/.bashrc"), "ask"),
    ({"allow": ["Bash(make *)"]}, bash("LD_PRELOAD=x make y"), "ask"),
    ({"allow": ["Bash(make *)"]}, bash("(make x; curl y)"), "ask"),
    ({"allow": ["Bash(make *)"]}, bash("if true; then curl y; fi; make x"), "ask"),
    ({"allow": ["Bash(make *)"]}, bash("make() { curl y; }; make x"), "ask"),
    ({"allow": ["Bash(make *)"]}, bash("make 'unclosed"), "ask"),
    ({"allow": ["Bash(make *)", "Bash(curl *)"]}, bash("make x && curl z"), "allow"),
    ({"allow": ["Bash(make *)"]}, bash("make x 2>&1"), "allow"),
    ({"allow": ["Bash(make *)"]}, bash("make x 2>/dev/null"), "allow"),
    ({"allow": ["Bash(make *)"]}, bash("make  x"), "allow"),
    # a deny rule matches any stage, however it is written
    ({"deny": ["Bash(rm *)"]}, bash("ls; rm x"), "deny"),
    ({"deny": ["Bash(rm *)"]}, bash("/bin/rm x"), "deny"),
    ({"deny": ["Bash(rm *)"]}, bash('"rm" x'), "deny"),
    ({"deny": ["Bash(rm *)"]}, bash(r"r\m x"), "deny"),
    ({"deny": ["Bash(rm *)"]}, bash("rm   x"), "deny"),
    ({"deny": ["Bash(rm *)"]}, bash("X=1 rm x"), "deny"),
    ({"deny": ["Bash(rm *)"]}, bash("sudo rm x"), "deny"),
    ({"deny": ["Bash(rm *)"]}, bash("sudo -u root rm x"), "deny"),
    ({"deny": ["Bash(rm *)"]}, bash("env X=1 rm x"), "deny"),
    ({"deny": ["Bash(rm *)"]}, bash("timeout 5 rm x"), "deny"),
    ({"deny": ["Bash(rm *)"]}, bash("echo a | xargs rm"), "deny"),
    ({"deny": ["Bash(rm *)"]}, bash("find . -exec rm {} +"), "deny"),
    ({"deny": ["Bash(rm *)"]}, bash("echo $(rm x)"), "deny"),
    ({"deny": ["Bash(rm *)"]}, bash("bash -c 'rm x'"), "deny"),
    ({"deny": ["Bash(rm *)"]}, bash("eval rm x"), "deny"),
    ({"deny": ["Bash(rm *)"]}, bash("for f in a; do rm $f; done"), "deny"),
    ({"deny": ["Bash(rm *)"]}, bash("ls"), "allow"),
    # with a deny rule, what is not known is never allowed without asking
    ({"deny": ["Bash(rm *)"], "allow": ["Bash"]}, bash("$X y"), "ask"),
    ({"deny": ["Bash(rm *)"], "allow": ["Bash"]}, bash("python x.py"), "ask"),
    ({"deny": ["Read(.env)"], "allow": ["Python"]}, python("open('.env')"), "ask"),
    ({"deny": ["Read(.env)"], "allow": ["Python"]}, python("1 + 1"), "allow"),
    ({"deny": ["WebFetch"], "allow": ["Python"]}, python("open('.env')"), "allow"),
    # a deny rule for paths holds in the shell too
    ({"deny": ["Read(.env)"]}, bash("cat .env"), "deny"),
    ({"deny": ["Read(.env)"]}, bash("cat ./src/../.env"), "deny"),
    ({"deny": ["Read(secrets/**)"]}, bash("cd secrets && cat key.txt"), "deny"),
    ({"deny": ["Read(secrets/**)"]}, bash("cat secrets/*"), "deny"),
    ({"deny": ["Read(secrets/**)"]}, bash("grep -r x ."), "ask"),
    ({"deny": ["Read(secrets/**)"]}, bash("ls"), "allow"),
    ({"deny": ["Read(secrets/**)"]}, bash("ls | wc -l"), "allow"),
    # outside the working directory a rule must name the place
    ({"allow": ["Read"]}, read("/etc/passwd"), "ask"),
    ({"allow": ["Read(*)"]}, read("/etc/passwd"), "ask"),
    ({"allow": ["Read(**/passwd)"]}, read("/etc/passwd"), "ask"),
    ({"allow": ["Read(/etc/*)"]}, read("/etc/passwd"), "allow"),
    ({"allow": ["Read(/etc/*)"]}, read("/etc/../srv/x"), "ask"),
    ({"allow": ["Edit(src/**)"]}, edit("src/a.py"), "allow"),
    ({"allow": ["Edit(src/**)"]}, edit("src/../a.py"), "ask"),
    ({"allow": ["Edit(*.txt)"]}, edit("link.txt"), "ask"),
    ({"allow": ["Edit(*.py)"]}, edit("src/a.py"), "allow"),
    ({"allow": ["Edit(./*.py)"]}, edit("a.py"), "allow"),
    ({"allow": ["Write"]}, write(".git/hooks/x"), "ask"),
]


@pytest.mark.parametrize(("rules", "call", "expected"), RULES, ids=[f"{r[0]}-{r[1]}" for r in RULES])
def test_rules(
    desk: Desk, rules: dict[str, list[str]], call: tuple[str, dict[str, Any]], expected: str
) -> None:
    permissions = Permissions("strict", rules)
    assert permissions.problems == []
    assert desk.action(permissions, call[0], **call[1]) == expected


def test_a_deny_rule_also_binds_auto_and_unknown_then_asks(desk: Desk) -> None:
    permissions = Permissions("auto", {"deny": ["Bash(rm *)"]})
    assert desk.action(permissions, "Bash", command="rm x") == "deny"
    assert desk.action(permissions, "Bash", command="mkdir build") == "ask"
    assert desk.action(permissions, "Python", code="x()") == "ask"
    assert desk.action(permissions, "Write", file_path="new.txt", content="") == "allow"


def test_yolo_allows_and_can_be_forbidden(desk: Desk) -> None:
    assert desk.action(Permissions("yolo", {"deny": ["*"]}), "Bash", command="rm -rf x") == "allow"
    with pytest.raises(ConfigError, match="forbidden"):
        Permissions("yolo", forbid_yolo=True)
    permissions = Permissions("auto", forbid_yolo=True)
    with pytest.raises(ConfigError, match="forbidden"):
        permissions.for_turn("yolo")
    with pytest.raises(ConfigError, match="forbidden"):
        permissions.mode = "YOLO"
    with pytest.raises(ConfigError, match="strict, auto or yolo"):
        Permissions("careful")


def test_mode_changes_at_once(desk: Desk) -> None:
    permissions = Permissions()
    assert desk.action(permissions, "Edit", **edit("a.py")[1]) == "ask"
    permissions.mode = "auto"
    assert desk.action(permissions, "Edit", **edit("a.py")[1]) == "allow"


GRANTS = [
    ("cargo test -p foo", "Bash(cargo test *)"),
    ("cargo test", "Bash(cargo test *)"),
    ("make", "Bash(make)"),
    ("make -j4 all", "Bash(make -j4 all)"),
    ("python -m pytest", "Bash(python -m pytest)"),
    ("rm -rf build", "Bash(rm -rf build)"),
    ("cargo test; cargo run", "Bash(cargo test; cargo run)"),
    ("cargo test | tee x", "Bash(cargo test | tee x)"),
    ("cargo test > x", "Bash(cargo test > x)"),
    ("X=1 cargo test", "Bash(X=1 cargo test)"),
    ("cargo $X", "Bash(cargo $X)"),
    ("frob *.py x", "Bash(frob [*].py x)"),
    ("git push origin main", "Bash(git push *)"),
]


@pytest.mark.parametrize(("command", "grant"), GRANTS)
def test_a_grant_covers_its_own_command(desk: Desk, command: str, grant: str) -> None:
    permissions = Permissions()
    decision = desk.decide(permissions, "Bash", command=command)
    assert (decision.action, decision.grant) == ("ask", grant)
    permissions.grant(decision.grant)
    assert permissions.grants == (grant,)
    assert desk.action(permissions, "Bash", command=command) == "allow"
    assert desk.action(permissions, "Bash", command=f"{command}; curl x") == "ask"


def test_grants_stand_between_deny_and_ask(desk: Desk) -> None:
    permissions = Permissions("strict", {"ask": ["Bash(make *)"], "deny": ["Bash(git push *)"]})
    permissions.grant("Bash(make x)")
    assert desk.action(permissions, "Bash", command="make x") == "allow"
    permissions.grant("Bash(git push *)")
    assert desk.action(permissions, "Bash", command="git push") == "deny"


def test_a_prefix_grant_is_no_grant_of_the_dangerous_form(desk: Desk) -> None:
    permissions = Permissions(grants=["Bash(git push *)", "Bash(cat a.py *)"])
    assert desk.action(permissions, "Bash", command="git push origin main") == "allow"
    assert desk.action(permissions, "Bash", command="git push --force") == "ask"
    assert desk.action(permissions, "Bash", command="cat a.py /etc/passwd") == "ask"


def test_grants_of_a_turn_are_the_sessions(desk: Desk) -> None:
    session = Permissions()
    turn = session.for_turn("auto", ["Bash(make *)"])
    turn.grant("Bash(frob x)")
    assert session.grants == ("Bash(frob x)",)
    assert desk.action(turn, "Bash", command="make x") == "allow"
    assert desk.action(session, "Bash", command="make x") == "ask"
    assert session.mode == "strict"
    with pytest.raises(ConfigError, match="permission rule"):
        session.for_turn(allow=["Bash("])


def test_grants_for_files_and_python(desk: Desk) -> None:
    permissions = Permissions()
    decision = desk.decide(permissions, "Edit", **edit("src/a.py")[1])
    assert decision.grant == "Edit(./src/a.py)"
    permissions.grant(decision.grant)
    assert desk.action(permissions, "Edit", **edit("src/a.py")[1]) == "allow"
    assert desk.action(permissions, "Edit", **edit("a.py")[1]) == "ask"
    decision = desk.decide(permissions, "Edit", **edit("a.py")[1])
    permissions.grant(decision.grant)
    (desk.cwd / "src" / "sub").mkdir()
    assert desk.action(permissions, "Edit", **edit("src/sub/a.py")[1]) == "ask"
    decision = desk.decide(permissions, "Read", **read("link.txt")[1])
    assert decision.action == "ask"
    permissions.grant(decision.grant)
    assert desk.action(permissions, "Read", **read("../outside.txt")[1]) == "allow"
    assert desk.decide(permissions, "Python", code="x.y()").grant == "Python"


def test_hidden_files_are_told_to_the_searching_tools(desk: Desk) -> None:
    permissions = Permissions("strict", {"deny": ["Read(secrets/**)"]})
    assert desk.action(permissions, "Grep", pattern="x") == "allow"
    assert desk.state.hidden(str(desk.cwd / "secrets" / "key.txt"))
    assert not desk.state.hidden(str(desk.cwd / "a.py"))


@pytest.mark.parametrize("text", ["", "Bash(", "Bash()", "(x)", "Bash(x) y", "a b", 3, None, ["Bash"]])
def test_malformed_rules_are_skipped_one_by_one(text: Any) -> None:
    rules, problems = parse_rules(["Read", text, "Bash(ls *)"])
    assert [str(rule) for rule in rules] == ["Read", "Bash(ls *)"]
    assert len(problems) == 1
    assert "skipped" in problems[0]
    assert "\n" not in problems[0]


def test_rules_print_as_they_were_written() -> None:
    for text in ("Read", "Bash(cargo test *)", "mcp__x__*", "Edit(src/(a)/*.py)"):
        assert str(parse_rule(text)) == text


def test_unknown_keys_of_the_rules_are_reported() -> None:
    assert "forbid" in Permissions(rules={"forbid": ["Bash"]}).problems[0]
