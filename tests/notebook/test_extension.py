"""Loading, unloading, configuration, help: the magics themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.ante import point_at
from support.kernel import Kernel

from ante_nb.errors import ConfigError
from ante_nb.notebook import arguments

if TYPE_CHECKING:
    from pathlib import Path

    from support.ante import Ante
    from support.chat_server import ChatServer


def test_loading_twice_unloading_and_loading_again(ante: Ante) -> None:
    counts = (
        "(sum(type(t).__name__ == 'PromptTransformer' for t in get_ipython().input_transformers_cleanup), "
        "sum('note_result' in repr(h) for h in get_ipython().events.callbacks['post_run_cell']))"
    )
    again = ante.kernel.run("%load_ext ante_nb")
    assert again.status == "ok" and ante.kernel.value(counts) == (1, 1)
    ante.kernel.run("import ante_nb; ante_nb.load_ipython_extension(get_ipython())")
    assert ante.kernel.value(counts) == (1, 1)
    ante.prompt("one", "--tools none")
    off = ante.kernel.run("%unload_ext ante_nb")
    assert (off.status, off.outputs) == ("ok", []) and ante.kernel.value(counts) == (0, 0)
    missing = ante.prompt("hello")
    assert "`%%ante` not found" in missing.text and len(ante.server.chats) == 1
    assert "`%ante` not found" in ante.kernel.run("%ante status").text
    for command in ("%reload_ext ante_nb", "%reload_ext ante_nb"):
        on = ante.kernel.run(command)
        assert (on.status, on.outputs) == ("ok", []) and ante.kernel.value(counts) == (1, 1)
    # The session has survived.
    assert ante.prompt("two", "--tools none").status == "ok"
    assert len(ante.last_messages) == 4


def test_config_and_the_line_magic_write_the_same_layer(ante: Ante) -> None:
    model = "__import__('ante_nb.notebook.state').notebook.state.kernel_state(get_ipython()).runtime.choices.model"
    assert ante.kernel.run("%config AnteMagics.model = 'by-config'").status == "ok"
    assert ante.kernel.value(model) == "by-config"
    assert "by-config" in ante.kernel.run("%ante").text
    ante.prompt("hi", "--tools none")
    assert ante.server.chats[-1].body["model"] == "by-config"
    ante.kernel.run("%ante model by-magic")
    ante.prompt("hi", "--tools none")
    assert ante.server.chats[-1].body["model"] == "by-magic"
    # The last act wins, also with a value that %config had set before.
    ante.kernel.run("%config AnteMagics.model = 'by-config'")
    assert ante.kernel.value(model) == "by-config"
    ante.prompt("hi", "--tools none --model by-flag")
    assert ante.server.chats[-1].body["model"] == "by-flag"
    ante.kernel.run("%config AnteMagics.model = ''")
    assert ante.kernel.value(model) is None
    bad = ante.kernel.run("%config AnteMagics.mode = 'anarchy'")
    assert "anarchy" in bad.text and "strict" in bad.text
    ante.kernel.run("%ante model default")


def test_help_has_one_source(ante: Ante) -> None:
    printed = ante.kernel.run("%%ante -h\n").stdout.strip()
    assert printed == arguments.cell_help().strip()
    assert ante.kernel.run("%ante help").stdout.strip() == arguments.full_help().strip()
    assert (
        ante.kernel.value("get_ipython().magics_manager.magics['line']['ante'].__doc__")
        == arguments.full_help()
    )
    shown = ante.kernel.run("%ante?")
    pager = shown.reply.get("payload", [{}])[0].get("data", {}).get("text/plain", "") + shown.text
    for flag in arguments.FLAGS:
        assert flag.names[-1] in printed and flag.names[-1] in pager
    for command in arguments.COMMANDS:
        assert command.name in pager


def test_ipython_config_ranks_below_the_settings(
    chat_server: ChatServer, isolated_home: Path, tmp_path: Path
) -> None:
    profile = isolated_home / ".ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text(
        "c = get_config()\nc.AnteMagics.model = 'configured'\nc.AnteMagics.provider = 'openai-compatible'\n"
        "c.InteractiveShellApp.extensions = ['ante_nb']\n"
    )
    environment = point_at(chat_server, isolated_home)
    settings = isolated_home / ".ante" / "settings.json"
    with Kernel(cwd=tmp_path, env=environment) as kernel:
        assert kernel.run("%%ante --tools none\nhi").status == "ok"
        assert chat_server.chats[-1].body["model"] == "test-model"
        settings.write_text("{}")
        assert kernel.run("%%ante --tools none\nhi").status == "ok"
        assert chat_server.chats[-1].body["model"] == "configured"
        assert "ipython_config" in kernel.run("%ante").text
        settings.write_text(json.dumps({"provider": "openai-compatible", "model": "settings-model"}))
        assert kernel.run("%%ante --tools none\nhi").status == "ok"
        assert chat_server.chats[-1].body["model"] == "settings-model"


@pytest.mark.parametrize("first", ["%%time", "%%capture kept", "%%prun -q"])
def test_a_prompt_below_another_cell_magic_blocks_and_works(ante: Ante, first: str) -> None:
    outcome = ante.kernel.run(f"{first}\n%%ante --tools none\nhello")
    assert outcome.status == "ok" and "Traceback" not in outcome.text, outcome.text
    assert ante.turn("text") == "echo: hello"
    ante.check_usable()


# --------------------------------------------------------------------------------- without a kernel


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--provder x", ["--provder", "--provider"]),
        ("hello there", ["'hello'", "below the first line"]),
        ("--max-steps -3", ["--max-steps"]),
        ("--max-steps 1.5", ["1.5"]),
        ("-o a-b", ["a-b"]),
        ("-o class", ["class"]),
        ("-o In", ["In belongs"]),
        ("--mode", ["--mode"]),
        ("--model 'x", ["quot"]),
        ("-x", ["-x"]),
        ("--verbose=yes", ["verbose"]),
        ("--", ["--"]),
        ("-m", ["-m"]),
        ("\u2014model x", ["\u2014model"]),
    ],
)  # fmt: skip
def test_flags_that_are_wrong_say_so_in_one_line(line: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        arguments.parse(line)
    for word in words:
        assert word in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)


def test_flags_that_are_right() -> None:
    found = arguments.parse(
        "-p openai -m 'a b' --allow 'Bash(git *)' --allow Write --max-steps=7 --verbose -v df -o result --mode AUTO"
    )
    options = arguments.options_of(found)
    assert (options.provider, options.model, options.allow, options.max_steps, options.mode) == (
        "openai", "a b", ("Bash(git *)", "Write"), 7, "auto",
    )  # fmt: skip
    assert found.verbose and found.output == "result" and not found.help
