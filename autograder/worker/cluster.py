"""The same work on many machines: Dask carries the jobs, we carry the results.

A job is plain data and the answer is plain data, so workers need the installed package
(`pip install -c constraints.txt -e course -e ".[cluster]"`) and no shared disk. When a
worker is lost, Dask runs its jobs again elsewhere.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from ..course import CourseError

CONNECT_SECONDS = 10
RETRIES = 2


@contextmanager
def executor(address: str) -> Iterator[Executor]:
    """Yield an executor that runs on the Dask cluster whose scheduler is at `address`.

    Raises:
        CourseError: if `distributed` is missing, or nobody answers there.
    """
    try:
        from distributed import Client
    except ImportError:
        raise CourseError('pip install -e ".[cluster]" first') from None
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise CourseError(f"no Dask scheduler at {address}: {error}") from None
    try:
        workers = client.scheduler_info()["workers"]
        if not workers:
            raise CourseError(f"the scheduler at {address} has no workers yet")
        client.subscribe_topic("all", _say_if_lost)
        yield client.get_executor(retries=RETRIES, pure=False)
    finally:
        client.close(timeout=CONNECT_SECONDS)


def _say_if_lost(event: tuple[float, Any]) -> None:
    """Say that a worker is gone whom nobody sent away; Dask tells in its own thread."""
    _, said = event
    if not isinstance(said, dict) or said.get("action") != "remove-worker":
        return
    if not said.get("expected", False):
        had = len(said.get("processing-tasks", ()))
        print(
            f"\nA worker was lost ({said.get('worker')}); what it worked on ({had}) "
            "is done again by another.",
            file=sys.stderr,
            flush=True,
        )
