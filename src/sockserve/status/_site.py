"""What there is to be seen under which path, and who may ask."""

import ipaddress
import json
import re
import time
from collections.abc import Callable, Mapping
from importlib.resources import files

import attrs

from ..metrics._families import families
from ..metrics._text import CONTENT_TYPE, write
from ..metrics._watched import Watched
from ._http import Answer, HttpError, HttpRequest
from ._snapshot import health, snapshot

__all__ = ("Site",)

#: Seconds for which one look at the servers is good, whoever asks: a page asks once a second, and a look at ten
#: thousand connections takes some of the loop's time.
FRESH = 0.5

_TEXT = "text/plain; charset=utf-8"
_ASSETS = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    **{
        f"/{name}": (name, "text/javascript; charset=utf-8")
        for name in ("page.js", "server.js", "draw.js", "text.js")
    },
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]@/\s]+)(?::[0-9]{1,5})?")


def _load_assets() -> dict[str, Answer]:
    folder = files("sockserve.status") / "assets"
    return {path: Answer((folder / name).read_bytes(), kind) for path, (name, kind) in _ASSETS.items()}


@attrs.define(eq=False)
class Site:
    """
    The pages.

    Args:
        watched: The servers that they are about.
        hosts: Names that requests may be for, besides IP addresses and ``localhost``, in lower case.
    """

    watched: Watched
    hosts: frozenset[str]
    _began: float = attrs.field(init=False, factory=time.monotonic)
    _assets: Mapping[str, Answer] = attrs.field(init=False, factory=_load_assets)
    _pages: Mapping[str, Callable[[], Answer]] = attrs.field(init=False)
    _seen: tuple[float, Answer] | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._pages = {"/status.json": self._status, "/metrics": self._metrics, "/healthz": self._healthz}

    def answer(self, request: HttpRequest) -> Answer:
        """
        Answer a request.

        Raises:
            HttpError: It may not be asked, or there is nothing there.
        """
        if request.host is not None and not self._is_ours(request.host):
            raise HttpError(421, "not asked for by an address of this machine (a name has to be allowed: hosts=)")
        if request.method not in {"GET", "HEAD"}:
            raise HttpError(405, "there is nothing here to be changed", {"Allow": "GET, HEAD"})
        asset, page = self._assets.get(request.path), self._pages.get(request.path)
        if asset is not None:
            return asset
        if page is None:
            raise HttpError(404, f"there are {', '.join([*self._pages, '/'])}")
        return page()

    def _is_ours(self, host: str) -> bool:
        """
        Whether a request for *host* may be answered.

        Any page in a browser can let a name of its own point to this machine, and then ask us as if we were that
        name (DNS rebinding): the Host header tells. By an IP address, or ``localhost``, it cannot.
        """
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].lower()
        if name == "localhost" or name in self.hosts:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True

    def _status(self) -> Answer:
        now = time.monotonic()
        if self._seen is None or now >= self._seen[0] + FRESH:
            text = json.dumps(snapshot(self.watched, self._began), separators=(",", ":"), allow_nan=False)
            self._seen = now, Answer(text.encode("ascii"), "application/json")
        return self._seen[1]

    def _metrics(self) -> Answer:
        return Answer(write(families(self.watched)).encode("utf-8", "backslashreplace"), CONTENT_TYPE)

    def _healthz(self) -> Answer:
        found = health(self.watched)
        return Answer(f"{found}\n".encode(), _TEXT, 200 if found == "ok" else 503)
