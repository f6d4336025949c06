"""
A server of the standard library, on sockserve: ``python shim_servers.py http ThreadingMixIn whole``.

``whole``: sockserve's module in the place of socketserver, so that the server's own base classes are sockserve's,
too; ``mixin``: only the mix-in is. Prints its port, and serves until its input ends.
"""

import http.server
import importlib
import sys
import threading
from typing import Any

from sockserve import socketserver


def make_class(kind: str, mixin: str) -> Any:
    """Make the server's class, with a request handler that is silent."""
    name, server = {
        "http": ("http.server", "HTTPServer"),
        "xmlrpc": ("xmlrpc.server", "SimpleXMLRPCServer"),
        "wsgi": ("wsgiref.simple_server", "WSGIServer"),
    }[kind]
    base = getattr(importlib.import_module(name), server)
    return type("Server", (getattr(socketserver, mixin), base), {})


class Hello(http.server.BaseHTTPRequestHandler):
    """Says in which process and thread it runs."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        body = where(type(self.server).__mro__).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the documented name
        """Nothing."""


def where(order: Any = ()) -> str:
    """Say which module the server's root is from, and whether this is the main process and thread."""
    import os

    root = next((each.__module__ for each in order if each.__name__ == "BaseServer"), "?")
    return f"{root} {os.getpid()} {threading.current_thread() is threading.main_thread()}"


def make_server(kind: str, mixin: str) -> Any:
    """Make the server, with something to answer."""
    made = make_class(kind, mixin)
    if kind == "http":
        return made(("127.0.0.1", 0), Hello)
    if kind == "xmlrpc":
        server = made(("127.0.0.1", 0), logRequests=False)
        server.register_function(lambda: where(made.__mro__), "where")
        return server
    from wsgiref.simple_server import WSGIRequestHandler

    quiet = type("Quiet", (WSGIRequestHandler,), {"log_message": Hello.log_message})
    server = made(("127.0.0.1", 0), quiet)

    def application(_environ: object, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [where(made.__mro__).encode()]

    server.set_app(application)
    return server


def main(kind: str, mixin: str, how: str) -> None:
    """Serve."""
    if how == "whole":
        for name in ("http.server", "xmlrpc.server", "wsgiref.simple_server"):
            sys.modules.pop(name, None)
        sys.modules["socketserver"] = socketserver
        globals()["http"].server = importlib.import_module("http.server")
        Hello.__bases__ = (sys.modules["http.server"].BaseHTTPRequestHandler,)
    with make_server(kind, mixin) as server:
        thread = threading.Thread(target=sys.stdin.read)
        if mixin == "ForkingMixIn":  # serves in the main thread, as such servers do
            thread = threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()))
            thread.start()
            print(server.server_address[1], flush=True)
            server.serve_forever()
        else:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            print(server.server_address[1], flush=True)
            sys.stdin.read()
            server.shutdown()
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
