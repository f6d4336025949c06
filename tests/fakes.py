"""Stand-ins for the parts that a unit test leaves out: those of the testing kit, and some for the loop."""

import attrs

from sockserve.testing import FakeClock, FakeCore, FakeJob

__all__ = ("FakeClock", "FakeCore", "FakeJob", "FakePoller", "FakeRunner")


class FakePoller:
    """Reports what the test has put into ``ready``, and takes note of how it was asked to wait."""

    edges = True

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.masks: dict[int, int] = {}
        self.ready: list[tuple[int, int]] = []
        self.timeouts: list[float | None] = []
        self.clock = clock
        self.closed = False

    def register(self, fd: int, mask: int, /) -> None:
        assert fd not in self.masks
        self.masks[fd] = mask

    def unregister(self, fd: int, /) -> None:
        self.masks.pop(fd, None)

    def wait(self, timeout: float | None, /) -> list[tuple[int, int]]:
        """Return what is watched and ready; without any, let the time pass."""
        self.timeouts.append(timeout)
        found = [(fd, mask) for fd, mask in self.ready if fd in self.masks]
        if not found and timeout and self.clock is not None:
            self.clock.advance(timeout)
        return found

    def close(self) -> None:
        self.closed = True
        self.masks.clear()


@attrs.define(eq=False)
class FakeRunner:
    """Full when the test says so."""

    full: bool = False

    def submit(self, job: object, /) -> None:
        """Take it."""

    def move(self, loop: object, /) -> None:
        """Nothing is on it."""

    def close(self, deadline: float | None, /) -> None:
        """Nothing to wait for."""
