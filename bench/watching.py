"""Something that is looked at again and again while a block runs.

Decides when: first after `every` seconds, and never again once the block is over. Invariant: the thread that
looks has ended when the block has. Refuses to know what is seen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(every: float, look: Callable[[], object]) -> Iterator[None]:
    """Call `look` in a thread of its own, each so many seconds of the block."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(every):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
