"""Signing in through a real JupyterLab: a person clicks the link, allows it at the vendor's page, and goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.chatgpt_backend import ChatGPT
from support.lab import Lab
from support.oauth_server import OAuthServer
from support.ws_server import Dialogue, message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

ANSWER = "Hello from your plan."


class Place:
    """JupyterLab, the vendor, the backend."""

    def __init__(self, lab: Lab, oauth: OAuthServer, backend: ChatGPT, home: Path) -> None:
        self.lab, self.oauth, self.backend, self.home = lab, oauth, backend, home

    @property
    def page(self) -> Page:
        return self.lab.page

    def card(self, number: int) -> Locator:
        found: Locator = self.lab.cell(number).locator(".ante-card")
        found.wait_for(timeout=60_000)
        return found

    def stored(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / ".ante/auth/oauth_openai.json").read_text())
        return found

    def secrets(self) -> dict[str, str]:
        """Everything secret that passed the vendor's server, and what is stored."""
        found: dict[str, str] = {}
        names = {
            "code", "state", "code_verifier", "code_challenge", "refresh_token", "token", "user_code",
            "device_auth_id", "ticket",
        }  # fmt: skip
        for number, seen in enumerate(self.oauth.seen):
            for name in names:
                for value in (seen.query.get(name), seen.body.get(name)):
                    if value:
                        found[f"{name} of request {number} ({seen.endpoint})"] = value
        for name in ("access_token", "refresh_token", "id_token"):
            found[name] = self.stored()[name]
        return found

    def check_saved(self, path: Path) -> None:
        self.lab.save(path)
        text = path.read_text()
        for name, value in self.secrets().items():
            assert value not in text, f"{name} is in the saved notebook"
        assert "/oauth/authorize" not in text and "widget-view" not in text


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    base = tmp_path_factory.mktemp("sign_in")
    backend = ChatGPT(Dialogue([[message("~", ANSWER)]], free=True))
    with OAuthServer() as oauth, backend:
        backend.valid = oauth.valid
        person = base / "person"
        (person / ".ante").mkdir(parents=True)
        catalog = {
            "oauth": oauth.catalog_entry("openai"),
            "providers": {"openai-subscription": {"base_url": backend.url}},
        }
        (person / ".ante/catalog.json").write_text(json.dumps(catalog))
        variables = {
            "HOME": str(person),
            "ANTE_HOME": str(person / ".ante"),
            "ANTE_SYSTEM_SETTINGS": str(person / "none.json"),
        }
        with Lab(base / "home", variables) as lab:
            # The vendor's page, and the kernel's own listener that it sends the browser to.
            lab.reachable += [oauth.url, "http://localhost:"]
            yield Place(lab, oauth, backend, person)


def test_a_click_on_the_link(place: Place) -> None:
    path = place.lab.notebook(
        "click",
        [
            "%load_ext ante_nb",
            "%ante login openai --browser",
            "%%ante --provider openai-subscription --model gpt-5.4 --tools none\nSay hello.",
            "%ante auth",
        ],
    )
    place.lab.open("click")
    place.lab.run(0)
    place.lab.start(1)
    card = place.card(1)
    link = card.get_by_role("link", name="Open the sign-in page")
    link.wait_for()
    assert link.get_attribute("target") == "_blank" and "noopener" in (link.get_attribute("rel") or "")
    assert card.get_by_role("status").inner_text().startswith("Waiting")
    assert card.get_attribute("aria-label") == "Sign in to ChatGPT"
    with place.lab.context.expect_page() as opened:
        link.click()
    vendor = opened.value
    assert vendor.evaluate("window.opener") is None
    vendor.get_by_role("button", name="Allow").click()
    vendor.get_by_text("Close this page").wait_for(timeout=60_000)
    place.lab.wait(1)
    output = place.lab.cell(1).locator(".jp-OutputArea")
    assert "Signed in to ChatGPT (plan plus)" in output.inner_text()
    assert place.lab.cell(1).locator(".ante-card").count() == 0
    assert place.oauth.valid(place.stored()["access_token"])
    place.page.bring_to_front()
    place.lab.run(2)
    assert ANSWER in place.lab.cell(2).inner_text()
    assert place.backend.ways() == ["http"]
    assert not place.backend.problems and not place.backend.refused_tokens
    place.lab.run(3)
    assert "sign-in (browser)" in place.lab.cell(3).inner_text()
    place.check_saved(path)
    assert not place.oauth.refusals


def test_the_address_is_pasted(place: Place) -> None:
    path = place.lab.notebook("paste", ["%load_ext ante_nb", "%ante login openai --paste --again"])
    place.lab.open("paste")
    place.lab.run(0)
    place.lab.start(1)
    card = place.card(1)
    link = card.get_by_role("link", name="Open the sign-in page")
    link.wait_for()
    field = card.get_by_role("textbox")
    # Keys are the field's while it has the focus: dd would delete the cell.
    field.click()
    place.page.keyboard.type("dd00x")
    assert field.input_value() == "dd00x" and place.lab.page.locator(".jp-Notebook .jp-Cell").count() >= 2
    place.page.keyboard.press("Enter")
    card.get_by_text("no sign-in code").wait_for()
    assert field.input_value() == ""
    place.lab.reachable.remove("http://localhost:")
    try:
        with place.lab.context.expect_page() as opened:
            link.click()
        vendor = opened.value
        failed: list[str] = []
        vendor.on("requestfailed", lambda request: failed.append(request.url))
        vendor.get_by_role("button", name="Allow").click()
        vendor.wait_for_timeout(500)
        for _ in range(100):
            if failed:
                break
            vendor.wait_for_timeout(100)
    finally:
        place.lab.reachable.append("http://localhost:")
    # The page cannot be opened; its address is what the person copies.
    assert len(failed) == 1 and "code" in parse_qs(urlsplit(failed[0]).query)
    vendor.close()
    field.fill(failed[0])
    card.get_by_role("button", name="Continue").click()
    place.lab.wait(1)
    assert "Signed in to ChatGPT" in place.lab.cell(1).inner_text()
    assert place.stored()["source"] == "paste"
    place.check_saved(path)


def test_the_code_is_typed_on_another_device(place: Place) -> None:
    path = place.lab.notebook("device", ["%load_ext ante_nb", "%ante login openai --device --again"])
    place.lab.open("device")
    place.lab.run(0)
    place.lab.start(1)
    card = place.card(1)
    code = card.locator(".ante-code")
    code.wait_for()
    words = code.inner_text()
    card.get_by_role("button", name="Copy code").click()
    card.get_by_role("button", name="Copied").or_(card.get_by_role("button", name="Select it")).wait_for()
    with place.lab.context.expect_page() as opened:
        card.get_by_role("link").click()
    vendor = opened.value
    vendor.locator("input[name=user_code]").fill(words)
    vendor.get_by_role("button", name="Allow").click()
    vendor.get_by_text("Done").wait_for()
    place.lab.wait(1)
    assert "Signed in to ChatGPT" in place.lab.cell(1).inner_text()
    assert place.stored()["source"] == "device"
    place.check_saved(path)


def test_cancel_by_keyboard(place: Place) -> None:
    before = place.stored()
    path = place.lab.notebook("cancel", ["%load_ext ante_nb", "%ante login openai --browser --again"])
    place.lab.open("cancel")
    place.lab.run(0)
    place.lab.start(1)
    card = place.card(1)
    card.get_by_role("link").wait_for()
    card.get_by_role("link").focus()
    order = []
    for _ in range(4):
        order.append(place.page.evaluate("document.activeElement.textContent || document.activeElement.type"))
        place.page.keyboard.press("Tab")
    # "Continue" is passed over as long as nothing is in the field.
    assert order == ["Open the sign-in page", "Copy link", "text", "Cancel"]
    card.get_by_role("button", name="Cancel").focus()
    place.page.keyboard.press("Enter")
    place.lab.wait(1)
    assert "cancelled: not signed in" in place.lab.cell(1).inner_text()
    assert place.stored() == before
    place.check_saved(path)
