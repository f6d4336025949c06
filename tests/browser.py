"""A headless Chromium, driven by chromedriver: as much of WebDriver (W3C) as the tests of a page need."""

import base64
import http.client
import json
import re
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

#: Seconds until a browser that does not come, or does not answer, is given up: a failsafe, never a wait.
PATIENCE = 30.0


class Browser:
    """
    One window. Skips the test where there is no Chromium (Debian: chromium, chromium-driver).

    Args:
        profile: An empty folder for what it writes.
    """

    def __init__(self, profile: Path) -> None:
        driver, chromium = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
        if driver is None or chromium is None:
            pytest.skip("needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)")
        self._driver = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._connection: http.client.HTTPConnection | None = None
        self._session = ""
        try:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port(), timeout=PATIENCE)
            self._session = self._begin(chromium, profile)
        except BaseException:
            self.close()
            raise

    def _port(self) -> int:
        assert self._driver.stdout is not None
        for line in self._driver.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                return int(found[1])
        raise AssertionError("chromedriver has not started")

    def _begin(self, chromium: str, profile: Path) -> str:
        arguments = [
            "--headless=new",
            "--no-sandbox",  # which needs rights that a container does not have; it sees our own page alone
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
        ]
        wanted = {
            "goog:chromeOptions": {"binary": chromium, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        found: dict[str, str] = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        return f"/session/{found['sessionId']}"

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        assert self._connection is not None
        self._connection.request(method, path, None if body is None else json.dumps(body))
        answer = json.loads(self._connection.getresponse().read())["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise AssertionError(f"{answer['error']}: {answer['message']}")
        return answer

    def open(self, url: str) -> None:
        """Go to *url*, and wait until it is loaded."""
        self._ask("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: object) -> Any:
        """Run the body of a function in the page; return what it returns."""
        return self._ask("POST", f"{self._session}/execute/sync", {"script": script, "args": arguments})

    def wait(self, condition: str, *arguments: object) -> Any:
        """Wait until an expression over the page is true, looked at whenever the page changes; return it."""
        script = """
            const done = arguments[arguments.length - 1];
            const look = () => {
                const found = (%s);
                if (found) { watch.disconnect(); done(found); }
                return found;
            };
            const watch = new MutationObserver(look);
            const all = {childList: true, subtree: true, characterData: true, attributes: true};
            if (!look()) watch.observe(document, all);
        """
        body = {"script": script % condition, "args": arguments}
        return self._ask("POST", f"{self._session}/execute/async", body)

    def command(self, name: str, **parameters: object) -> Any:
        """Send a command of the DevTools protocol."""
        return self._ask("POST", f"{self._session}/goog/cdp/execute", {"cmd": name, "params": parameters})

    def look_like(self, width: int, height: int, scheme: str) -> None:
        """Be a window of so many pixels, whose user prefers the "light" or the "dark" *scheme*."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.command("Emulation.setEmulatedMedia", features=features)

    def screenshot(self) -> bytes:
        """Return what is seen, as PNG."""
        return base64.b64decode(self.command("Page.captureScreenshot")["data"])

    def complaints(self) -> list[str]:
        """Return what the page and the browser have logged since the last call, warnings and errors."""
        found = self._ask("POST", f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in found if entry["level"] in {"WARNING", "SEVERE"}]

    def close(self) -> None:
        """End it, and its driver."""
        try:
            if self._session:
                self._ask("DELETE", self._session)
        finally:
            if self._connection is not None:
                self._connection.close()
            self._driver.terminate()
            self._driver.wait(PATIENCE)
            assert self._driver.stdout is not None
            self._driver.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
