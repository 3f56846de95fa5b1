"""Threads that can be given up: nothing that student code does is waited for for ever.

A hand is a thread with a sandbox of its own, both of them warm. Whoever wants something
done waits for a hand as long as it may take, and not longer: then the sandbox is thrown
away, and the thread is left to itself. It is a daemon, so it keeps nobody from ending.
Hands stay for whoever comes next in this process, until `end_all` or its end.
"""

import atexit
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Any

from . import sandbox


class Ended(Exception):
    """The run was ended from outside, while a hand was at work."""


class _Hand(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="hand", daemon=True)
        self.orders: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None]
        self.orders = queue.SimpleQueue()
        self.start()

    def run(self) -> None:
        while (order := self.orders.get()) is not None:
            work, done = order
            with contextlib.suppress(InvalidStateError):  # nobody waits any more
                try:
                    done.set_result(work())
                except BaseException as error:
                    done.set_exception(error)
        sandbox.discard()


_free: list[_Hand] = []
_busy: dict[Future[Any], _Hand] = {}


def within(seconds: float, work: Callable[[], Any]) -> Any:
    """Return what `work` returns, which a hand with a sandbox does.

    Raises:
        TimeoutError: if it takes longer; hand and sandbox are given up.
        Ended: if all are told to end.
    """
    try:
        hand = _free.pop()
    except IndexError:
        hand = _Hand()
    done: Future[Any] = Future()
    _busy[done] = hand
    hand.orders.put((work, done))
    try:
        return done.result(seconds)
    finally:  # also where this thread is interrupted
        del _busy[done]
        if done.done() and not isinstance(done.exception(), Ended):
            _free.append(hand)
        else:
            done.cancel()
            _give_up(hand)


def end_all() -> None:
    """Close all sandboxes, at once; who waits for a hand is told that it has ended."""
    for done in list(_busy):
        with contextlib.suppress(InvalidStateError):
            done.set_exception(Ended("the run was ended"))
    while _free:
        _give_up(_free.pop())


atexit.register(end_all)


def _give_up(hand: _Hand) -> None:
    assert hand.ident is not None
    hand.orders.put(None)  # if it ever comes back
    sandbox.discard(hand.ident)
