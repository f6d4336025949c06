"""The files of Unix sockets: who may take a path, and who removes it."""

import fcntl
import os
import socket
import stat
import sys
import threading
from pathlib import Path

import pytest

from sockserve import (
    CompositionError,
    ListenError,
    Server,
    SyncStrategy,
    UnixDatagramTransport,
    UnixStreamTransport,
)
from sockserve.transports import _unix_path

assert sys.platform != "win32"  # the suite needs POSIX; see CONTRIBUTING.md


TRANSPORTS = (UnixStreamTransport, UnixDatagramTransport)
AnyTransport = type[UnixStreamTransport] | type[UnixDatagramTransport]


@pytest.fixture(params=TRANSPORTS, ids=["stream", "datagram"])
def transport(request: pytest.FixtureRequest) -> AnyTransport:
    """Both kinds."""
    chosen: AnyTransport = request.param
    return chosen


def test_the_file_is_made_and_removed(transport: AnyTransport, folder: Path) -> None:
    """It exists while the server is open, and nothing is left in the folder, no lock either."""
    path = folder / "s"
    listener = transport(path).listen()
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    assert os.listdir(folder) == ["s"]
    assert listener.address == str(path)
    listener.close()
    listener.close()
    assert os.listdir(folder) == []


def test_a_stale_file_is_replaced(transport: AnyTransport, folder: Path) -> None:
    """The socket of a server that is gone is in nobody's way."""
    kind = socket.SOCK_STREAM if transport is UnixStreamTransport else socket.SOCK_DGRAM
    with socket.socket(socket.AF_UNIX, kind) as gone:
        gone.bind(str(folder / "s"))
    transport(folder / "s").listen().close()
    assert os.listdir(folder) == []


def test_a_live_server_is_left_alone(transport: AnyTransport, folder: Path) -> None:
    """The second gets an error that names the path; the first keeps its file."""
    first = transport(folder / "s").listen()
    with pytest.raises(ListenError, match="a server that lives listens there") as caught:
        transport(folder / "s").listen()
    assert caught.value.address == str(folder / "s")
    assert os.path.exists(folder / "s")
    first.close()


def test_a_live_server_with_a_full_backlog_is_left_alone(folder: Path) -> None:
    """It answers EAGAIN, which is not the refusal of a stale file."""
    first = UnixStreamTransport(folder / "s", backlog=0).listen()
    clients = []
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        clients.append(client)
        if client.connect_ex(str(folder / "s")):
            break
    with pytest.raises(ListenError, match="a server that lives"):
        UnixStreamTransport(folder / "s").listen()
    for client in clients:
        client.close()
    first.close()


def test_a_live_server_of_the_other_kind_is_left_alone(folder: Path) -> None:
    """EPROTOTYPE means that somebody lives there."""
    first = UnixDatagramTransport(folder / "s").listen()
    with pytest.raises(ListenError, match="a server that lives"):
        UnixStreamTransport(folder / "s").listen()
    first.close()


def test_a_file_of_another_kind_is_left_alone(transport: AnyTransport, folder: Path) -> None:
    """Neither a file nor a folder nor a link is ever removed."""
    (folder / "file").write_text("precious")
    (folder / "link").symlink_to("nowhere")
    (folder / "folder").mkdir()
    for name in ("file", "link", "folder"):
        with pytest.raises(ListenError, match="not a socket"):
            transport(folder / name).listen()
    assert (folder / "file").read_text() == "precious"
    assert sorted(os.listdir(folder)) == ["file", "folder", "link"]


def test_only_our_own_file_is_removed(transport: AnyTransport, folder: Path) -> None:
    """What another has put in its place stays."""
    listener = transport(folder / "s").listen()
    os.unlink(folder / "s")
    other = transport(folder / "s").listen()
    listener.close()
    assert os.path.exists(folder / "s")
    other.close()
    listener = transport(folder / "s").listen()
    os.unlink(folder / "s")
    listener.close()  # gone already: no error


def test_a_folder_that_is_gone_is_no_error_at_close(transport: AnyTransport, folder: Path) -> None:
    """Nothing is left to remove."""
    (folder / "sub").mkdir()
    listener = transport(folder / "sub" / "s").listen()
    os.unlink(folder / "sub" / "s")
    (folder / "sub").rmdir()
    listener.close()


def test_another_process_does_not_remove_it(transport: AnyTransport, folder: Path) -> None:
    """A forked copy of the server closes its descriptor, not the parent's file."""
    listener = transport(folder / "s").listen()
    pid = os.fork()
    if pid == 0:
        listener.close()
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.path.exists(folder / "s")
    listener.close()


def test_a_relative_path_is_removed_after_a_change_of_folder(
    transport: AnyTransport, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon goes to / after it has bound."""
    monkeypatch.chdir(folder)
    listener = transport("s").listen()
    monkeypatch.chdir("/")
    listener.close()
    assert os.listdir(folder) == []


def test_many_that_start_at_once_leave_one_server(folder: Path) -> None:
    """One of ten wins the path, whose file was stale; the others are told so, and nobody removes the winner's."""
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(folder / "s"))
    barrier, won, lost = threading.Barrier(10, timeout=10), list[object](), list[ListenError]()

    def start() -> None:
        barrier.wait()
        try:
            won.append(UnixStreamTransport(folder / "s").listen())
        except ListenError as error:
            lost.append(error)

    threads = [threading.Thread(target=start) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 9)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / "s"))
    (winner,) = won
    winner.close()  # type: ignore[attr-defined]  # a listener
    assert os.listdir(folder) == []


def test_a_lock_that_its_holder_removed_is_made_anew(folder: Path) -> None:
    """Who waits for the lock gets a file that exists, not the one that was removed under it."""
    name = str(folder / "s.lock")
    held = _unix_path._lock(name)
    got = list[int]()
    waiter = threading.Thread(target=lambda: got.append(_unix_path._lock(name)))
    waiter.start()
    os.unlink(name)
    os.close(held)
    waiter.join(10)
    assert os.path.samestat(os.fstat(got[0]), os.stat(name))
    with open(name) as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(got[0])


def test_a_folder_that_does_not_exist_or_is_forbidden(transport: AnyTransport, folder: Path) -> None:
    """The error names the path and what to do."""
    with pytest.raises(ListenError, match="make it first"):
        transport(folder / "no" / "s").listen()
    with pytest.raises(ListenError, match="not a folder"):
        (folder / "file").touch()
        transport(folder / "file" / "s").listen()


def test_abstract_names_leave_no_file(transport: AnyTransport, folder: Path) -> None:
    """The name is free again when the server closes."""
    name = f"\0sockserve-{os.getpid()}-{transport.__name__}"
    for _ in range(2):
        listener = transport(name).listen()
        assert listener.address == name
        with pytest.raises(ListenError, match="in use"):
            transport(name).listen()
        listener.close()


def test_a_platform_without_unix_sockets(transport: AnyTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error comes when composed, and says what to use."""
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(CompositionError, match="no Unix sockets"):
        transport("/tmp/s")


def test_configure_is_called_before_bind(transport: AnyTransport, folder: Path) -> None:
    """What it raises closes the socket and reaches the caller."""
    seen = []

    def configure(sock: socket.socket) -> None:
        seen.append(sock.getsockname())
        raise LookupError("on purpose")

    with pytest.raises(LookupError):
        transport(folder / "s", configure=configure).listen()
    assert seen == [""]


def test_credentials_of_a_stream_client(folder: Path) -> None:
    """The client's address is never empty, and knows who called."""
    seen = []
    with Server(
        UnixStreamTransport(folder / "s"), SyncStrategy(), lambda request, address, server: seen.append(address)
    ) as server:
        for name in (None, str(folder / "c")):
            with socket.socket(socket.AF_UNIX) as client:
                if name:
                    client.bind(name)
                client.connect(server.address)
                server.handle_request()
    assert [str(address) for address in seen] == ["unix:", str(folder / "c")]
    assert {(address.pid, address.uid, address.gid) for address in seen} == {
        (os.getpid(), os.getuid(), os.getgid())
    }
