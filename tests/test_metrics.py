"""What is told to Prometheus, by its client's registry and as text."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kinds import EchoLines, echo
from recorder import FAILSAFE
from sockserve import (
    InetAddress,
    OptionError,
    OptionTypeError,
    SelectorStrategy,
    Server,
    SyncStrategy,
    TcpTransport,
    ThreadPoolStrategy,
    UdpTransport,
    UnixAddress,
    UnixDatagramTransport,
    UnixStreamTransport,
)
from sockserve._text import printable
from sockserve.metrics import ServerCollector, metrics_text
from sockserve.metrics._shown import address_text

TCP = TcpTransport(("127.0.0.1", 0))


def ask(server: Server[Any, Any]) -> None:
    """Send a line over a connection of its own, and await the end."""
    with socket.create_connection(server.address, FAILSAFE) as client:
        client.sendall(b"x\n")
        assert client.recv(10) == b"x\n"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(10) == b""


def read(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Read the text with the parser of Prometheus's own client."""
    parser = pytest.importorskip("prometheus_client.parser", reason="needs prometheus-client")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    """Return the one sample of this name that has these labels."""
    (number,) = [
        number
        for (each, has), number in found.items()
        if each == f"sockserve_{name}" and labels.items() <= dict(has).items()
    ]
    return number


def test_the_text_tells_what_stats_tell() -> None:
    """Every count, the histogram's total among them, under the server's address."""
    refusing = False

    def verify(request: Any, client_address: Any) -> bool:
        return not refusing

    server = Server(TCP, ThreadPoolStrategy(workers=1), EchoLines, verify=verify)
    assert metrics_text(server) == ""  # it has not been opened
    with server.running():
        for _ in range(2):
            ask(server)
        with socket.create_connection(server.address, FAILSAFE) as client:
            client.sendall(b"x\n")
            assert client.recv(10) == b"x\n"
            found = read(metrics_text(server))
        refusing = True
        with socket.create_connection(server.address, FAILSAFE) as client:
            assert client.recv(10) == b""
        name = f"tcp://127.0.0.1:{server.address.port}"
    assert value(found, "requests_accepted_total", server=name) == 3
    assert value(found, "requests_active") == 1
    assert value(found, "requests_finished_total") == 2
    assert value(found, "request_duration_seconds_count") == 2
    assert value(found, "request_duration_seconds_bucket", le="+Inf") == 2
    assert 0 < value(found, "request_duration_seconds_sum") < FAILSAFE
    assert value(found, "accept_pauses_total") == 0
    assert value(found, "full") == 1
    assert value(found, "queue_length") == 0
    assert [value(found, "state", state=state) for state in ("listening", "serving")] == [0, 1]
    assert (
        value(found, "info", transport="TcpTransport", strategy="ThreadPoolStrategy", handler="kinds.EchoLines")
        == 1
    )
    assert not any(each.startswith(("sockserve_turn", "sockserve_datagrams")) for each, _ in found)
    after = read(metrics_text(server))
    assert value(after, "requests_refused_total") == 1
    assert value(after, "events_total", event="Refused") == 1
    assert value(after, "state", state="closed") == 1


def test_a_histogram_counts_all_that_took_no_longer() -> None:
    """Each class includes those below it, and the bounds are read as numbers."""
    server = Server(TCP, SelectorStrategy(), EchoLines)
    for seconds in (0.0002, 0.003, 1000.0):
        server._core.measure().timed(seconds)
    with server:
        found = read(metrics_text(server))
    counts = {
        float(dict(labels)["le"]): number
        for (name, labels), number in found.items()
        if name == "sockserve_request_duration_seconds_bucket"
    }
    assert [counts[bound] for bound in (0.0001, 0.00025, 0.0025, 0.005, 300.0, float("inf"))] == [0, 1, 1, 2, 2, 3]
    assert list(counts.values()) == sorted(counts.values())


def test_turns_are_told_where_there_are_any() -> None:
    """Of the table, once it has been at work."""
    with Server(TCP, SelectorStrategy(), EchoLines).running() as server:
        server.measure()
        ask(server)
        ask(server)  # a turn is counted when it is over: the first one's by now
        assert value(read(metrics_text(server)), "turn_duration_seconds_count") >= 1


def test_the_registry_of_prometheus_gets_what_the_text_has() -> None:
    """The same samples, from a collector that is asked anew each time."""
    client = pytest.importorskip("prometheus_client", reason="needs prometheus-client")
    registry = client.CollectorRegistry(auto_describe=True)
    table = Server(TCP, SelectorStrategy(), EchoLines)
    datagrams: Server[Any, Any] = Server(UdpTransport(("127.0.0.1", 0)), SyncStrategy(), echo)
    registry.register(ServerCollector([table, datagrams]))
    with table.running(), datagrams:
        ask(table)
        name = f"tcp://127.0.0.1:{table.address.port}"
        assert value(read(client.generate_latest(registry).decode()), "datagrams_dropped_total") == 0
    found = read(client.generate_latest(registry).decode())
    assert value(found, "requests_finished_total", server=name) == 1
    assert found == read(metrics_text([table, datagrams]))


def test_names_tell_servers_apart() -> None:
    """One's own, or where each listens; never the same twice."""
    shared = Server(TcpTransport(("127.0.0.1", 0), reuse_port=True), SyncStrategy(), echo)
    with shared:
        again = Server(TcpTransport(shared.address, reuse_port=True), SyncStrategy(), echo)
        with again:
            name = f"tcp://127.0.0.1:{shared.address.port}"
            assert names([shared, again]) == [name, f"{name}#2"]
            assert names({"one": shared, 'odd "name"\\ \n': again}) == ['odd "name"\\ \n', "one"]


def names(servers: Any) -> list[str]:
    found = read(metrics_text(servers))
    return sorted(dict(labels)["server"] for name, labels in found if name == "sockserve_full")


def test_a_name_says_how_clients_come(folder: Path) -> None:
    """As a URL does."""
    path, other = str(folder / "a"), str(folder / "b")
    with (
        Server(UnixStreamTransport(path), SyncStrategy(), echo) as one,
        Server(UnixDatagramTransport(other), SyncStrategy(), echo) as two,
        Server(TcpTransport(("::1", 0)), SyncStrategy(), echo) as three,
    ):
        found = names([one, two, three])
        assert found == [f"tcp://[::1]:{three.address.port}", f"unix-datagram://{other}", f"unix://{path}"]


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (InetAddress("127.0.0.1", 80), "127.0.0.1:80"),
        (InetAddress("fe80::1%eth0", 80), "[fe80::1%eth0]:80"),
        (UnixAddress("\0name"), "@name"),
        (UnixAddress(""), "unnamed"),
        (UnixAddress("unix:", pid=7, uid=0, gid=0), "unix: pid 7, uid 0"),
        (UnixAddress("unix:"), "unix:"),
        (UnixAddress("/a\n/b\udcff\u202e"), r"/a\n/b\udcff\u202e"),
        (b"raw", "b'raw'"),
    ],
)
def test_addresses_as_people_write_them(address: object, text: str) -> None:
    """And nothing in them that is not seen."""
    assert address_text(address) == text
    assert printable(text) is text


@pytest.mark.parametrize(
    ("servers", "error", "said"),
    [
        ([], OptionError, "at least one server"),
        ({}, OptionError, "at least one server"),
        (None, OptionTypeError, "there is None"),
        ([TCP], OptionTypeError, "there is TcpTransport"),
        ({1: Server(TCP, SyncStrategy(), echo)}, OptionTypeError, "dict of names"),
    ],
)
def test_what_is_no_server_is_refused(servers: Any, error: type[Exception], said: str) -> None:
    """At once, by who was asked."""
    with pytest.raises(error, match=said):
        metrics_text(servers)


_WITHOUT = """
import sys
sys.modules["prometheus_client"] = sys.modules["prometheus_client.core"] = None
from sockserve import CompositionError, Server, SyncStrategy, TcpTransport
from sockserve.metrics import ServerCollector, metrics_text
server = Server(TcpTransport(("127.0.0.1", 0)), SyncStrategy(), print)
with server:
    assert "sockserve_requests_accepted_total" in metrics_text(server)
    try:
        ServerCollector(server)
    except CompositionError as error:
        assert "sockserve[prometheus]" in str(error)
    else:
        raise AssertionError
"""


def test_the_text_needs_no_prometheus_client() -> None:
    """The collector does, and says so."""
    subprocess.run([sys.executable, "-c", _WITHOUT], check=True)
