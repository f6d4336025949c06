"""A worker: the copy of a server in a process that its supervisor has forked, and that serves."""

import os
import threading
from typing import Any, TypeAlias

import attrs

from ..abc import Order, Overseer, Strategy, Workplace
from ..abc._arrival import current_job
from .hearing import hear
from .lifecycle import LAST_WAIT, Lifecycle
from .period import Period, Service

__all__ = ("serve_as_worker",)

AnyLifecycle: TypeAlias = Lifecycle[Any, Any]  # type: ignore[explicit-any]  # of whatever request and address
AnyService: TypeAlias = Service[Any, Any]  # type: ignore[explicit-any]  # as well


def serve_as_worker(life: AnyLifecycle, inner: Strategy, workplace: Workplace) -> None:
    """See `sockserve.abc.Core.serve`. In the main thread of its process."""
    parent = life.become_worker(inner, workplace)
    service = life.begin(
        life.loop,
        service_actions=parent.service_actions,
        poll_interval=parent.poll_interval,
        yields=workplace.yields,
    )
    worker = _Worker(life, service, workplace.overseer)
    worker.hear()
    Period(life.loop, [service], workplace.overseer.serving).run()
    worker.finish()


@attrs.define(eq=False)
class _Worker:
    """Obeys its overseer: by the loop, and where a handler holds that, by signals."""

    life: AnyLifecycle
    service: AnyService
    overseer: Overseer
    _closing: bool = attrs.field(init=False, default=False)
    _leaves: bool = attrs.field(init=False, default=False)

    def hear(self) -> None:
        """Listen to orders and signals."""
        self.life.loop.watch(self.overseer.fileno(), self._obey)
        hear(self.overseer, self._called, self._told)

    def finish(self) -> None:
        """Wait for what is in flight, until it has ended or is told to, and release everything."""
        life = self.life
        if not life.expired:
            life.core.call_at_ends(lambda _arrival: life.loop.wake())
            life.loop.run(self._may_close)
            life.core.forget_at_ends()
        life.close_here()

    def _may_close(self) -> bool:
        return self._closing or not self.life.core.active

    def _called(self) -> None:
        """Something has come from the parent: the loop will see it, unless a request holds this thread."""
        if current_job.get() is not None:
            self._obey()

    def _told(self, abort: bool) -> None:
        """Abort, or drain. Any number of SIGTERMs is one."""
        if abort:
            self._leave()
            self._follow(Order.ABORT, 0.0)
        elif not self._leaves:
            self._leave()
            self._follow(Order.DRAIN, self.overseer.grace)

    def _leave(self) -> None:
        self._leaves = True
        self.overseer.leaving()

    def _obey(self, _mask: int = 0) -> None:
        for order, grace in self.overseer.orders():
            self._leaves = True
            self._follow(order, grace)

    def _follow(self, order: Order, grace: float) -> None:
        life = self.life
        match order:
            case Order.STOP:
                life.wish(None)
            case Order.DRAIN:
                life.wish(grace)
            case Order.CLOSE:
                life.wish(None)
                life.core.end_all_input()
                self._closing = True
            case Order.ABORT:
                self._abort()
            case Order.ORPHAN:
                self._orphaned(grace)

    def _abort(self) -> None:
        self.life.expired = self._closing = True
        self.life.core.abort_all()
        self.life.wish(0.0)

    def _orphaned(self, grace: float) -> None:
        """
        Let go of the endpoint at once, so that a successor of the parent's can have it, and drain.

        Nobody else will see to it that this ends.
        """
        self.life.loop.unwatch(self.overseer.fileno())
        self.service.stop_accepting()
        for listener in self.life.core.listeners:
            listener.close_copy()
        self.life.wish(grace)
        threading.Thread(target=self._see_to_the_end, args=(grace,), name="sockserve-orphan", daemon=True).start()

    def _see_to_the_end(self, grace: float) -> None:
        threading.Event().wait(grace)
        self._abort()
        threading.Event().wait(LAST_WAIT)
        os._exit(1)
