"""Tasks through joblib: on this machine's cores or on a Dask cluster, whatever happens to single workers."""

import logging
import os
import signal
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from ...core.extras import install_extra
from ..report.report import SongReport
from ..storage import one_line
from .progress import ProgressCallback, ProgressSender, hearing_dask, hearing_pipe, tell_dask, tell_pipe
from .task import DIED, Result, Task, die_with, forget_network, left_behind, render_task

PATIENCE = 10  # seconds until a cluster must have answered
STARTS = 3  # rounds in which workers may die before any of them has begun a song

Begin = Callable[[Task], None]
"""Called before a task is given to a worker, by any thread."""


def render_here(tasks: Iterable[Task], begin: Begin, hear: ProgressCallback) -> Iterator[Result]:
    """Render the tasks in this process, one by one."""
    try:
        for task in tasks:
            begin(task)
            yield render_task(task, ProgressSender(hear, task.number))
    finally:
        forget_network()


def render_on_cores(
    tasks: Sequence[Task], jobs: int, folder: Path, begin: Begin, hear: ProgressCallback
) -> Iterator[Result]:
    """Render the tasks in `jobs` processes, and yield results as they come.

    If a worker runs out of memory or crashes, its songs are tried once more, alone, and the others go on. If no workers
    can be started, this process does the work, after a RuntimeWarning.

    Args:
        tasks: The songs.
        jobs: Number of processes.
        folder: The run's scratch folder.
        begin: Called once for each task, before it begins.
        hear: Receives progress.
    """
    waiting = {task.number: task for task in tasks}
    begun: set[int] = set()

    def begin_once(task: Task) -> None:
        if task.number not in begun:
            begun.add(task.number)
            begin(task)

    with _quiet(), hearing_pipe(folder, hear) as pipe, _workers_let_go():
        # At least two, because joblib uses this process for one; never more than there are songs.
        why = yield from _render_on_loky(waiting, max(2, min(jobs, len(tasks))), folder, pipe, begin_once)
    if waiting:
        line = f"cannot start worker processes, so songs are rendered one at a time ({why})"
        warnings.warn(line, RuntimeWarning, stacklevel=2)
        yield from render_here(list(waiting.values()), begin_once, hear)


def _render_on_loky(
    waiting: dict[int, Task], workers: int, folder: Path, pipe: str | None, begin: Begin
) -> Generator[Result, None, str]:
    """Render tasks, and remove them from `waiting`. Return why workers cannot be started, if some tasks are left."""
    suspects: list[int] = []
    starts = 0
    while waiting:
        if why := _why_no_workers(workers):
            return why
        from joblib.externals.loky.process_executor import BrokenProcessPool

        alone = waiting[suspects.pop(0)] if suspects else None
        now = [alone] if alone else list(waiting.values())
        try:
            with closing(_on_loky(now, workers, pipe, begin)) as results:
                for result in results:
                    starts = 0
                    del waiting[result.number]
                    yield result
        except BrokenProcessPool:
            if alone and waiting.pop(alone.number, None):
                yield _gone(alone, DIED)
            elif not alone:
                suspects = [number for number in waiting if left_behind(folder / str(number))]
                starts += not suspects
                if starts == STARTS:
                    return "they end before they begin a song; check the free memory"
    return ""


def _why_no_workers(workers: int) -> str:
    """Start worker processes, which the next tasks will use. Return why that failed; empty if it succeeded.

    There are many reasons: no shared memory for semaphores, a limit on processes, a daemon, a joblib thread. For some
    joblib raises an error, for others it warns and calls functions in this process.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            from joblib import Parallel, delayed

            with _signals_held():
                calls = (delayed(_enter)(os.getpid()) for _ in range(workers))
                processes = Parallel(n_jobs=workers, backend="loky", max_nbytes=None)(calls)
        except Exception as error:
            _end_workers(at_once=True)
            # The text of a BrokenProcessPool is long and says just this. Its class cannot be imported everywhere.
            return "they end as soon as they start" if "terminated" in str(error) else one_line(error)
    if os.getpid() not in processes:
        return ""
    return " ".join(str(said[0].message).split()) if said else "joblib does not start any here"


def _enter(driver: int) -> int:
    """If this is a worker of another process, make it end with that process. Return this process's id."""
    if os.getpid() != driver:
        die_with(driver)
    return os.getpid()


def _on_loky(tasks: Sequence[Task], workers: int, pipe: str | None, begin: Begin) -> Generator[Result, None, None]:
    from joblib import Parallel, delayed

    def calls() -> Iterator[Any]:
        for task in tasks:
            begin(task)
            yield delayed(_render_for)(task, pipe, os.getpid())

    parallel = Parallel(n_jobs=workers, backend="loky", return_as="generator_unordered", batch_size=1, max_nbytes=None)
    with _signals_held():
        results: Generator[Result, None, None] = parallel(calls())
    return results


def _render_for(task: Task, pipe: str | None, driver: int) -> Result:
    _enter(driver)
    return render_task(task, ProgressSender(partial(tell_pipe, pipe), task.number) if pipe else None)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Workers that are started in here do not hear of Ctrl-C and its like: whoever started them stops them."""
    numbers = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _workers_let_go() -> Iterator[None]:
    """End the workers. Idle ones would hold memory for minutes, and keep a child process from ending that long."""
    try:
        yield
    finally:
        _end_workers()


def _end_workers(*, at_once: bool = False) -> None:
    with suppress(Exception):  # where none could be started
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor(reuse=True).shutdown(kill_workers=at_once)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence joblib's warnings of results that are not fetched, and of workers that restart because they had grown."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="joblib")
        yield


def _gone(task: Task, reason: str) -> Result:
    return Result(task.number, SongReport(task.source, task.outputs, "failed", reason))


def render_on_dask(
    tasks: Sequence[Task], dask: Any, topic: str, begin: Begin, hear: ProgressCallback
) -> Iterator[Result]:
    """Render the tasks on a cluster. dask: its scheduler's address, or a client. topic: a name that no other run has.

    Dask gives the songs of a worker that dies to the others. Raises OSError if no cluster answers or has workers, and
    ValueError if these cannot do the work.
    """
    from joblib import Parallel, delayed, parallel_config

    waiting = {task.number: task for task in tasks}

    def calls() -> Iterator[Any]:
        for task in tasks:
            begin(task)
            yield delayed(_render_on_dask)(task, topic)

    with _quiet(), _client(dask) as client:
        _check_workers(client, tasks[0].scratch)
        with hearing_dask(client, topic, hear):
            with parallel_config(backend=_backend(client)):
                results = Parallel(return_as="generator_unordered", batch_size=1)(calls())
            with closing(results):
                for result in results:
                    if result is not None:
                        del waiting[result.number]
                        yield result
    for task in waiting.values():
        yield _gone(task, "Dask gave it up, because one worker after another died; see the workers' logs")


def _render_on_dask(task: Task, topic: str) -> Result:
    return render_task(task, ProgressSender(partial(tell_dask, topic), task.number))


@contextmanager
def _client(dask: Any) -> Iterator[Any]:
    try:
        from distributed import Client
        from distributed.comm import resolve_address
    except ImportError:
        raise ValueError(f"Dask is not installed; install it with: {install_extra('dask')}") from None
    if isinstance(dask, Client):
        yield dask
        return
    try:
        if isinstance(dask, str):
            resolve_address(dask)  # raises what Client would leave half made, to complain when the process ends
        client = Client(dask, set_as_default=False, timeout=PATIENCE)
    except (OSError, ValueError, TypeError) as error:
        line = f"no Dask scheduler answers at {dask}; start one with `dask scheduler`, or correct the address"
        raise OSError(line) from error
    try:
        yield client
    finally:
        with _unlogged("distributed.client"):  # a traceback, if the scheduler is gone
            client.close()


@contextmanager
def _unlogged(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _check_workers(client: Any, scratch: str | None) -> None:
    address = client.scheduler.address
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        raise OSError(f"{address} has no workers; start some with `dask worker {address}`") from None
    try:
        seen = client.run(_sees, scratch)
    except Exception as error:
        line = f"workers of {address} cannot load StemBridge ({one_line(error)}); install this version of it on them"
        raise ValueError(line) from error
    if blind := [worker for worker, sees in seen.items() if not sees]:
        raise ValueError(f"{blind[0]} does not see {scratch}; give an output that all workers share, or a URL")


def _sees(folder: str | None) -> bool:
    return folder is None or os.path.isdir(folder)


def _backend(client: Any) -> Any:
    import asyncio

    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):
        """joblib's own (1.4 to 1.6), but for two things that it does.

        It waits for ever for a task that Dask gives up, and for all if the scheduler goes: here the result of the one
        is None, and the other raises OSError. It does all the work itself where the cluster has a single thread.
        """

        def effective_n_jobs(self, n_jobs: int) -> int:
            return max(2, int(super().effective_n_jobs(n_jobs)))

        async def _collect(self) -> None:
            while self._continue:
                async for future, result in self.waiting_futures:
                    del self._results[future]
                    given_up = [None] if client.status == "running" else None
                    self._callbacks.pop(future)(result if future.status == "finished" else given_up)
                await asyncio.sleep(0.01)

        def retrieve_result_callback(self, out: Any) -> Any:
            if out is None:
                raise OSError(f"{client.scheduler.address} answers no more; see to the scheduler, and start this again")
            return super().retrieve_result_callback(out)

    return Backend(client=client)
