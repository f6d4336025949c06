"""What can stand in the place of socketserver."""

import attrs

__all__ = ("HASTY", "SHIM", "STDLIB", "Variant", "broken")


@attrs.frozen
class Variant:
    """
    A module, whole or not.

    Args:
        name: For people, and of the files of a run.
        module: To be imported.
        broken: Name of a break.
        poll_interval: Seconds, the default of ``serve_forever``; None leaves it.
    """

    name: str
    module: str
    broken: str | None = None
    poll_interval: float | None = None


STDLIB = Variant("stdlib", "socketserver")
SHIM = Variant("shim", "sockserve.socketserver")

#: The standard library's, but ``shutdown`` takes a millisecond rather than half a second: a test that fails then,
#: too, has relied on the time that ``shutdown`` wastes.
HASTY = Variant("hasty", "socketserver", poll_interval=0.001)


def broken(name: str) -> Variant:
    """Return the shim with one of the breaks."""
    return Variant(f"shim-{name}", SHIM.module, broken=name)
