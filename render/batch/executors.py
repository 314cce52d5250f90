"""Tasks on this machine's cores or on a Dask cluster, whatever happens to single workers."""

import logging
import os
import signal
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ...core.extras import install_extra
from ..report.report import SongReport
from ..storage import one_line
from .progress import ProgressCallback, ProgressSender, hearing_dask, hearing_pipe, tell_dask, tell_pipe
from .task import DIED, Result, Task, die_with, forget_network, left_behind, render_task

PATIENCE = 10  # seconds until a cluster must have answered
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # of NumPy in each worker
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

    with hearing_pipe(folder, hear) as pipe:
        why = yield from _render_on_loky(waiting, jobs, folder, pipe, begin_once)
    if waiting:
        line = f"cannot start worker processes, so songs are rendered one at a time ({why})"
        warnings.warn(line, RuntimeWarning, stacklevel=2)
        yield from render_here(list(waiting.values()), begin_once, hear)


def _render_on_loky(
    waiting: dict[int, Task], jobs: int, folder: Path, pipe: str | None, begin: Begin
) -> Generator[Result, None, str]:
    """Render tasks, and remove them from `waiting`. Return why workers cannot be started, if some tasks are left."""
    suspects: list[int] = []
    starts = 0
    while waiting:
        alone = waiting[suspects.pop(0)] if suspects else None
        now = [alone] if alone else list(waiting.values())
        workers = min(jobs, len(now))
        try:
            with _pool(workers) as executor:
                submit = partial(executor.submit, _render_for, pipe)
                for _, future in _in_turns(submit, now, begin, partial(int, 2 * workers)):
                    result: Result = future.result()
                    starts = 0
                    del waiting[result.number]
                    yield result
        except _NoWorkersError as error:
            return str(error)
        except BrokenExecutor:
            if alone and waiting.pop(alone.number, None):
                yield _gone(alone, DIED)
            elif not alone:
                suspects = [number for number in waiting if left_behind(folder / str(number))]
                starts += not suspects
                if starts == STARTS:
                    return "they end before they begin a song; check the free memory"
    return ""


class _NoWorkersError(Exception):
    """No worker processes can be started; says why."""


@contextmanager
def _pool(workers: int) -> Iterator[Any]:
    """Start worker processes, and end them afterwards: at once if something is raised.

    There are many reasons why they cannot be started: no shared memory for semaphores, a limit on processes, a daemon.
    """
    executor = None
    try:
        from loky import ProcessPoolExecutor

        with _signals_held():
            executor = ProcessPoolExecutor(workers, initializer=die_with, initargs=(os.getpid(),), env=ONE_THREAD)
            executor.submit(os.getpid).result()
    except Exception as error:
        if executor is not None:
            with suppress(Exception):
                executor.shutdown(kill_workers=True)
        # The text of a BrokenExecutor is long and says just this.
        why = "they end as soon as they start" if isinstance(error, BrokenExecutor) else one_line(error)
        raise _NoWorkersError(why) from error
    try:
        with _quiet():
            yield executor
    except BaseException:  # including GeneratorExit: no worker outlives the run
        executor.shutdown(kill_workers=True)
        raise
    executor.shutdown()


def _in_turns(
    submit: Callable[[Task], Any], tasks: Iterable[Task], begin: Begin, width: Callable[[], int]
) -> Iterator[tuple[Task, Any]]:
    """Submit tasks, and yield each with its future as soon as that is done.

    Args:
        submit: Gives a task to a worker, and returns a future.
        tasks: In their order.
        begin: Called before a task is submitted.
        width: Returns how many tasks may be submitted and not yet done.
    """
    finished: SimpleQueue[int] = SimpleQueue()
    submitted: dict[int, tuple[Task, Any]] = {}
    rest = iter(tasks)
    while True:
        for task in islice(rest, max(0, width() - len(submitted))):
            begin(task)
            submitted[task.number] = task, submit(task)
            submitted[task.number][1].add_done_callback(lambda _, number=task.number: finished.put(number))
        if not submitted:
            return
        yield submitted.pop(finished.get())


def _render_for(pipe: str | None, task: Task) -> Result:
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
def _quiet() -> Iterator[None]:
    """Silence loky's warnings of workers that restart because they had grown."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="loky")
        yield


def _gone(task: Task, reason: str) -> Result:
    return Result(task.number, SongReport(task.source, task.outputs, "failed", reason))


def render_on_dask(
    tasks: Sequence[Task], dask: Any, topic: str, begin: Begin, hear: ProgressCallback
) -> Iterator[Result]:
    """Render the tasks on a cluster. Dask gives the songs of a worker that dies to the others.

    Args:
        tasks: The songs.
        dask: The scheduler's address, or a client.
        topic: A name that no other run has.
        begin: Called once for each task, before it begins.
        hear: Receives progress.

    Raises:
        OSError: No cluster answers or has workers.
        ValueError: The workers cannot do the work.
    """
    with _client(dask) as client:
        _check_workers(client, tasks[0].scratch)
        lost = OSError(f"{client.scheduler.address} answers no more; see to the scheduler, and start this again")

        def width() -> int:
            try:
                threads: dict[str, int] = client.nthreads()
            except Exception as error:  # of whatever kind: this asks the scheduler only
                raise lost from error
            return 2 * max(1, sum(threads.values()))

        submit = partial(client.submit, _render_on_dask, topic, pure=False)
        with hearing_dask(client, topic, hear):
            for task, future in _in_turns(submit, tasks, begin, width):
                if client.status != "running" or future.cancelled():
                    raise lost
                if future.status == "finished":
                    yield future.result()
                else:
                    yield _gone(task, "Dask gave it up, because one worker after another died; see the workers' logs")


def _render_on_dask(topic: str, task: Task) -> Result:
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
