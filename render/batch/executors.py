"""Run tasks on the cores of this machine or on a Dask cluster, even if single workers die."""

import logging
import os
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ...core.background import BackgroundWorker
from ...core.errors import StemBridgeError
from ...core.extras import install_extra
from ...core.processes import signals_blocked
from ..report.results import SongReport
from ..storage import reason_for
from .progress import ProgressCallback, ProgressSender, receive_from_dask, receive_from_pipe, send_to_dask, send_to_pipe
from .task import WORKER_DIED, Result, Task, exit_with_parent, forget_network, render_task, unfinished_attempts

CLUSTER_TIMEOUT_S = 10  # a cluster must answer within this time
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # environment of workers, for NumPy
MAX_FAILED_STARTS = 3  # how often workers may die before any of them has begun a song

Begin = Callable[[Task], None]
"""Called before a task is given to a worker, by any thread."""


def render_here(tasks: Iterable[Task], begin: Begin, on_progress: ProgressCallback) -> Iterator[Result]:
    """Render tasks in this process, one by one, and yield the results.

    Args:
        tasks: The songs.
        begin: Called before each task.
        on_progress: Receives progress updates.
    """
    try:
        for task in tasks:
            begin(task)
            yield render_task(task, ProgressSender(on_progress, task.number))
    finally:
        forget_network()


def render_on_cores(
    tasks: Sequence[Task], jobs: int, folder: Path, begin: Begin, on_progress: ProgressCallback
) -> Iterator[Result]:
    """Render tasks in `jobs` processes, and yield the results as they come.

    If a worker runs out of memory or crashes, its songs are tried once more, alone, and the others go on. If no workers
    can be started, this process does the work, after a RuntimeWarning.

    Args:
        tasks: The songs.
        jobs: Number of processes.
        folder: The run's scratch folder.
        begin: Called once for each task, before it begins.
        on_progress: Receives progress updates.
    """
    waiting = {task.number: task for task in tasks}
    begun: set[int] = set()

    def begin_once(task: Task) -> None:
        if task.number not in begun:
            begun.add(task.number)
            begin(task)

    with receive_from_pipe(folder, on_progress) as pipe:
        why = yield from _render_on_loky(waiting, jobs, folder, pipe, begin_once)
    if waiting:
        line = f"worker processes cannot be started, so songs are rendered one at a time ({why})"
        warnings.warn(line, RuntimeWarning, stacklevel=2)
        yield from render_here(list(waiting.values()), begin_once, on_progress)


def _render_on_loky(
    waiting: dict[int, Task], jobs: int, folder: Path, pipe: str | None, begin: Begin
) -> Generator[Result, None, str]:
    """Render tasks, and remove them from `waiting`. If some remain there, return why workers cannot be started."""
    suspects: list[int] = []
    starts = 0
    while waiting:
        alone = waiting[suspects.pop(0)] if suspects else None
        now = [alone] if alone else list(waiting.values())
        workers = min(jobs, len(now))
        try:
            with _pool(workers) as submit_to_pool:
                submit = partial(submit_to_pool, _render_for, pipe)
                for _, future in _in_turns(submit, now, begin, partial(int, 2 * workers)):
                    result: Result = future.result()
                    starts = 0
                    del waiting[result.number]
                    yield result
        except _NoWorkersError as error:
            return str(error)
        except BrokenExecutor:
            if alone and waiting.pop(alone.number, None):
                yield _lost(alone, WORKER_DIED)
            elif not alone:
                suspects = [number for number in waiting if unfinished_attempts(folder / str(number))]
                starts += not suspects
                if starts == MAX_FAILED_STARTS:
                    return "they die before they begin a song; check the free memory"
    return ""


class _NoWorkersError(Exception):
    """No worker processes can be started; says why."""


@contextmanager
def _pool(workers: int) -> Iterator[Callable[..., Any]]:
    """Start worker processes, yield `submit`, and end the processes afterwards, at once if something is raised.

    Many things can prevent a start: no shared memory for semaphores, a limit on processes, a daemonic process. One
    thread makes all calls of loky, because Ctrl-C does not interrupt it. Halfway, it would leave processes that never
    end.
    """
    try:
        thread = BackgroundWorker()
    except RuntimeError as error:  # the system allows no more threads
        raise _NoWorkersError(reason_for(error)) from error
    with closing(thread):
        executor = None  # until it is made; before that, there are no workers
        try:
            from loky import ProcessPoolExecutor

            options = {"initializer": exit_with_parent, "initargs": (os.getpid(),), "env": ONE_THREAD}
            executor = thread.call(_with_signals_blocked, partial(ProcessPoolExecutor, workers, **options))
            submit = partial(thread.call, _with_signals_blocked, executor.submit)
            submit(os.getpid).result()
        except BaseException as error:
            if executor is not None:
                with suppress(Exception):
                    thread.call(partial(executor.shutdown, kill_workers=True))
            if not isinstance(error, Exception):
                raise
            # The long text of a BrokenExecutor says only this.
            why = "they die at once" if isinstance(error, BrokenExecutor) else reason_for(error)
            raise _NoWorkersError(why) from error
        try:
            with _quiet():
                yield submit
        except BaseException:  # including GeneratorExit: no worker outlives the run
            thread.call(partial(executor.shutdown, kill_workers=True))
            raise
        thread.call(executor.shutdown)


def _with_signals_blocked(work: Callable[..., Any], *arguments: Any) -> Any:
    with signals_blocked("SIGINT", "SIGTERM", "SIGHUP"):  # this process stops its workers
        return work(*arguments)


def _in_turns(
    submit: Callable[[Task], Any], tasks: Iterable[Task], begin: Begin, width: Callable[[], int]
) -> Iterator[tuple[Task, Any]]:
    """Submit tasks, and yield each with its future as soon as that is done.

    Args:
        submit: Gives a task to a worker, and returns a future.
        tasks: In their order.
        begin: Called before a task is submitted.
        width: Returns the number of tasks that may be submitted and not yet done.
    """
    finished: SimpleQueue[int] = SimpleQueue()
    submitted: dict[int, tuple[Task, Any]] = {}
    remaining = iter(tasks)
    while True:
        for task in islice(remaining, max(0, width() - len(submitted))):
            begin(task)
            submitted[task.number] = task, submit(task)
            submitted[task.number][1].add_done_callback(lambda _, number=task.number: finished.put(number))
        if not submitted:
            return
        yield submitted.pop(finished.get())


def _render_for(pipe: str | None, task: Task) -> Result:
    return render_task(task, ProgressSender(partial(send_to_pipe, pipe), task.number) if pipe else None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence loky's warnings about workers that restart because they use too much memory."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="loky")
        yield


def _lost(task: Task, reason: str) -> Result:
    return Result(task.number, SongReport(task.source, task.outputs, "failed", reason))


def render_on_dask(
    tasks: Sequence[Task], dask: Any, topic: str, begin: Begin, on_progress: ProgressCallback
) -> Iterator[Result]:
    """Render tasks on a cluster, and yield the results as they come. If a worker dies, Dask moves its songs to others.

    Args:
        tasks: The songs.
        dask: The scheduler's address, or a client.
        topic: A name that no other run has.
        begin: Called once for each task, before it begins.
        on_progress: Receives progress updates.

    Raises:
        OSError: No cluster answers, or it has no workers.
        ValueError: The workers cannot do the work.
    """
    with _client(dask) as client:
        _check_workers(client, tasks[0].scratch)
        lost = OSError(f"{client.scheduler.address} does not answer any more; check the scheduler, and start again")

        def width() -> int:
            try:
                threads: dict[str, int] = client.nthreads()
            except Exception as error:  # of any kind, because this only asks the scheduler
                raise lost from error
            return 2 * max(1, sum(threads.values()))

        submit = partial(client.submit, _render_on_dask, topic, pure=False)
        with receive_from_dask(client, topic, on_progress):
            for task, future in _in_turns(submit, tasks, begin, width):
                if client.status != "running" or future.cancelled():
                    raise lost
                if future.status == "finished":
                    yield future.result()
                else:
                    yield _lost(task, "Dask gave up, because one worker after another died; see the workers' logs")


def _render_on_dask(topic: str, task: Task) -> Result:
    return render_task(task, ProgressSender(partial(send_to_dask, topic), task.number))


@contextmanager
def _client(dask: Any) -> Iterator[Any]:
    try:
        from distributed import Client
        from distributed.comm import resolve_address
    except ImportError:
        raise StemBridgeError(f"Dask is not installed; install it with: {install_extra('dask')}") from None
    if isinstance(dask, Client):
        yield dask
        return
    try:
        if isinstance(dask, str):
            resolve_address(dask)  # otherwise Client fails half made, and prints errors when the process ends
        client = Client(dask, set_as_default=False, timeout=CLUSTER_TIMEOUT_S)
    except (OSError, ValueError, TypeError) as error:
        line = f"no Dask scheduler answers at {dask}; start one with `dask scheduler`, or correct the address"
        raise OSError(line) from error
    try:
        yield client
    finally:
        with _unlogged("distributed.client"):  # it would log a traceback if the scheduler is gone
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
        client.wait_for_workers(1, timeout=CLUSTER_TIMEOUT_S)
    except TimeoutError:
        raise OSError(f"{address} has no workers; start some with `dask worker {address}`") from None
    try:
        seen = client.run(_sees, scratch)
    except Exception as error:
        line = f"workers of {address} cannot load StemBridge ({reason_for(error)}); install this version of it on them"
        raise StemBridgeError(line) from error
    if blind := [worker for worker, sees in seen.items() if not sees]:
        raise StemBridgeError(f"{blind[0]} does not see {scratch}; give an output that all workers share, or a URL")


def _sees(folder: str | None) -> bool:
    return folder is None or os.path.isdir(folder)
