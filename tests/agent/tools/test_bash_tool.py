"""Bash with real processes: trees of them killed, huge and binary output, jobs in the background."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest
from support.tools import Bench, bench

from ante_nb.agent.results import finish
from ante_nb.agent.tools import jobs
from ante_nb.agent.tools.environment import child_environment, is_secret_name
from ante_nb.errors import ToolError
from ante_nb.messages import ToolCall

__all__ = ["bench"]

ROOT = str(Path(__file__).resolve().parents[3])
LINUX = sys.platform.startswith("linux")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if LINUX:
        try:
            return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return False
    return True


async def gone(pid: int) -> bool:
    end = time.monotonic() + 5
    while alive(pid) and time.monotonic() < end:
        await asyncio.sleep(0.02)
    return not alive(pid)


async def pids(bench: Bench, *names: str) -> list[int]:
    """The process ids that the commands wrote to files, once they are there."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        texts = [(bench.cwd / name).read_text() if (bench.cwd / name).exists() else "" for name in names]
        if all(text.endswith("\n") for text in texts):
            return [int(text) for text in texts]
        await asyncio.sleep(0.02)
    raise AssertionError("the command did not start")


async def test_output_and_exit_code(bench: Bench) -> None:
    outcome = await bench.run("Bash", command="echo out; echo err >&2; exit 3")
    assert outcome.content[0].text == "out\nerr\n[exit code 3]"
    assert outcome.is_error
    assert outcome.display == {
        "kind": "bash",
        "command": "echo out; echo err >&2; exit 3",
        "exit_code": 3,
        "timed_out": False,
    }
    assert await bench.text("Bash", command="true") == "[exit code 0]"
    assert await bench.text("Bash", command="kill -9 $$") == "[exit code 137]"
    assert "".join(bench.live) == "out\nerr\n"


async def test_each_call_is_a_fresh_shell_without_a_terminal(bench: Bench) -> None:
    (bench.cwd / "sub").mkdir()
    await bench.run("Bash", command="cd sub; export X=1")
    text = await bench.text(
        "Bash", command='pwd -P; echo "[$X]"; echo "$ANTE_SESSION"; read line || echo closed; tty'
    )
    assert text.splitlines()[:5] == [os.path.realpath(bench.cwd), "[]", "ses_test", "closed", "not a tty"]


async def test_live_output_comes_before_the_end(bench: Bench) -> None:
    task = asyncio.ensure_future(
        bench.run("Bash", command="echo first; while [ ! -e go ]; do sleep 0.05; done")
    )
    end = time.monotonic() + 30
    while not bench.live and time.monotonic() < end:
        await asyncio.sleep(0.02)
    assert bench.live == ["first\n"]
    assert not task.done()
    bench.file("go", "")
    await task


async def test_live_output_is_throttled(bench: Bench) -> None:
    await bench.run("Bash", command="for i in $(seq 2000); do echo line $i; done; sleep 0.2; echo end")
    assert len(bench.live) < 200
    assert bench.live[-1].endswith("end\n")


TREE = """
echo $$ > shell.pid
sleep 300 & echo $! > child.pid
(sleep 300 & echo $! > grandchild.pid; wait) &
trap '' TERM
wait; sleep 300
"""


@pytest.mark.parametrize("how", ["cancel", "timeout"])
async def test_the_whole_tree_is_killed(bench: Bench, how: str) -> None:
    names = ("shell.pid", "child.pid", "grandchild.pid")
    limit = 600_000 if how == "cancel" else 2_000
    task = asyncio.ensure_future(bench.run("Bash", command=TREE, timeout=limit))
    found = await pids(bench, *names)
    if how == "cancel":
        begin = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - begin < 5
    else:
        outcome = await task
        assert "[Timed out after 2 s" in outcome.content[0].text
        assert outcome.display["timed_out"]
    for pid in found:
        assert await gone(pid)


@pytest.mark.skipif(not LINUX, reason="needs /proc to find what left its process group")
async def test_a_child_that_left_the_group_is_killed_too(bench: Bench) -> None:
    command = f'{sys.executable} -c \'import os; os.setsid(); open("d.pid","w").write(str(os.getpid())+chr(10)); import time; time.sleep(300)\' & wait'
    task = asyncio.ensure_future(bench.run("Bash", command=command))
    (pid,) = await pids(bench, "d.pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(pid)


async def test_a_background_child_neither_hangs_the_call_nor_outlives_it(bench: Bench) -> None:
    text = await bench.text("Bash", command="sleep 300 & echo $! > child.pid; echo started")
    assert text.splitlines()[0] == "started"
    assert "run_in_background" in text
    (pid,) = await pids(bench, "child.pid")
    assert await gone(pid)


async def test_huge_output_keeps_head_and_tail(bench: Bench) -> None:
    command = f"{sys.executable} -c \"print('HEAD'); [print('x%07d' % i * 10) for i in range(400_000)]; print('TAIL')\""
    outcome = await bench.run("Bash", command=command)
    text = outcome.content[0].text
    assert len(text) < 1_200_000
    assert text.startswith("HEAD\n")
    assert text.endswith("TAIL\n[exit code 0]")
    assert "bytes of output dropped" in text
    result = finish(outcome, ToolCall("c", "Bash"), bench.state)
    assert len(result.text) < 31_000
    assert "characters trimmed" in result.text


async def test_binary_and_non_utf8_output(bench: Bench) -> None:
    bench.file("a.bin", bytes(range(256)) * 100)
    bench.file("l.txt", "häß\n".encode("latin-1"))
    outcome = await bench.run("Bash", command="cat a.bin")
    result = finish(outcome, ToolCall("c", "Bash"), bench.state)
    assert "\x00" not in result.text
    assert "\x1b" not in result.text
    result.text.encode("utf-8")
    assert "h\ufffd\ufffd" in await bench.text("Bash", command="cat l.txt")


async def test_a_character_cut_between_two_reads_stays_whole(bench: Bench) -> None:
    await bench.run("Bash", command="printf '\\303'; sleep 0.3; printf '\\244'")
    assert "".join(bench.live) == "ä"


async def test_missing_directory(bench: Bench) -> None:
    bench.host.cwd = bench.cwd / "gone"
    with pytest.raises(ToolError, match="does not exist"):
        await bench.run("Bash", command="ls")


async def test_many_at_once(bench: Bench) -> None:
    texts = await asyncio.gather(*(bench.text("Bash", command=f"echo {n}") for n in range(12)))
    assert texts == [f"{n}\n[exit code 0]" for n in range(12)]


async def test_background_jobs(bench: Bench) -> None:
    outcome = await bench.run(
        "Bash", command="echo hello; while [ ! -e go ]; do sleep 0.05; done; exit 7", run_in_background=True
    )
    job = Path(outcome.display["job"])
    assert job.is_relative_to(bench.state.home / "run" / "jobs")
    assert outcome.display["exit_code"] is None
    assert job in bench.state.roots
    assert not (job / "exit_code").exists()
    bench.file("go", "")
    end = time.monotonic() + 30
    while not (job / "exit_code").exists() and time.monotonic() < end:
        await asyncio.sleep(0.02)
    assert (job / "exit_code").read_text() == "7\n"
    assert (job / "output").read_text() == "hello\n"
    assert "hello" in await bench.text("Read", file_path=str(job / "output"))


async def test_background_jobs_end_with_the_process(bench: Bench) -> None:
    outcome = await bench.run("Bash", command="sleep 300 & echo $! > child.pid; wait", run_in_background=True)
    (child,) = await pids(bench, "child.pid")
    group = int((Path(outcome.display["job"]) / "pid").read_text())
    jobs.end_all()
    assert await gone(child)
    assert await gone(group)


_COMMANDS = """
import asyncio, os, pathlib, sys
from ante_nb.agent.tools import jobs, process

STUBBORN = "trap '' TERM; sleep 300 & echo $! > {0}.new; mv {0}.new {0}; wait"
here = pathlib.Path()

async def main():
    jobs.start(STUBBORN.format("job.pid"), shell="/bin/sh", cwd=here, env=os.environ, home=here)
    done = ["/bin/sh", "-c", "exit 0"]
    await process.run(done, cwd=here, env=os.environ, on_data=print)
    call = ["/bin/sh", "-c", STUBBORN.format("call.pid")]
    running = asyncio.ensure_future(process.run(call, cwd=here, env=os.environ, on_data=print))
    while not (here / "call.pid").exists() or not (here / "job.pid").exists():
        await asyncio.sleep(0.02)
    if sys.argv[1] == "forked":  # a worker that the person has started, and that lives on
        worker = os.fork()
        if not worker:
            import time
            time.sleep(300)
        (here / "worker.pid").write_text(f"{worker}\\n")
    (here / "ready").write_text(f"{os.getpid()}\\n")
    if sys.argv[1] != "exit":
        await running
    os._exit(3)

asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["exit", "killed", "forked"])
async def test_no_command_outlives_a_process_that_ends_at_once(how: str, bench: Bench) -> None:
    """Killed, or gone without an exit handler: the children end, also those that mind no SIGTERM."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _COMMANDS, how, cwd=bench.cwd, env={**os.environ, "PYTHONPATH": ROOT}
    )
    call, job, _ = await pids(bench, "call.pid", "job.pid", "ready")
    try:
        if how != "exit":
            assert alive(call) and alive(job)
            program.kill()
        await program.wait()
        assert await gone(call) and await gone(job)
    finally:
        if how == "forked":
            (worker,) = await pids(bench, "worker.pid")
            os.kill(worker, 9)


SECRET = [
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "HF_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "MY_SECRET",
    "DB_PASSWORD",
    "PGPASSWORD",
    "npm_config__authToken",
    "SLACK_WEBHOOK_URL",
    "DATABASE_URL",
    "AZURE_CLIENT_ID",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "SSH_AUTH_SOCK",
    "CLIENT_SECRET_V2",
    "XAI_APIKEY",
    "STRIPE_KEY_SECRET",
    "BASH_ENV",
    "CI_JOB_TOKEN",
    "TWINE_PASSWORD",
    "API_KEY",
    "GEMINI_API_KEYS",
    "PRIVATE_KEY_PATH",
    "SENTRY_DSN",
]
PLAIN = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PWD",
    "OLDPWD",
    "SHELL",
    "TERM",
    "USER",
    "TMPDIR",
    "PYTHONPATH",
    "JAVA_HOME",
    "EDITOR",
    "DISPLAY",
    "KEYBOARD_LAYOUT",
    "MONKEY",
    "TOKENIZERS_PARALLELISM",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
]


@pytest.mark.parametrize("name", SECRET)
def test_secret_variables(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", PLAIN)
def test_plain_variables(name: str) -> None:
    assert not is_secret_name(name)


async def test_children_get_no_credential(bench: Bench) -> None:
    bench.host.env = child_environment(
        {
            **os.environ,
            "OPENAI_API_KEY": "sk-hidden1",
            "ODD_NAME": "hidden2",
            "HTTPS_PROXY": "http://me:hidden3@proxy:8080",
            "BASH_FUNC_ls%%": "() { echo hidden4; }",
        },
        secret=["ODD_NAME"],
    )
    text = await bench.text("Bash", command="env; ls")
    assert "hidden" not in text
    assert "HTTPS_PROXY=http://proxy:8080" in text
    assert "PATH=" in text
