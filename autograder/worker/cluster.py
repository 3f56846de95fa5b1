"""The same work on many machines: Dask carries the jobs, we carry the results.

A job is plain data and the answer is plain data, so workers need the installed package
(`pip install -c constraints.txt "odenets[people,cluster]"`) and no shared disk. When a
worker is lost, Dask runs its jobs again elsewhere.
"""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

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
        raise CourseError('pip install "odenets[cluster]" first') from None
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise CourseError(f"no Dask scheduler at {address}: {error}") from None
    with client:
        workers = client.scheduler_info()["workers"]
        if not workers:
            raise CourseError(f"the scheduler at {address} has no workers yet")
        yield client.get_executor(retries=RETRIES, pure=False)
