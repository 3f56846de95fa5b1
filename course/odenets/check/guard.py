"""What stands around a student's code: a time limit, the state, the package's answer.

* `time_limit` stops what does not come back.
* `neutral` runs the checks in a known global state, and puts the student's back.
* `out_of_order` lets the package's own version of an exercise refuse to work.
"""

import builtins
import contextlib
import ctypes
import inspect
import os
import random
import signal
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from .. import START

SECONDS = 10.0
"""How long one check may take; `ODENETS_CHECK_SECONDS` overrules it."""
DEPTH = 1000  # calls within calls, as Python has it by default


class PackageAnswer(Exception):
    """An answer handed the work to the package's own version of the exercise."""

    def __init__(self) -> None:
        super().__init__("this is the exercise: write it yourself")


class TimeLimit(BaseException):
    """A call did not come back. Not an Exception, so that `except Exception` in the
    endless loop of an answer does not swallow it."""


# --------------------------------------------------------------- time


def seconds() -> float:
    """Return how long one check may take."""
    return float(os.environ.get("ODENETS_CHECK_SECONDS", SECONDS))


@contextlib.contextmanager
def time_limit(limit: float) -> Iterator[None]:
    """Raise `TimeLimit` in the block once it has computed for `limit` seconds.

    Time in which other programs hold the processor does not count, so that a busy
    machine does no harm; a block that only waits is stopped after twice the time.
    Inside another limit, only the outer one holds.

    Raises:
        TimeLimit: again and again, as the block may swallow it.
    """
    if _Clock.running:
        yield
        return
    clock = _Clock(limit)
    with clock:
        yield


SHARE = 0.1
"""A block that computes gets at least this share of a processor, however busy it is."""


class _Clock:
    """Looks at the time every now and then; raises in the thread that it watches.

    Attributes:
        passed: seconds on the clock.
        worked: seconds in which this process computed, never more than have passed:
            torch may do so on several processors.
    """

    running = False

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.tick = min(limit / 10, 0.25)
        self.passed = self.worked = 0.0
        in_main = threading.current_thread() is threading.main_thread()
        self.by_signal = hasattr(signal, "setitimer") and in_main

    def __enter__(self) -> None:
        _Clock.running = True
        self.seen = time.monotonic(), time.process_time()
        if self.by_signal:
            self.before = signal.signal(signal.SIGALRM, self._on_signal)
            signal.setitimer(signal.ITIMER_REAL, self.tick, self.tick)
        else:  # Windows, or another thread than the main one
            self.over = threading.Event()
            watched = threading.get_ident()
            threading.Thread(target=self._watch, args=[watched], daemon=True).start()

    def __exit__(self, *_: object) -> None:
        try:
            self._stop()
        finally:
            self._stop()  # the last signal may have interrupted the first try

    def _stop(self) -> None:
        if self.by_signal:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self.before)
        else:
            self.over.set()
        _Clock.running = False

    def _on_signal(self, number: int, frame: types.FrameType | None) -> None:
        if self._late(frame):
            raise TimeLimit

    def _watch(self, watched: int) -> None:
        while not self.over.wait(self.tick):
            if self._late(sys._current_frames().get(watched)):
                stop, number = ctypes.py_object(TimeLimit), ctypes.c_ulong(watched)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(number, stop)

    def _late(self, frame: types.FrameType | None) -> bool:
        now = time.monotonic(), time.process_time()
        passed, computed = (new - old for new, old in zip(now, self.seen))
        self.seen = now
        if _importing(frame):  # a module that is loaded half-way stays broken
            return False
        self.passed += passed
        self.worked += min(passed, computed)
        late = self.worked > self.limit
        late |= self.passed > 2 * self.limit + self.worked / SHARE
        self.limit += late  # if it is swallowed, the next one comes a second later
        return late


def _importing(frame: types.FrameType | None) -> bool:
    """Return whether a module is being loaded."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


# --------------------------------------------------------------- global state


@contextlib.contextmanager
def neutral() -> Iterator[None]:
    """Run a block in the state that a fresh notebook has; then put back what was.

    Neither does what a student has set (a default dtype, a seed) change what the checks
    see, nor do the checks change what comes after them.
    """
    with contextlib.ExitStack() as stack:
        stack.callback(_torch_and_numpy())
        stack.callback(_surroundings())
        stack.callback(_limits_of_python())
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(np.errstate(all="warn", under="ignore"))
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.autograd.set_detect_anomaly(False))
        # Modes that were entered and never left.
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.autocast("cpu", enabled=False))
        folder, path = START
        with contextlib.suppress(OSError):
            os.chdir(folder)
        sys.path += [entry for entry in path if entry not in sys.path]
        torch.set_default_dtype(torch.float32)
        if torch.get_default_device().type != "cpu":
            torch.set_default_device(None)
        if torch.are_deterministic_algorithms_enabled():  # a slow import otherwise
            torch.use_deterministic_algorithms(False)
        torch.set_flush_denormal(False)
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 - the generator that an answer may draw from
        random.seed(0)
        warnings.simplefilter("ignore")
        yield


def _torch_and_numpy() -> Callable[[], None]:
    """Return a function that puts back what holds now."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    only_warn = torch.is_deterministic_algorithms_warn_only_enabled()
    draws = np.random.get_state(), random.getstate()  # noqa: NPY002

    def put_back() -> None:
        torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            torch.set_default_device(device)
        torch.set_num_threads(threads)
        if torch.are_deterministic_algorithms_enabled() is not deterministic:
            torch.use_deterministic_algorithms(deterministic, warn_only=only_warn)
        np.random.set_state(draws[0])  # noqa: NPY002
        random.setstate(draws[1])

    return put_back


def _surroundings() -> Callable[[], None]:
    """The same for the process: folder, environment, path, the style of plots."""
    folder, environment, path = _folder(), dict(os.environ), list(sys.path)
    matplotlib = sys.modules.get("matplotlib")
    style = dict.copy(matplotlib.rcParams) if matplotlib else {}

    def put_back() -> None:
        with contextlib.suppress(OSError):
            os.chdir(folder)
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
        sys.path[:] = path
        if matplotlib and dict.copy(matplotlib.rcParams) != style:
            dict.update(matplotlib.rcParams, style)

    return put_back


def _limits_of_python() -> Callable[[], None]:
    """The same for timers, which stand still, and for the depth of calls."""
    depth = sys.getrecursionlimit()
    sys.setrecursionlimit(max(depth, DEPTH))
    names = ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")  # not on Windows
    which = [getattr(signal, name) for name in names if hasattr(signal, name)]
    timers = [(one, signal.setitimer(one, 0)) for one in which]

    def put_back() -> None:
        with contextlib.suppress(RecursionError):  # too low for where we are
            sys.setrecursionlimit(depth)
        for one, before in timers:
            if any(before):
                signal.setitimer(one, *before)

    return put_back


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return START[0]


def with_python_s_own_names(body: Callable[..., None]) -> Callable[..., None]:
    """Return `body` as if nobody had called a variable `sum` or `list`.

    The checks are written in the notebook and see its names; an answer that uses a name
    of its own still finds it.
    """
    if not isinstance(body, types.FunctionType):
        return body
    python = vars(builtins)
    names = {k: v for k, v in body.__globals__.items() if k not in python}
    names["__builtins__"] = body.__globals__.get("__builtins__", builtins)
    return types.FunctionType(
        body.__code__, names, body.__name__, body.__defaults__, body.__closure__
    )


# --------------------------------------------------------------- the package's answer

reached = False
"""Whether a version that was out of order has been called."""


def refuse() -> None:
    """Called by whatever is out of order.

    Raises:
        PackageAnswer: always.
    """
    global reached
    reached = True
    raise PackageAnswer


def _stub(*args: Any, **kwargs: Any) -> Any:
    # This code runs inside the package's function, with that function's names.
    from odenets.check.guard import refuse

    refuse()


@contextlib.contextmanager
def out_of_order(package: tuple[Any, ...]) -> Iterator[None]:
    """Let functions and classes of the package raise `PackageAnswer` in the block.

    Functions get other code, those that a class defines too: so it does not matter by
    which name, attribute or subclass an answer reaches them.
    """
    with contextlib.ExitStack() as stack:
        for part in package:
            for function in _functions(part):
                stack.callback(setattr, function, "__code__", function.__code__)
                free = function.__code__.co_freevars
                function.__code__ = _stub.__code__.replace(co_freevars=free)
            if isinstance(part, type) and "__init__" not in vars(part):
                part.__init__ = _stub  # type: ignore[misc]
                stack.callback(delattr, part, "__init__")
        yield


def _functions(part: Any) -> list[types.FunctionType]:
    """Return the function behind a part, or the methods that a class defines."""
    if not isinstance(part, type):
        return [inner(part)]
    return [value for value in vars(part).values() if inspect.isfunction(value)]


def inner(part: Any) -> types.FunctionType:
    """Return the function behind a method or a decorator.

    Raises:
        TypeError: if there is none.
    """
    function = inspect.unwrap(getattr(part, "__func__", part))
    if not isinstance(function, types.FunctionType):
        raise TypeError(f"package= takes functions and classes, not {part!r}")
    return function


def is_package_answer(answer: Any, package: tuple[Any, ...]) -> bool:
    """Return whether an answer, or a part of it, is a version of the package's."""
    return any(
        one is part
        or (isinstance(part, type) and isinstance(one, type) and issubclass(one, part))
        for one in (answer if isinstance(answer, tuple) else (answer,))
        for part in package
    )
