"""
Mistakes that are silent in the standard library: each warns, and says what to write.

Nothing is refused: a program that does well in spite of it goes on.
"""

import warnings

from ..errors import SockserveWarning
from ._state import known_state, state_of

__all__ = ("forget_uses", "note_use", "warn_if_shadowed", "warn_if_used")

#: What makes a class attribute of no effect from then on.
_USED_BY = {
    "address_family": "server_bind",
    "socket_type": "server_bind",
    "allow_reuse_address": "server_bind",
    "allow_reuse_port": "server_bind",
    "request_queue_size": "server_activate",
}


def note_use(server: object, step: str) -> None:
    """Take note that *step* has used its attributes."""
    state = state_of(server)
    state.used |= {step}


def forget_uses(server: object) -> None:
    """Take note that the socket is closed: another may be bound."""
    state = known_state(server)
    if state is not None:
        state.used = frozenset()


def warn_if_used(server: object, name: str, value: object) -> None:
    """Warn where *name* is set when it has had its effect already. Called for every attribute that is set."""
    step = _USED_BY.get(name)
    if step is None:
        return
    state = known_state(server)
    if state is not None and step in state.used and getattr(server, name) != value:
        kind = type(server).__name__
        warnings.warn(
            f"{kind}.{name} is set after {step}() has used it, and has no effect; set it in the class, or make "
            f"the server with bind_and_activate=False, set it, then call server_bind() and server_activate()",
            SockserveWarning,
            stacklevel=3,
        )


def warn_if_shadowed(kind: type, mixin: type) -> None:
    """Warn where *mixin* stands after the server class among the bases of *kind*, which then does its own."""
    order = kind.__mro__
    for base in order[: order.index(mixin)]:
        # The standard library's root has the same name. What a class between defines itself is meant so.
        if base.__name__ == "BaseServer" and _found(kind) is vars(base).get("process_request"):
            bases = ", ".join(each.__name__ for each in kind.__bases__)
            named = next(each.__name__ for each in order[order.index(base) :] if issubclass(each, mixin))
            warnings.warn(
                f"class {kind.__name__}({bases}): {named} stands after the server class, whose "
                f"process_request() is found first, and has no effect; "
                f"write class {kind.__name__}({named}, ...)",
                SockserveWarning,
                stacklevel=3,
            )
            return


def _found(kind: type) -> object:
    found: object = getattr(kind, "process_request", None)
    return found
