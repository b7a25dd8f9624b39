"""The selector, in a real JupyterLab without our extension: below the cell, by mouse and by keyboard."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from support.ante import point_at
from support.chat_server import ChatServer, Reply, text
from support.lab import Lab
from support.oauth_server import OAuthServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Locator

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

KEY = "sk-or-v1-0123456789abcdef0123456789abcdef"


class Place:
    """JupyterLab, a model server, a vendor to sign in to; the home of the person."""

    def __init__(self, lab: Lab, server: ChatServer, oauth: OAuthServer, home: Path) -> None:
        self.lab, self.server, self.oauth, self.home = lab, server, oauth, home

    def show(self, name: str, *more: str) -> Locator:
        """A notebook whose second cell shows the panel."""
        self.path = self.lab.notebook(name, ["%load_ext ante_nb", "%ante panel", *more])
        self.lab.open(name)
        self.lab.run(0)
        self.lab.run(1)
        found: Locator = self.lab.cell(1).locator(".ante-panel:has(.ante-body:visible)")
        found.wait_for(timeout=60_000)
        return found

    def settings(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.home / ".ante" / "settings.json").read_text())
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    base = tmp_path_factory.mktemp("selector")
    home = base / "home"
    home.mkdir()
    with ChatServer(models=("test-model", "second-model", "a-third")) as server, OAuthServer() as oauth:
        env = point_at(server, home)
        (home / ".ante" / "catalog.json").write_text(
            json.dumps({"oauth": oauth.catalog_entry("openai"), "providers": {}})
        )
        variables = {
            **env,
            "ANTE_HOME": str(home / ".ante"),
            "ANTE_SYSTEM_SETTINGS": str(home / "none.json"),
            "ANTHROPIC_API_KEY": "sk-ant-api03-0123456789abcdef0123456789",
        }
        with Lab(home, variables) as lab:
            lab.reachable += [oauth.url, "http://localhost:"]
            yield Place(lab, server, oauth, home)


def field(panel: Locator, label: str) -> Locator:
    """What stands below the control of that label."""
    return panel.locator(".ante-field", has=panel.page.get_by_text(label, exact=True)).locator(
        "> .ante-faint"
    )


def test_what_is_chosen_is_what_the_next_prompt_uses(place: Place) -> None:
    panel = place.show("choose", "%%ante --tools none\nhello", "%ante model test-model", "%ante status")
    provider = panel.get_by_label("Provider", exact=True)
    groups = provider.locator("optgroup").evaluate_all("groups => groups.map(group => group.label)")
    assert groups == ["Signed in", "Open", "Not signed in"]
    ready = provider.locator("optgroup").first.inner_text()
    assert "Anthropic: key from environment ANTHROPIC_API_KEY" in ready
    assert "no key (OPENROUTER_API_KEY)" in provider.inner_text()
    assert "from settings.json" in field(panel, "Provider").inner_text()

    provider.select_option("anthropic")
    model = panel.get_by_role("combobox", name="Model")
    panel.get_by_text("https://api.anthropic.com").wait_for()
    # By keyboard alone: open, go down, take it.
    model.focus()
    model.press("ArrowDown")
    options = panel.get_by_role("option")
    listed = options.all_inner_texts()
    assert any("context" in words and "$" in words and "images" in words for words in listed)
    # The list names what a vendor has dated.
    assert any("retire" in words for words in listed)
    assert model.get_attribute("aria-expanded") == "true"
    first = panel.locator(f"#{model.get_attribute('aria-activedescendant')} .ante-name").inner_text()
    model.press("Enter")
    field(panel, "Model").get_by_text("from %ante").wait_for()
    assert model.input_value() == first and model.get_attribute("aria-expanded") == "false"

    levels = panel.get_by_label("Thinking", exact=True).locator("option").all_inner_texts()
    assert "high (Deep)" in levels
    panel.get_by_label("Thinking", exact=True).select_option("high")
    field(panel, "Thinking").get_by_text("from %ante").wait_for()

    provider.select_option("openai-compatible")
    model.fill("of-my-own/model:1")
    model.press("Enter")
    field(panel, "Model").get_by_text("from %ante").wait_for()
    panel.get_by_label("Permissions", exact=True).select_option("auto")
    field(panel, "Permissions").get_by_text("from %ante").wait_for()
    panel.get_by_label("Data", exact=True).select_option("schema")
    field(panel, "Data").get_by_text("from %ante").wait_for()
    # Nothing was written: the session's own choices end with it.
    assert place.settings() == {"provider": "openai-compatible", "model": "test-model"}

    place.server.enqueue(Reply(text("hello from the server")))
    place.lab.run(2)
    assert place.server.chats[-1].body["model"] == "of-my-own/model:1"
    # And what a cell chooses is seen here.
    place.lab.run(3)
    place.lab.page.wait_for_function(
        "() => document.querySelector('.ante-panel [role=combobox]').value === 'test-model'"
    )
    place.lab.run(4)
    status = place.lab.cell(4).inner_text()
    assert re.search(r"mode +auto +\(%ante\)", status) and re.search(
        r"data policy +schema +\(%ante\)", status
    )

    panel.get_by_label("Also keep what I choose").check()
    panel.get_by_text("saved to").wait_for()
    assert place.settings()["permission_mode"] == "auto" and place.settings()["data_policy"] == "schema"
    panel.get_by_label("Permissions", exact=True).select_option("strict")
    place.lab.page.wait_for_function(
        "() => /strict/.test(document.querySelector('.ante-answer').textContent)"
    )
    assert place.settings()["permission_mode"] == "strict"
    place.home.joinpath(".ante/settings.json").write_text(
        json.dumps({"provider": "openai-compatible", "model": "test-model"})
    )


def test_a_key_is_stored_and_seen_nowhere(place: Place) -> None:
    panel = place.show("key")
    panel.get_by_label("Provider", exact=True).select_option("openrouter")
    # Chosen, but it cannot be used yet, and the next step is here.
    panel.get_by_role("alert").get_by_text("OPENROUTER_API_KEY").wait_for()
    panel.get_by_role("button", name="Enter key").click()
    box = panel.get_by_label("API key for Open Router")
    assert box.get_attribute("type") == "password"
    assert place.lab.page.evaluate("document.activeElement.type") == "password"
    place.lab.page.keyboard.type(KEY)
    place.lab.page.keyboard.press("Enter")
    panel.get_by_text("the key for openrouter is stored").wait_for()
    field(panel, "Provider").get_by_text("stored key").wait_for()
    assert box.input_value() == ""
    stored = json.loads((place.home / ".ante/auth/api_keys.json").read_text())
    assert stored == {"openrouter": KEY}
    assert KEY not in place.lab.page.content()
    place.lab.save(place.path)
    assert KEY not in place.path.read_text()
    for log in (place.home / ".ante").rglob("*.log*"):
        assert KEY not in log.read_text()
    panel.get_by_role("button", name="Delete key").click()
    panel.get_by_text("was deleted from").wait_for()
    panel.get_by_role("alert").get_by_text("OPENROUTER_API_KEY").wait_for()


def test_signing_in_and_out(place: Place) -> None:
    panel = place.show("sign_in")
    panel.get_by_label("Provider", exact=True).select_option("openai")
    panel.get_by_role("button", name="Sign in").click()
    box = panel.get_by_role("region", name="Sign in")
    link = box.get_by_role("link", name="Open the sign-in page")
    link.wait_for()
    with place.lab.context.expect_page() as opened:
        link.click()
    vendor = opened.value
    assert vendor.evaluate("window.opener") is None
    code = box.locator(".ante-code")
    if code.is_visible():  # where the kernel is taken to run on another machine than the browser
        vendor.locator("input[name=user_code]").fill(code.inner_text())
    vendor.get_by_role("button", name="Allow").click()
    vendor.get_by_text(re.compile("Close this page|Done")).wait_for(timeout=60_000)
    vendor.close()
    place.lab.page.bring_to_front()
    panel.get_by_text("Signed in to ChatGPT").wait_for()
    box.wait_for(state="hidden")
    field(panel, "Provider").get_by_text("signed in until").wait_for()
    token = json.loads((place.home / ".ante/auth/oauth_openai.json").read_text())["access_token"]
    assert token not in place.lab.page.content()
    place.lab.save(place.path)
    saved = place.path.read_text()
    assert token not in saved and "/oauth/authorize" not in saved
    panel.get_by_role("button", name="Sign out").click()
    panel.get_by_text("signed out of ChatGPT").wait_for()
    panel.get_by_role("button", name="Sign in").wait_for()
    assert not (place.home / ".ante/auth/oauth_openai.json").exists()
    # And one that is given up.
    panel.get_by_role("button", name="Sign in").click()
    link.wait_for()
    box.get_by_role("button", name="Cancel").click()
    panel.get_by_text("cancelled: not signed in").wait_for()


def test_the_servers_own_list_and_a_search_in_it(place: Place) -> None:
    panel = place.show("live")
    panel.get_by_role("button", name="Ask the server for its models").click()
    panel.get_by_text("3 models from the server's own list").wait_for()
    model = panel.get_by_role("combobox", name="Model")
    model.click()
    names = panel.locator(".ante-option .ante-name")
    assert set(names.all_inner_texts()) == {"test-model", "second-model", "a-third"}
    model.fill("sec")
    assert names.all_inner_texts() == ["second-model"]
    # Escape leaves it as it was; a click on an entry takes it.
    model.press("Escape")
    assert model.input_value() == "test-model"
    model.fill("sec")
    names.first.click()
    field(panel, "Model").get_by_text("from %ante").wait_for()
    assert model.input_value() == "second-model"


def test_keys_are_the_panels_while_it_has_the_focus(place: Place) -> None:
    panel = place.show("keys", "1 + 1")
    model = panel.get_by_role("combobox", name="Model")
    model.focus()
    place.lab.page.keyboard.type("dd00bba")
    assert place.lab.page.locator(".jp-Notebook .jp-Cell").count() == 3
    place.lab.page.keyboard.press("Escape")
    # Tab goes on, and out again at the end: no trap.
    place.lab.page.evaluate("document.querySelector('.ante-panel select').focus()")
    for _ in range(30):
        place.lab.page.keyboard.press("Tab")
        if not place.lab.page.evaluate("!!document.activeElement.closest('.ante-panel')"):
            break
    else:
        pytest.fail("Tab does not leave the panel")


def test_another_page_that_shows_the_notebook_gets_the_same_card(place: Place) -> None:
    panel = place.show("reload")
    panel.get_by_label("Thinking", exact=True).select_option("medium")
    field(panel, "Thinking").get_by_text("from %ante").wait_for()
    place.lab.save(place.path)
    # Nothing of what is shown is saved as a widget's state.
    saved = place.path.read_text()
    assert "widget-state" not in saved
    place.lab.page.reload()
    panel.wait_for(timeout=90_000)
    assert panel.get_by_label("Thinking", exact=True).input_value() == "medium"
