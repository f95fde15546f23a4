"""What a writer need not wait for: closed segments rewritten, copied elsewhere, anchors told."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from molehunt.errors import LogError

Task = Callable[[], None]


class Background:
    """One thread that does tasks in order, and something at every tick between them."""

    def __init__(self, tick: Task, seconds: float) -> None:
        self.trouble = ""
        """What the last task that failed said; empty again once one has not."""
        self._tick, self._seconds = tick, seconds
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="molehunt-log", daemon=True)
        self._thread.start()

    def put(self, task: Task) -> None:
        """Have a task done."""
        self._tasks.put(task)

    def stop(self) -> None:
        """Do what was put, and end."""
        self._tasks.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            task: Task | None = self._tick
            with suppress(queue.Empty):
                task = self._tasks.get(timeout=self._seconds)
            if task is None and self._tasks.empty():
                return
            if task is None:  # what is being done puts more; the end comes after it
                self._tasks.put(None)
                continue
            try:
                task()
                self.trouble = ""
            except LogError as error:
                self.trouble = str(error)
