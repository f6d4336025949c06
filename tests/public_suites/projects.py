"""The table of the projects: a row for each, versions pinned. The one place to add another."""

from collections.abc import Mapping

import attrs

__all__ = ("PROJECTS", "RUNNER", "Project")

#: What runs every suite.
RUNNER = ("pytest==9.2.0", "pytest-timeout==2.4.0")


@attrs.frozen(kw_only=True)
class Project:
    """
    A public project whose tests serve by socketserver.

    Args:
        name: On the package index.
        version: The release, of which the source distribution has the tests.
        serves: What of it serves, in prose.
        tests: Files and options for pytest, from the top of the source distribution.
        needs: What the tests need besides, pinned.
        deselected: Test → why it is left out. Only what fails with the standard library alike.
        seconds: Bound of one run.
    """

    name: str
    version: str
    serves: str
    tests: tuple[str, ...]
    needs: tuple[str, ...] = ()
    deselected: Mapping[str, str] = attrs.field(factory=dict)
    seconds: float = 300.0

    @property
    def requirement(self) -> str:
        """The release, as pip is asked for it."""
        return f"{self.name}=={self.version}"


_NO_ROUTE = "connects to an address that is expected not to answer: needs a network beyond this machine"

PROJECTS: tuple[Project, ...] = (
    Project(
        name="acme",
        version="5.9.0",
        serves="HTTP01Server, dual-stack: two servers in two threads",
        tests=("src/acme/_internal/tests/standalone_test.py",),
    ),
    Project(
        name="dulwich",
        version="1.2.21",
        serves="a git server over HTTP (wsgiref) and over its own protocol (TCPGitServer), spoken to by git",
        tests=tuple(
            f"tests/compat/test_{part}.py" for part in ("server", "web", "client", "dumb", "bundle_uri", "lfs")
        ),
    ),
    Project(
        name="prometheus_client",
        version="0.26.0",
        serves="the exposition server (threading, TLS) and what it pushes to",
        tests=("tests/test_exposition.py", "tests/test_wsgi.py", "tests/test_graphite_bridge.py"),
        needs=("asgiref==3.13.0",),
    ),
    Project(
        name="pynetdicom",
        version="3.0.4",
        serves="DICOM associations: AssociationServer and its threading kind, with wrapped sockets",
        tests=("pynetdicom/tests/test_ae.py", "pynetdicom/tests/test_transport.py"),
        needs=("pyfakefs==6.3.2", "sqlalchemy==2.1.9"),
    ),
    Project(
        name="pytest_httpserver",
        version="1.2.0",
        serves="a server of werkzeug in a thread, a new one for many tests",
        tests=("tests",),
        needs=("requests==2.34.2", "werkzeug==3.1.9"),
    ),
    Project(
        name="pytest_localserver",
        version="0.10.0.post0",
        serves="a server of werkzeug's, plain and over TLS",
        tests=("tests/test_http.py",),
        needs=("requests==2.34.2", "werkzeug==3.1.9"),
    ),
    Project(
        name="requests",
        version="2.34.2",
        serves="httpbin on wsgiref's server, plain and over TLS (pytest-httpbin)",
        tests=("tests/test_requests.py",),
        needs=(
            "pytest-httpbin==2.1.0",
            "httpbin==0.10.4",
            "pytest-mock==3.17.0",
            "PySocks==1.7.1",
            "trustme==1.2.1",
        ),
        deselected={
            f"tests/test_requests.py::TestTimeout::test_{kind}[timeout{number}]": _NO_ROUTE
            for kind in ("connect_timeout", "total_timeout_connect")
            for number in (0, 1)
        },
    ),
    Project(
        name="werkzeug",
        version="3.1.9",
        serves="its development servers: plain, threading, forking, over TLS and on Unix sockets, in subprocesses",
        tests=("tests/test_serving.py",),
        needs=("ephemeral-port-reserve==1.1.4", "cffi==2.1.1", "watchdog==7.1.0", "cryptography==50.0.2"),
        deselected={
            "tests/test_serving.py::test_reloader_sys_path[watchdog]": "waits for a reload that never comes"
        },
    ),
)
