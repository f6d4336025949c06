"""The servers of the standard library, on sockserve's classes, called by their real clients."""

import contextlib
import subprocess
import sys
import urllib.request
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder import FAILSAFE

PROGRAM = Path(__file__).with_name("shim_servers.py")


@contextlib.contextmanager
def running(kind: str, mixin: str, how: str) -> Iterator[tuple[int, int]]:
    """Run the server; its process id and its port."""
    strict = ["-W", "error", "-W", "ignore::DeprecationWarning"]
    with subprocess.Popen(
        [sys.executable, *strict, PROGRAM, kind, mixin, how], stdin=-1, stdout=-1, stderr=-1, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.stdin.close()
            said = process.stderr.read()
            assert (process.wait(FAILSAFE), said) == (0, "")


def ask(kind: str, port: int) -> str:
    """Ask as a client of that kind does."""
    url = f"http://127.0.0.1:{port}/"
    if kind == "xmlrpc":
        with xmlrpc.client.ServerProxy(url) as proxy:
            answer = proxy.where()
        assert isinstance(answer, str)
        return answer
    with urllib.request.urlopen(url, timeout=FAILSAFE) as response:
        text: bytes = response.read()
    return text.decode()


@pytest.mark.parametrize("how", ["whole", "mixin"])
@pytest.mark.parametrize("mixin", ["ThreadingMixIn", "ForkingMixIn", "ThreadPoolMixIn", "SelectorMixIn"])
@pytest.mark.parametrize("kind", ["http", "xmlrpc", "wsgi"])
def test_a_server_of_the_standard_library(kind: str, mixin: str, how: str) -> None:
    """It answers, in a thread or in another process."""
    with running(kind, mixin, how) as (pid, port):
        for _ in range(3):
            root, where, main = ask(kind, port).split()
            assert root == ("sockserve.socketserver._base" if how == "whole" else "socketserver")
            assert (int(where) != pid) == (mixin == "ForkingMixIn")
            assert main == str(mixin == "ForkingMixIn")
