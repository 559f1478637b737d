"""Ctrl-C while things are put back: held off until they are."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A block that Ctrl-C does not break: it waits until the end (Python delivers it to the main thread only)."""
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        yield
        return
    waiting: list[Any] = []
    signal.signal(signal.SIGINT, lambda *arguments: waiting.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if waiting:
            previous(*waiting[0])


@contextmanager
def closed_undisturbed() -> Iterator[ExitStack]:
    """A stack of blocks and callbacks whose closing Ctrl-C does not break off half-way."""
    stack = ExitStack()
    try:
        yield stack
    finally:
        try:
            with uninterrupted():
                stack.close()
        except KeyboardInterrupt:  # it came before it was held off
            with uninterrupted():
                stack.close()
            raise
