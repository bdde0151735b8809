"""Leave garbage collection out while millions of small objects are made that refer to nothing in circles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the collector, unless somebody has already.

    What is dropped is freed all the same, by its count of references; only circles wait. Reading a million attempts
    with the collector running means walking all that were read again and again: measured, half of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
