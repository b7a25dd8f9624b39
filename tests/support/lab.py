"""A real JupyterLab, driven in Chromium: open a notebook, run cells, look at outputs, log what is fetched."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from playwright.sync_api import Browser, BrowserContext, Page, Playwright

ROOT = Path(__file__).resolve().parents[2]
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
_SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # Every cell is in the page, also the ones that are not in view.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}


def chromium() -> str:
    """Chromium's path; skips the test where it, playwright or JupyterLab is missing."""
    for module in ("playwright.sync_api", "jupyterlab", "nbformat"):
        pytest.importorskip(module, reason=f"needs {module} (the dev extra)")
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    pytest.skip("needs Chromium (Debian: apt-get install chromium)")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Lab:
    """JupyterLab on a random port with a random token, everything it writes below ``home``.

    Args:
        home: an empty directory; notebooks live in ``home/work``.
        env: further environment variables of the server and its kernels.
        theme: e.g. ``JupyterLab Dark``.
        extension: whether ante_nb's extension is installed.
        app: ``lab``, or ``notebook`` for Jupyter Notebook 7.
    """

    def __init__(
        self,
        home: Path,
        env: dict[str, str] | None = None,
        theme: str | None = None,
        *,
        extension: bool = False,
        app: str = "lab",
    ) -> None:
        self._chromium = chromium()
        if app == "notebook":
            pytest.importorskip("notebook", reason="needs notebook (the dev extra)")
        self.app = app
        self.home = home
        self.work = home / "work"
        self.work.mkdir(parents=True)
        self.port = free_port()
        self.token = secrets.token_hex(16)
        self.requests: list[str] = []
        """Every address that a page asked for and that is not this server's."""
        self.reachable: list[str] = []
        """What else a page may load: beginnings of addresses of other servers of the test."""
        if extension:
            shutil.copytree(ROOT / "labextension", home / "data" / "labextensions" / "ante-nb")
        else:
            # An installed package brings its extension along.
            off = home / "config" / "labconfig" / "page_config.json"
            off.parent.mkdir(parents=True)
            off.write_text(json.dumps({"disabledExtensions": {"ante-nb": True}}))
        self._env = {
            **os.environ,
            "HOME": str(home),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(home / "run"),
            # This tree's extension, not the one that is installed.
            "JUPYTER_PREFER_ENV_PATH": "0",
            "IPYTHONDIR": str(home / "ipython"),
            **(env or {}),
        }
        settings = dict(_SETTINGS)
        if theme:
            settings["@jupyterlab/apputils-extension/themes"] = {"theme": theme}
        for name, values in settings.items():
            file = home / "settings" / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        self._server: subprocess.Popen[bytes] | None = None
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self.context: BrowserContext
        self.page: Page

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        with (self.home / "lab.log").open("wb") as log:
            self._server = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "jupyterlab" if self.app == "lab" else "notebook",
                    "--no-browser",
                    "--allow-root",
                    f"--ServerApp.port={self.port}",
                    "--ServerApp.port_retries=0",
                    f"--IdentityProvider.token={self.token}",
                    f"--ServerApp.root_dir={self.work}",
                    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
                    "--LabApp.news_url=",
                ],
                cwd=self.work,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 90
        while True:
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    "JupyterLab did not start:\n" + (self.home / "lab.log").read_text()[-3000:]
                )
            try:
                with urllib.request.urlopen(f"{self.url}api?token={self.token}", timeout=5):
                    break
            except OSError:
                time.sleep(0.3)
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(
            executable_path=self._chromium, headless=True, args=_FLAGS
        )
        self._fresh_page()

    def _fresh_page(self) -> None:
        """A page that shares nothing with the last one: no storage, no unsaved notebook."""
        assert self._browser is not None
        for context in self._browser.contexts:
            context.close()
        self.context = self._browser.new_context(viewport={"width": 1300, "height": 1000})
        self.context.on("request", lambda request: self._asked(request.url))
        self.context.route(
            lambda url: not url.startswith((self.url, *self.reachable)), lambda route: route.abort()
        )
        self.page = self.context.new_page()
        self.requests.clear()

    @property
    def browser(self) -> Browser:
        """The browser, for pages beside the one of JupyterLab."""
        assert self._browser is not None
        return self._browser

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def _asked(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:", "about:")):
            self.requests.append(url)

    def notebook(self, name: str, cells: Sequence[str | dict[str, Any]]) -> Path:
        """Write a notebook. A cell is its source, or ``{"source": ..., "outputs": [data, ...]}``."""
        import nbformat.v4 as v4

        made = []
        for cell in cells:
            spec: dict[str, Any] = {"source": cell} if isinstance(cell, str) else cell
            outputs = [v4.new_output("display_data", data=data) for data in spec.get("outputs", ())]
            made.append(v4.new_code_cell(spec["source"], outputs=outputs))
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        document = v4.new_notebook(cells=made, metadata={"kernelspec": kernel})
        path = self.work / f"{name}.ipynb"
        path.write_text(json.dumps(document))
        return path

    def open(self, name: str) -> None:
        """Show a notebook of ``work`` in a fresh page and workspace and wait for its kernel.

        ``requests`` starts anew.
        """
        self._fresh_page()
        place = f"lab/tree/{name}.ipynb" if self.app == "lab" else f"notebooks/{name}.ipynb"
        self.page.goto(f"{self.url}{place}?token={self.token}{'&reset' if self.app == 'lab' else ''}")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
        if self.app == "notebook":
            self.page.wait_for_selector(".jp-NotebookKernelStatus", state="attached", timeout=90_000)
            self.page.wait_for_selector(
                ".jp-Notebook-ExecutionIndicator[data-status='idle']", state="attached", timeout=90_000
            )
            return
        # The notebook's own indicator says "idle" already before there is a kernel.
        self.page.wait_for_function(
            "() => /[|] Idle/.test((document.querySelector('#jp-main-statusbar') || {}).innerText || '')",
            timeout=90_000,
        )

    def cell(self, number: int) -> Any:
        """The ``number``-th cell, from 0."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    def _prompt(self, number: int) -> str:
        return str(self.cell(number).locator(".jp-InputPrompt").first.inner_text()).strip()

    def run(self, number: int, timeout: float = 120.0) -> None:
        """Run a cell and wait for its end."""
        deadline = time.monotonic() + timeout
        self.start(number, timeout)
        self.wait(number, deadline - time.monotonic())

    def start(self, number: int, timeout: float = 120.0) -> None:
        """Run a cell and return as soon as it has started."""
        deadline = time.monotonic() + timeout
        before = self._prompt(number)
        # Lab drops a run silently while it is still connecting to the kernel.
        while self._prompt(number) == before:
            for dialog in self.page.locator(".jp-Dialog").all():
                words = dialog.inner_text()
                if "Select Kernel" not in words:  # asked for when a run comes before the kernel
                    raise RuntimeError(f"JupyterLab shows a dialog: {words}")
                dialog.locator(".jp-mod-accept").last.click()
            self.cell(number).locator(".jp-InputArea-editor .cm-content").click(timeout=10_000)
            self.page.keyboard.press("Control+Enter")
            for _ in range(100):  # a busy one takes seconds, and would run the cell twice
                if self._prompt(number) != before or time.monotonic() > deadline:
                    break
                self.page.wait_for_timeout(100)
            if time.monotonic() > deadline:
                raise TimeoutError(f"cell {number} did not start")

    def wait(self, number: int, timeout: float = 120.0) -> None:
        """Wait for the end of a cell that was started."""
        deadline = time.monotonic() + timeout
        while not re.fullmatch(r"\[\d+\]:?", prompt := self._prompt(number)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"cell {number} did not end: {prompt}")
            self.page.wait_for_timeout(100)

    def html(self, number: int) -> str:
        """The inner HTML of a cell's outputs as the browser has them."""
        return str(self.cell(number).locator(".jp-OutputArea").first.inner_html())

    def save(self, path: Path, timeout: float = 30.0) -> dict[str, Any]:
        """Save the open notebook; its content as written to ``path``."""
        before = path.stat().st_mtime_ns
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+s")
        deadline = time.monotonic() + timeout
        while path.stat().st_mtime_ns == before:
            if time.monotonic() > deadline:
                raise TimeoutError(f"JupyterLab did not save {path.name}")
            self.page.wait_for_timeout(200)
        while True:
            self.page.wait_for_timeout(300)
            try:
                saved: dict[str, Any] = json.loads(path.read_text())
            except json.JSONDecodeError:  # it is being written
                if time.monotonic() > deadline:
                    raise
            else:
                return saved

    def screenshot(self, path: Path) -> Path:
        self.page.screenshot(path=path)
        return path

    def close(self) -> None:
        """Stop the browser, the server and its kernels."""
        if self._browser is not None:
            self._browser.close()
        if self._playwright is not None:
            self._playwright.stop()
        if self._server is not None and self._server.poll() is None:
            self._server.terminate()
            try:
                self._server.wait(20)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait(10)
