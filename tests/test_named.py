"""What people write for a part or a value, and what it comes to."""

import enum
import os
import socket
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sockserve
from sockserve import (
    AdoptedTransport,
    InetAddress,
    OptionError,
    TcpTransport,
    ThreadPoolStrategy,
    ThreadStrategy,
    UnixDatagramTransport,
    UnixStreamTransport,
    strategies,
    transports,
)
from sockserve._named import parts, registry, texts
from sockserve._named.references import resolve
from sockserve._named.registry import STRATEGIES, TRANSPORTS
from sockserve.abc import Strategy


class Colour(enum.Enum):
    RED = 1
    LIGHT_BLUE = 2


@attrs.frozen(kw_only=True)
class Many:
    """
    Has an option of every kind.

    Args:
        flag: A switch: on or off.
        level: How much,
            in a second line.

    Raises:
        OptionError: never: this is no argument.
    """

    flag: bool = False
    level: int = 0
    share: float = 0.0
    word: str = ""
    raw: bytes = b""
    path: Path = Path()
    maybe: float | None = 1.0
    overload: Literal["wait", "close"] | bytes = "wait"
    colour: Colour = Colour.RED
    pair: tuple[str, int] = ("", 0)
    address: InetAddress | None = None
    mode: int | None = attrs.field(default=None, metadata={"sockserve.text": lambda text: int(text, 8)})
    call: Callable[[int], int] | None = None
    inner: Strategy | None = None
    made: int = attrs.field(init=False, default=0)


VALUES = [
    *[("flag", text, True) for text in ("true", "Yes", "on", "1")],
    *[("flag", text, False) for text in ("false", "no", "OFF", "0")],
    ("level", "-3", -3),
    ("level", "0x10", 16),
    ("share", "1e-3", 0.001),
    ("word", "none", "none"),
    ("raw", r"busy\r\n\xff", b"busy\r\n\xff"),
    ("raw", "\u20ac", "\u20ac".encode()),
    ("path", "/tmp/x", Path("/tmp/x")),
    ("maybe", "none", None),
    ("maybe", "2", 2.0),
    ("overload", "close", "close"),
    ("overload", r"busy\n", b"busy\n"),
    ("colour", "light_blue", Colour.LIGHT_BLUE),
    ("pair", "[::1]:80", InetAddress("::1", 80)),
    ("address", ":80", InetAddress("", 80)),
    ("mode", "660", 0o660),
    ("mode", "None", None),
    ("call", "builtins:abs", abs),
    ("call", "none", None),
    ("inner", "sync", sockserve.SyncStrategy()),
]


@pytest.mark.parametrize(("name", "text", "value"), VALUES)
def test_a_value_is_read_by_the_type_of_its_field(name: str, text: str, value: object) -> None:
    """The strictest reading wins: none before text, a choice before bytes."""
    found = parts.read_option(parts.options_of(Many)[name], text)
    assert (found, type(found)) == (value, type(value))


WRONG = [
    ("flag", "maybe", "flag must be true or false, not 'maybe'"),
    ("level", "1.5", "level must be a whole number"),
    ("share", "x", "share must be a number"),
    ("maybe", "x", "maybe must be none or a number"),
    ("raw", "\\xf", "raw must be text, with"),
    ("colour", "green", "colour must be red or light_blue"),
    ("pair", "x", "pair must be host:port"),
    ("call", "abs", "call must be none or something to import, as module:attribute"),
    ("call", "builtins:abz", "builtins has no 'abz'; did you mean 'abs'"),
    ("inner", "snyc", "there is no strategy 'snyc'; did you mean 'sync'"),
]


@pytest.mark.parametrize(("name", "text", "said"), WRONG)
def test_a_value_that_does_not_fit_is_refused_with_what_does(name: str, text: str, said: str) -> None:
    """In one line."""
    with pytest.raises(OptionError) as caught:
        parts.read_option(parts.options_of(Many)[name], text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_documentation_of_an_option_is_that_of_its_class() -> None:
    """The section Args of the docstring, and no other; nothing where there is no docstring."""
    assert parts.argument_docs(Many) == {"flag": "A switch: on or off.", "level": "How much, in a second line."}
    assert parts.argument_docs(Colour) == {}


@given(st.ip_addresses(), st.integers(0, 65535))
def test_an_address_as_text_is_read_back(host: Any, port: int) -> None:
    """What an `InetAddress` is shown as is what can be typed."""
    address = InetAddress(str(host), port)
    assert texts.inet_address(str(address)) == address


@given(st.text())
def test_any_text_is_an_address_or_refused_with_the_form(text: str) -> None:
    """Nothing else is raised."""
    said = ""
    try:
        found = texts.inet_address(text)
    except ValueError as error:
        found = None
        said = str(error)
    assert "host:port" in said if found is None else found.port == int(text.rpartition(":")[2])


@pytest.mark.parametrize(
    "text", ["::1:80", "[::1]80", "[host]:80", "host", "host:", "host:x", "host:²", "[::1:80"]
)
def test_an_address_that_can_be_misread_is_refused(text: str) -> None:
    """An IPv6 address needs its brackets, and nothing else may have them."""
    with pytest.raises(ValueError, match="host:port"):
        texts.inet_address(text)


def test_strategies_are_made_by_name_with_settings() -> None:
    """The options are the class's own."""
    assert parts.make_strategy("thread") == ThreadStrategy()
    made = parts.make_strategy("thread-pool", ["workers=3", "daemon=yes"])
    assert made == ThreadPoolStrategy(workers=3, daemon=True)


def test_transports_are_made_by_name_and_address(folder: Path) -> None:
    """Permission bits are octal, and @ is an abstract name."""
    assert parts.make_transport("tcp", "[::1]:0", ["backlog=5"]) == TcpTransport(("::1", 0), backlog=5)
    assert parts.make_transport("unix", f"{folder}/s", ["mode=660"]) == UnixStreamTransport(
        folder / "s", mode=0o660
    )
    if sys.platform == "linux":
        assert parts.make_transport("unix-datagram", "@s") == UnixDatagramTransport("\0s")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        assert parts.make_transport("fd", str(sock.fileno())) == AdoptedTransport(sock.fileno())


SETTINGS = [
    (["workers"], "'workers' is not of the form name=value"),
    (["workers=1", "workers=2"], "workers is set twice: '1' and '2'"),
    (["wrokers=1"], "the strategy thread-pool has no option 'wrokers'; did you mean 'workers'?"),
    (["zzz=1"], "the strategy thread-pool has no option 'zzz'; there are daemon, workers"),
    (["workers=0"], "workers must be a whole number from 1"),
    (["workers.x=0"], "workers has no options of its own"),
]


@pytest.mark.parametrize(("settings", "said"), SETTINGS)
def test_a_wrong_setting_is_refused(settings: list[str], said: str) -> None:
    """With the nearest name, or all."""
    with pytest.raises(OptionError) as caught:
        parts.make_strategy("thread-pool", settings)
    assert said in str(caught.value)


def test_a_strategy_without_options_says_so() -> None:
    """Rather than naming those of nothing."""
    with pytest.raises(OptionError, match="the strategy sync has no option 'x'; it has none"):
        parts.make_strategy("sync", ["x=1"])


def test_an_option_that_has_no_default_is_asked_for() -> None:
    """Rather than the class called without it."""
    with pytest.raises(OptionError, match="the strategy executor has to be given its option 'executor': say exec"):
        parts.make_strategy("executor", ["outstanding=5"])


#: Transports around others.
WRAPPING = {"TlsTransport", "ProxyProtocolTransport"}


def test_every_public_part_is_registered() -> None:
    """Under the name that the command line knows; but those that are no transport of their own."""
    there = {registry.load(STRATEGIES, name) for name in registry.names(STRATEGIES)}
    assert there >= {getattr(strategies, name) for name in strategies.__all__}
    there = {registry.load(TRANSPORTS, name) for name in registry.names(TRANSPORTS)}
    assert there >= {getattr(transports, name) for name in transports.__all__ if name not in WRAPPING}


OUTSIDE = """
import attrs
from sockserve.abc import Strategy

@attrs.frozen
class Wrapping:
    inner: Strategy

    def start(self, loop, core, /):
        return self.inner.start(loop, core)

class Plain:
    def start(self, loop, core, /): ...

nothing = None
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that registers parts of its own."""
    (tmp_path / "outside_parts.py").write_text(OUTSIDE)
    info = tmp_path / "outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[sockserve.strategies]\n"
        "wrapping = outside_parts:Wrapping\n"
        "plain = outside_parts:Plain\n"
        "broken = outside_missing:Nothing\n"
        "none = outside_parts:nothing\n"
        "thread = outside_parts:Plain\n"
        "[sockserve.transports]\n"
        "plain = outside_parts:Plain\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "outside_parts", raising=False)
    return tmp_path


def test_parts_of_other_packages_are_known_by_name(package: Path) -> None:
    """Their options too, and those of the strategy within one."""
    assert {"wrapping", "thread", "sync"} <= set(registry.names(STRATEGIES))
    made: Any = parts.make_strategy("wrapping", ["inner=thread-pool", "inner.workers=2"])
    assert made.inner == ThreadPoolStrategy(workers=2)
    assert parts.make_strategy("plain") is not None


PACKAGES = [
    ("broken", [], "the strategy 'broken' cannot be imported: ModuleNotFoundError"),
    ("none", [], "the strategy none is registered as None, which is no class"),
    ("thread", [], "'thread' is claimed by outside_parts:Plain and sockserve:ThreadStrategy: uninstall one"),
    ("plain", ["x=1"], "the strategy plain has no option 'x'; it has none"),
    ("wrapping", ["inner.workers=2"], "say which strategy inner is, too"),
]


@pytest.mark.parametrize(("name", "settings", "said"), PACKAGES)
def test_a_package_with_a_mistake_is_named(package: Path, name: str, settings: list[str], said: str) -> None:
    """And the others go on working."""
    with pytest.raises(OptionError) as caught:
        parts.make_strategy(name, settings)
    assert said in str(caught.value)
    assert parts.make_strategy("sync") == sockserve.SyncStrategy()


def test_a_transport_without_an_address_cannot_be_made_from_one(package: Path) -> None:
    """It says so before it is called."""
    with pytest.raises(OptionError, match="cannot be made from an address"):
        parts.make_transport("plain", "x")


def test_old_metadata_is_told_from_a_wrong_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout installed before there were entry points has none."""
    monkeypatch.setattr(metadata, "entry_points", lambda **_: metadata.EntryPoints())
    with pytest.raises(OptionError, match="install sockserve again"):
        registry.load(STRATEGIES, "thread")


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules, which is the current one."""
    files = {
        "application.py": "class Upper:\n    class Inner: ...\n",
        "untidy.py": "import application\n\nraise LookupError('not\\ntoday')\n",
        "leaving.py": "import sys\nsys.exit('no')\n",
        "unfinished.py": "def f(:\n",
        "needing.py": "import absent_module\n",
        "bundle/__init__.py": "",
        "bundle/part.py": "",
    }
    (tmp_path / "bundle").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        monkeypatch.delitem(sys.modules, name.removesuffix(".py"), raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def test_a_reference_is_imported(modules: Path) -> None:
    """Attributes of attributes too."""
    found: Any = resolve("application:Upper.Inner")
    assert found.__qualname__ == "Upper.Inner"
    assert resolve("os.path:join") is os.path.join


REFERENCES = [
    ("application", "'application' is not of the form module:attribute, such as app:Handler"),
    ("application.Upper", "did you mean application:Upper?"),
    ("application.py", "such as application:Handler"),
    ("bundle/part.py", "such as bundle.part:Handler"),
    (":Upper", "is not of the form module:attribute"),
    ("application:", "is not of the form module:attribute"),
    ("application.py:Upper", "names a file; a module is meant, such as application:Upper"),
    ("./bundle/part.py:X", "such as bundle.part:X"),
    (
        "aplication:Upper",
        "there is no module 'aplication', neither here nor installed; did you mean 'application'?",
    ),
    ("qqq:Upper", "there is no module 'qqq', neither here nor installed"),
    ("application:Uper", "application has no 'Uper'; did you mean 'Upper'?"),
    ("application:Upper.Iner", "application.Upper has no 'Iner'; did you mean 'Inner'?"),
    ("socket:qqq", "socket has no 'qqq'"),
    ("bundle.prt:X", "bundle has no module 'prt'; did you mean 'part'?"),
    ("application.Upper:X", "application is a module and no package"),
    ("untidy:X", "untidy cannot be imported: LookupError: not today ("),
    ("untidy:X", "untidy.py, line 3)"),
    ("leaving:X", "leaving cannot be imported: SystemExit: no ("),
    ("unfinished:X", "unfinished cannot be imported: SyntaxError: "),
    ("unfinished:X", "unfinished.py, line 1)"),
    ("needing:X", "needing cannot be imported: ModuleNotFoundError: No module named 'absent_module' ("),
    ("needing:X", "needing.py, line 1)"),
    ("..a:b", "there is no module"),
    ("__main__:qqq", "__main__"),
]


@pytest.mark.parametrize(("reference", "said"), REFERENCES)
def test_a_reference_that_stands_for_nothing_says_what_was_meant(modules: Path, reference: str, said: str) -> None:
    """In one line; the nearest name where there is one, and no list of hundreds where there is none."""
    with pytest.raises(OptionError) as caught:
        resolve(reference)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@given(st.text(max_size=20))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    """Nothing but OptionError is raised, whatever is typed."""
    said = ""
    try:
        resolve(f"os.path:{text}")
    except OptionError as error:
        said = str(error)
    assert "\n" not in said.replace(text, "")
