"""How much may wait for a peer that does not read, of what it has not asked for."""

__all__ = ("MOST_UNSENT", "has_room")

#: Bytes of messages that nobody asked for, and that wait for a peer which does not read, at most.
MOST_UNSENT = 1024 * 1024


def has_room(unsent: int, size: int) -> bool:
    """Whether so many bytes may wait besides those that do. Where none do, a message may be of any length."""
    return not unsent or unsent + size <= MOST_UNSENT
