"""
Random bytes into every framing and into a proxy's header, led by what they reach: Atheris, an optional command
(Linux, where it installs).

``pip install atheris``, then ``PYTHONPATH=tests python -m attacks.fuzz Lines -max_total_time=60``: the name of one
of `TARGETS`, and options of libFuzzer. It runs until something is raised that is not announced, or a message
depends on how the bytes were split, or is longer than the framing allows.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any

from sockserve import Delimited, LengthPrefixed, Lines, MessageError
from sockserve.framing import Framing
from sockserve.transports._proxy_header import MOST, Header, HeaderDecoder, HeaderError

LIMIT = 1000


def _decoded(framing: Framing, pieces: list[bytes]) -> tuple[list[bytes], str]:
    decoder = framing.decoder()
    messages: list[bytes] = []
    try:
        for piece in pieces:
            messages += decoder.feed(piece)
    except MessageError as error:
        return messages, type(error).__name__
    return messages, ""


def _same_however_split(framing: Framing) -> Callable[[bytes], None]:
    def target(data: bytes) -> None:
        whole = _decoded(framing, [data])
        single = _decoded(framing, [data[at : at + 1] for at in range(len(data))])
        assert whole == single, (whole, single)
        assert all(len(message) <= LIMIT for message in whole[0])

    return target


def _header_however_split(data: bytes) -> None:
    whole, single = _header([data]), _header([data[at : at + 1] for at in range(len(data))])
    assert whole == single, (whole, single)
    assert whole[1] <= MOST


def _header(pieces: list[bytes]) -> tuple[Header | None, int, bool]:
    """Say what a header says, how many bytes are its own, and whether it is one, as far as it goes."""
    decoder, taken = HeaderDecoder(), 0
    for piece in pieces:
        try:
            taken += decoder.feed(piece)
        except HeaderError:
            return None, 0, False
        if decoder.header is not None:
            break
    return decoder.header, taken, True


#: What the bytes are given to.
TARGETS: dict[str, Callable[[bytes], None]] = {
    "Lines": _same_however_split(Lines(max_length=LIMIT)),
    "Delimited": _same_however_split(Delimited(b"--", max_length=LIMIT)),
    "LengthPrefixed": _same_however_split(LengthPrefixed(max_length=LIMIT)),
    "LengthPrefixed little": _same_however_split(LengthPrefixed("<h", max_length=LIMIT)),
    "PROXY": _header_however_split,
}


def main() -> None:
    """Fuzz one."""
    try:
        fuzzer: Any = importlib.import_module("atheris")
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris")
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        sys.exit(f"what is to be fuzzed? One of {', '.join(TARGETS)}, not {name!r}")
    fuzzer.instrument_all()
    fuzzer.Setup(sys.argv, TARGETS[name])
    fuzzer.Fuzz()


if __name__ == "__main__":
    main()
