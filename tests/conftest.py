"""What every test shares: the axes of the matrix, and the check that nothing is left behind."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import docs_kit
import sockserve.abc
from kinds import IN_LOOP, LEVEL, SHARED, STRATEGIES, SUPERVISED, TRANSPORTS, Kind
from recorder import FAILSAFE, Recorder
from sockserve._loop import pollers
from sockserve.testing import Gate
from tls_kit import Relay, relays

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md


# A shell that starts the suite in the background has it ignore SIGINT, and so would every program that it starts:
# among them are some that test what Ctrl-C does.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No test leaves a thread, a descriptor or a child process."""
    threads, descriptors = _threads(), _descriptors()
    yield
    gc.collect()
    for thread in _threads() - threads:
        if thread.daemon and thread.name == "sockserve-request":
            thread.join(FAILSAFE)  # nobody waits for daemonic ones, by their definition: but they do end
    assert _threads() - threads == set(), "threads left behind"
    assert _descriptors() - descriptors == set(), "descriptors left behind"
    with pytest.raises(ChildProcessError):  # this process has no child at all
        os.waitpid(-1, os.WNOHANG)
    gc.freeze()  # what is alive now need not be looked through after each later test: half of the suite's time


def _threads() -> set[threading.Thread]:
    """Return those that run: before 3.13, one started without `threading` stays listed when it has ended."""
    running = sys._current_frames()
    return {thread for thread in threading.enumerate() if thread.ident in running}


def _descriptors() -> set[tuple[str, str]]:
    found = set()
    for name in os.listdir(_DESCRIPTORS):
        try:
            found.add((name, os.readlink(f"{_DESCRIPTORS}/{name}")))
        except OSError:
            pass  # the listing's own; and where they are no links
    return found


_DESCRIPTORS = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"


@pytest.fixture(scope="session")
def tls_relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A process that speaks TLS for the clients of the matrix."""
    relay = Relay(tmp_path_factory.mktemp("relay"))
    relays.append(relay)
    yield
    relays.remove(relay)
    relay.close()


@pytest.fixture(params=[pytest.param(kind, id=kind.name) for kind in TRANSPORTS])
def kind(request: pytest.FixtureRequest, tls_relay: None) -> Kind:
    """Each transport, and how to speak to it."""
    chosen: Kind = request.param
    return chosen


@pytest.fixture(params=[pytest.param(kind, id=kind.name) for kind in TRANSPORTS if kind.stream])
def stream_kind(request: pytest.FixtureRequest, tls_relay: None) -> Kind:
    """Each transport of connections."""
    chosen: Kind = request.param
    return chosen


@pytest.fixture(params=[pytest.param(kind, id=kind.name) for kind in TRANSPORTS if not kind.stream])
def datagram_kind(request: pytest.FixtureRequest) -> Kind:
    """Each transport of datagrams."""
    chosen: Kind = request.param
    return chosen


def _strategy(name: str, monkeypatch: pytest.MonkeyPatch) -> sockserve.abc.Strategy:
    if name in LEVEL:
        monkeypatch.setattr(pollers, "default_poller", pollers.SelectorsPoller)
    return (STRATEGIES | SUPERVISED)[name]()


@pytest.fixture(params=[*STRATEGIES, "prefork-sync"])
def strategy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> sockserve.abc.Strategy:
    """Each strategy."""
    return _strategy(request.param, monkeypatch)


@pytest.fixture(params=list(STRATEGIES))
def accepting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> sockserve.abc.Strategy:
    """Each strategy under which the process that serves accepts."""
    return _strategy(request.param, monkeypatch)


@pytest.fixture(params=[*(name for name in STRATEGIES if name != "sync"), "prefork-thread"])
def concurrent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> sockserve.abc.Strategy:
    """Each strategy that serves several requests at a time."""
    return _strategy(request.param, monkeypatch)


@pytest.fixture(params=[*(name for name in STRATEGIES if name != "sync" and name not in IN_LOOP), "prefork-sync"])
def outliving(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> sockserve.abc.Strategy:
    """Each strategy whose requests go on when `serve_forever` has left."""
    return _strategy(request.param, monkeypatch)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what tells nothing new: see `kinds.SUPERVISED`."""
    left_out = [item for item in items if isinstance(item, pytest.Function) and not _tells_something(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _tells_something(item: pytest.Function) -> bool:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    names = {str(parameters.get(name)) for name in _STRATEGIES}
    if item.path.name == "test_tls_clients.py" and "fork" in names:
        return False  # a child forked while subprocess starts the client keeps the pipe on which that waits
    if not any(str(parameters.get(name, "")).startswith("prefork") for name in _STRATEGIES):
        return True
    if item.path.name in {"test_tls.py", "test_tls_clients.py"}:
        return False  # one test is of workers: others would ask while the last one is forked, beside OpenSSL
    kinds = [parameters[name] for name in _KINDS if name in parameters]
    form = parameters.get("form", "class")
    if item.originalname == "test_answers_in_order" and form == "class":
        return True  # of each transport, one law
    return form in {"class", "messages"} and all(isinstance(kind, Kind) and kind.name in SHARED for kind in kinds)


_STRATEGIES = ("strategy", "concurrent", "outliving")
_KINDS = ("kind", "stream_kind", "datagram_kind")


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """An observer that hears forked children too."""
    with Recorder() as made:
        yield made


@pytest.fixture
def gate() -> Iterator[Gate]:
    """What holds a handler until the test lets it go."""
    made = Gate()
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose path leaves room for a Unix socket's name."""
    return tmp_path_factory.mktemp("s")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much of the documentation was run."""
    if said := docs_kit.counted():
        terminalreporter.write_line(said)
