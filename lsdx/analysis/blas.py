"""One BLAS thread in each task, however many tasks run at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.Lock()
_running = 0
_limits: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread while any task of this process is inside.

    The limit is the process's: the first task in sets it, the last one out lifts it.

    Examples
    --------
    >>> with one_blas_thread():
    ...     pass
    """
    global _running, _limits
    from threadpoolctl import threadpool_limits

    with _lock:
        if _running == 0:
            _limits = threadpool_limits(1, user_api="blas")
        _running += 1
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if _running == 0:
                _limits.restore_original_limits()
