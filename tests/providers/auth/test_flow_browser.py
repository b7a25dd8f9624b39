"""A sign-in in a real browser: the link, the button, and the page at the end."""

from __future__ import annotations

import pytest
from support.lab import chromium
from support.oauth_server import OAuthServer

from ante_nb.errors import SignInError
from ante_nb.providers.auth.flow import SignInFlow

pytestmark = pytest.mark.lab


@pytest.fixture
async def page(tmp_path):
    path = chromium()
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield await browser.new_page()
        await browser.close()


@pytest.mark.parametrize("allow", [True, False], ids=["allow", "deny"])
async def test_the_button_of_the_vendors_page(page, allow):
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    with OAuthServer() as server:
        flow = SignInFlow(server.spec("openai"))
        challenge = await flow.start()
        await page.goto(challenge.url)
        await page.get_by_role("button", name="Allow" if allow else "Deny").click()
        await page.get_by_role("heading", name="Signed in" if allow else "Not signed in").wait_for()
        assert page.url.startswith(f"http://localhost:{challenge.port}/auth/callback?")
        if allow:
            assert server.valid((await flow.result()).access_token.value)
        else:
            with pytest.raises(SignInError, match="denied"):
                await flow.result()
            assert "The person <b>said</b> no" in await page.inner_text("p")
            assert await page.locator("b").count() == 0
    assert not [text for text in said if "Content Security Policy" in text and "style" in text]
