"""The status page as people see it: in a real browser, that runs its scripts under its own restrictions."""

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from browser import Browser
from kinds import AF_UNIX, echo
from recorder import FAILSAFE, Recorder
from sockserve import (
    PreforkStrategy,
    SelectorStrategy,
    Server,
    StreamRequestHandler,
    TcpTransport,
    ThreadStrategy,
    UnixStreamTransport,
    serve,
)
from sockserve.events import WorkerStarted
from sockserve.status import status_server

#: Chromium needs a second to begin, and some more on a machine that has much else to do.
pytestmark = pytest.mark.timeout(120)

HOSTILE = "<img src=x onerror=alert(1)>\"'&\u202e"


class Patient(StreamRequestHandler):
    timeout = 3600

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


def test_the_page_shows_what_servers_are_doing(folder: Path, recorder: Recorder) -> None:
    """
    Live, with names that others chose as text, in both schemes, as wide as the window, without a complaint of the
    browser; and what it shows when the server drains, and has gone.
    """
    table = Server(TcpTransport(("127.0.0.1", 0)), SelectorStrategy(), Patient)
    threads: Server[Any, Any] = Server(UnixStreamTransport(f"{folder}/{HOSTILE}"), ThreadStrategy(), echo)
    workers = Server(TcpTransport(("127.0.0.1", 0)), PreforkStrategy(workers=1), Patient, observer=recorder)
    page = status_server([table, threads, workers])
    with Browser(folder / "profile") as browser, table, threads, workers, page:
        thread = threading.Thread(target=serve, args=(table, threads, workers), kwargs={"beside": [page]})
        thread.start()
        try:
            recorder.wait_for(WorkerStarted)  # it has none of the sockets that are made from here on
            with socket.create_connection(table.address, FAILSAFE) as client, socket.socket(AF_UNIX) as other:
                client.sendall(b"x\n")
                assert client.recv(10) == b"x\n"
                other.bind(f"{folder}/peer{HOSTILE}")
                other.connect(f"{folder}/{HOSTILE}")
                browser.look_like(400, 800, "dark")
                browser.open(f"http://127.0.0.1:{page.address.port}/")
                see_both_servers(browser, client.getsockname()[1], folder)
                see_it_fit(browser)
                client.sendall(b"half a line")  # else there is nothing to wait for
                table.request_stop(FAILSAFE)
                assert browser.wait("document.querySelector('#health').textContent === 'draining'")
                assert browser.complaints() == []
        finally:
            for server in (table, threads, workers):
                server.shutdown(FAILSAFE)
            thread.join(FAILSAFE)
        page.server_close()
        assert browser.wait(
            "!document.querySelector('#trouble').hidden && document.querySelector('.stale .server')"
        )


def see_both_servers(browser: Browser, port: int, folder: Path) -> None:
    assert browser.wait("document.querySelectorAll('.server tbody tr').length === 3")
    shown = browser.run(
        "return [...document.querySelectorAll('.server')].map((server) => ({"
        "  name: server.querySelector('h2').textContent,"
        "  active: server.querySelector('.tiles dd').textContent,"
        "  row: [...server.querySelectorAll('.block:nth-last-of-type(2) td')].map((cell) => cell.textContent),"
        "}))"
    )
    assert [server["active"] for server in shown] == ["1", "1", "0"]
    peer, state, waits, _, left = shown[0]["row"]
    assert (peer, state, waits) == (f"127.0.0.1:{port}", "reading", "data")
    assert left.startswith("59 min ")
    assert shown[0]["name"].startswith("tcp://127.0.0.1:")
    escaped = HOSTILE.replace("\u202e", "\\u202e")
    assert shown[1]["name"] == f"unix://{folder}/{escaped}"
    assert shown[1]["row"][:3] == [f"{folder}/peer{escaped}", "running", ""]
    cells = "document.querySelectorAll('.server:nth-of-type(3) tbody tr td')"
    assert browser.wait(f"{cells}.length === 7 && {cells}[2].textContent === 'serving'")
    assert browser.run(f"return [{cells}[0].textContent, {cells}[6].textContent]") == ["0", "0"]
    assert browser.run("return document.querySelectorAll('img[src=x]').length") == 0
    assert browser.wait("/^[0-9.]+$/.test(document.querySelectorAll('.tiles dd')[1].textContent)")  # a second look


def see_it_fit(browser: Browser) -> None:
    colours = set()
    for width in (400, 1280):
        for scheme in ("light", "dark"):
            browser.look_like(width, 800, scheme)
            shown = browser.run(
                "return [document.documentElement.scrollWidth, getComputedStyle(document.body).backgroundColor]"
            )
            assert shown[0] == width
            colours.add(shown[1])
    assert len(colours) == 2
    assert browser.screenshot().startswith(b"\x89PNG")
