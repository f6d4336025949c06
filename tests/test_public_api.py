"""What the package shows, and what importing it does."""

import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import sockserve

MODULES = sorted(
    info.name for info in pkgutil.walk_packages(sockserve.__path__, "sockserve.") if "__main__" not in info.name
)


@pytest.mark.parametrize("name", ["sockserve", *MODULES])
def test_all_names_what_is_there(name: str) -> None:
    """Every module says what is public, and has it; public things have a docstring."""
    module = importlib.import_module(name)
    assert module.__doc__
    for public in getattr(module, "__all__", ()):
        found = getattr(module, public)
        ours = getattr(found, "__module__", "").startswith("sockserve")
        if ours and (inspect.isclass(found) or inspect.isfunction(found)):
            assert found.__doc__, public


def test_all_is_sorted_and_complete() -> None:
    """Nothing public is imported into the package without being named."""
    shown = {
        name for name, value in vars(sockserve).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert shown == set(sockserve.__all__)
    assert list(sockserve.__all__) == sorted(sockserve.__all__)


#: Where a signature may say Any: the server that a handler is called with, and servers, listeners and
#: handlers of whatever request and address, since their type variables are invariant.
_ANY = re.compile(
    r"(?:collections\.abc\.)?Callable\[\[~R, ~A, typing\.Any\], object\]"
    r"|(?:Server|Listener|MessageHandler)\[typing\.Any(?:, typing\.Any)?\]"
)
#: The documented types of the standard library's module are those of typeshed.
_LIKE_TYPESHED = "sockserve.socketserver"


def _annotations(found: object) -> Iterator[tuple[str, object]]:
    """Go through what a public thing is annotated with: itself, its public attributes and methods."""
    if inspect.isfunction(found):
        yield from found.__annotations__.items()
    elif inspect.isclass(found):
        yield from ((name, said) for name, said in inspect.get_annotations(found).items() if name[0] != "_")
        for name, value in vars(found).items():
            method = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            if inspect.isfunction(method) and (name[0] != "_" or name in {"__init__", "__call__", "__new__"}):
                yield from ((f"{name}: {each}", said) for each, said in method.__annotations__.items())
    else:  # an alias of a type, or a value, which has none
        yield "", found


def test_nothing_public_says_any() -> None:
    """But where it is meant: what is passed in and out has a type."""
    found, meant = [], set()
    for module in ("sockserve", *MODULES):
        if "._" in module or module == _LIKE_TYPESHED:
            continue
        for public in getattr(importlib.import_module(module), "__all__", ()):
            for where, said in _annotations(getattr(importlib.import_module(module), public)):
                text = said if isinstance(said, str) else repr(said)
                meant |= set(_ANY.findall(text))
                if re.search(r"\bAny\b", _ANY.sub("", text)):
                    found.append(f"{module}.{public} ({where}): {text}")
    assert found == []
    assert meant


SURFACE = {
    "TcpTransport": "(address, *, backlog, reuse_address, reuse_port, nodelay, keepalive, configure)",
    "UdpTransport": "(address, *, max_packet_size, reuse_port, configure)",
    "UnixStreamTransport": "(path, *, mode, owner, group, backlog, configure)",
    "UnixDatagramTransport": "(path, *, mode, owner, group, max_packet_size, configure)",
    "AdoptedTransport": "(sock_or_fd, *, configure)",
    "SyncStrategy": "()",
    "ThreadStrategy": "(*, daemon, block_on_close)",
    "ThreadPoolStrategy": "(*, workers, daemon)",
    "ForkStrategy": "(*, max_children, block_on_close)",
    "SelectorStrategy": "(*, slow)",
    "PreforkStrategy": "(inner, *, workers, max_requests, reuse_port, grace)",
    "ExecutorStrategy": "(executor, *, outstanding)",
    "Lines": "(*, max_length)",
    "Delimited": "(delimiter, *, max_length)",
    "LengthPrefixed": "(format, *, max_length)",
    "Chunks": "()",
    "MessageHandler": "(request, client_address, server)",
    "alongside": "(function, arguments)",
    "cooperative": "(sock)",
    "sleep": "(seconds)",
    "Lock": "()",
    "Event": "()",
    "Queue": "(maxsize)",
    "TlsTransport": "(inner, context)",
    "Limits": "(*, connections, per_peer, overload)",
    "ProxyProtocolTransport": "(inner, trusted, *, untrusted)",
    "proxied": "()",
    "Deadlines": "(*, handshake, idle, total)",
    "start_tls": "(sock, context)",
    "serve": "(servers, *, beside)",
    "Server": "(transport, strategy, handler, *, limits, deadlines, verify, observer, timeout, service_actions)",
}


@pytest.mark.parametrize("name", SURFACE)
def test_the_surface_is_as_designed(name: str) -> None:
    """Names and order of the arguments."""
    found: Any = getattr(sockserve, name)
    parameters = inspect.signature(found).parameters.values()
    shown, starred = [], False
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            shown.append("*")
            starred = True
        shown.append(parameter.name)
    assert f"({', '.join(shown)})" == SURFACE[name]


def test_the_defaults_are_as_designed() -> None:
    """Of what a table needs, and TLS."""
    assert sockserve.Deadlines() == sockserve.Deadlines(handshake=10.0, idle=None, total=None)
    assert sockserve.Limits() == sockserve.Limits(connections=None, per_peer=None, overload="wait")
    assert sockserve.SelectorStrategy() == sockserve.SelectorStrategy(slow=0.1)
    assert sockserve.Queue[int]().maxsize == 0
    assert sockserve.Lines() == sockserve.Lines(max_length=65536)
    assert sockserve.Delimited(b"-") == sockserve.Delimited(b"-", max_length=65536)
    assert sockserve.LengthPrefixed() == sockserve.LengthPrefixed("!I", max_length=2**20)
    assert sockserve.MessageHandler.framing is None
    assert issubclass(sockserve.RequestAborted, ConnectionAbortedError)
    assert issubclass(sockserve.RequestAborted, sockserve.SockserveError)


_IMPORT = """
import sys, threading, os
before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
import sockserve
heavy = {"asyncio", "ssl", "multiprocessing", "concurrent.futures", "greenlet", "socketserver"}
unwanted = heavy & set(sys.modules)
assert not unwanted, unwanted
assert threading.active_count() == 1
assert before == (set(os.listdir("/proc/self/fd")) if before else before)
# What a table gives, and where there is none: plain things, and still nothing loaded.
import socket
sock = socket.socket()
assert sockserve.cooperative(sock) is sock
sock.close()
sockserve.sleep(0)
with sockserve.Lock():
    sockserve.Event().set()
sockserve.Queue().put(1)
assert "greenlet" not in sys.modules
import atexit
assert atexit._ncallbacks() <= int(sys.argv[1]), atexit._ncallbacks()
"""


def test_importing_has_no_effects() -> None:
    """No thread, no descriptor, no at-exit hook of its own, no heavy module."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    # the standard library's own, from what we import: logging and weakref
    count = subprocess.run(
        [sys.executable, "-c", "import logging, weakref, attrs, atexit; print(atexit._ncallbacks())"],
        capture_output=True,
        check=True,
        env=plain,
    )
    subprocess.run([sys.executable, "-c", _IMPORT, count.stdout.decode().strip()], check=True, env=plain)


_IMPORT_DROP_IN = """
import sys, threading
import sockserve
assert not any(name.startswith("sockserve.socketserver") for name in sys.modules)
import sockserve.socketserver
assert "socketserver" not in sys.modules
assert threading.active_count() == 1
"""


def test_the_drop_in_module_stands_alone() -> None:
    """The package does not load it, and it does not load what it stands for."""
    subprocess.run([sys.executable, "-c", _IMPORT_DROP_IN], check=True)


def test_the_surface_of_the_drop_in_module() -> None:
    """Everything that it shows has its real place, and nothing public is there by accident."""
    from sockserve import socketserver

    shown = {
        name
        for name, value in vars(socketserver).items()
        if not name.startswith("_") and name != "time" and not inspect.ismodule(value)
    }
    assert shown == set(socketserver.__all__)
    assert len(socketserver.__all__) == len(shown)
    assert str(inspect.signature(socketserver.mixin_for)).startswith("(strategy: ")
    assert list(inspect.signature(socketserver.mixin_for).parameters) == ["strategy", "name", "names"]
    for name in shown:
        found = getattr(socketserver, name)
        assert found.__module__.startswith("sockserve.socketserver.")


def test_the_package_is_typed() -> None:
    """py.typed is in place."""
    from importlib.resources import files

    assert (files("sockserve") / "py.typed").is_file()
