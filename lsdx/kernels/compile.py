"""Compile kernels with numba, cached on disk where the machine allows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` in nopython mode, without the GIL."""
    try:
        compiled: Callable[..., Any] = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no writable place for numba's cache
        compiled = numba.njit(nogil=True)(function)
    return compiled
