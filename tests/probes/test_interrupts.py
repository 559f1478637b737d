"""Ctrl-C at any line of any probe leaves no trace."""

import linecache
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import nn

import normlab.probes
from normlab.probes import activation_moments, covariate_shift, landscape
from normlab.probes.interrupts import closed_undisturbed, uninterrupted
from tests.reference.functions import loss_fn, vectors
from tests.reference.traces import no_trace

SOURCES = str(Path(normlab.probes.__file__).parent)
PROBES = {
    "landscape": lambda m, b: landscape(m, loss_fn, b, [0.1]),
    "shift": lambda m, b: covariate_shift(m, loss_fn, b, learning_rate=0.1),
    "moments": lambda m, b: activation_moments(m, b, ["0"]),
}


class Interrupt:
    """Raises KeyboardInterrupt once, at the `at`-th line that runs in the sources of the probes.

    As a signal would: not while it is held off, and not at a line that calls nothing (Python looks for signals at
    calls).
    """

    def __init__(self, at: int) -> None:
        self.at, self.lines = at, 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self.line if frame.f_code.co_filename.startswith(SOURCES) else None

    def line(self, frame: FrameType, event: str, argument: Any) -> Any:
        text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        if event == "line" and text not in ("try:", "finally:", "yield", "yield state"):
            self.lines += 1
            if self.lines >= self.at > 0 and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self.at = 0
                raise KeyboardInterrupt
        return self.line

    def __enter__(self) -> "Interrupt":
        self.previous = sys.gettrace()
        sys.settrace(self)
        return self

    def __exit__(self, *error: Any) -> None:
        sys.settrace(self.previous)


@pytest.mark.parametrize("name", PROBES)
def test_at_any_line(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 3)).double()
    model[1].eval()
    batch = vectors()
    loss_fn(model, batch).backward()
    with Interrupt(0) as counted:
        PROBES[name](model, batch)
    # all over the call, and closer together near its end, where things are put back
    ends = range(counted.lines - 300, counted.lines + 1, 9)
    interrupted = 0
    for at in [*range(1, counted.lines, max(1, counted.lines // 37)), *ends]:
        with no_trace(model, batch):
            try:
                with Interrupt(at):
                    PROBES[name](model, batch)
            except KeyboardInterrupt:
                interrupted += 1
    assert interrupted > 37  # the calls above were really cut short, along their whole length


def test_a_signal_waits_for_the_end_of_the_restoration() -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        steps.append("after the signal")
    assert steps == ["after the signal"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_a_thread_there_is_nothing_to_hold_off() -> None:
    seen = []

    def run() -> None:
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_where_python_does_not_handle_the_signal_there_is_nothing_to_hold_off(handler: Any) -> None:
    previous = signal.signal(signal.SIGINT, handler)
    try:
        with uninterrupted():
            assert signal.getsignal(signal.SIGINT) is handler
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, previous)


def test_a_handler_of_ones_own_is_told_once_and_after_the_block() -> None:
    told: list[Any] = []

    def handler(number: int, frame: Any) -> None:
        told.append((number, frame))

    previous = signal.signal(signal.SIGINT, handler)
    try:
        with uninterrupted():
            pass
        assert told == []
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            assert told == []
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, previous)
    assert [number for number, _ in told] == [signal.SIGINT]
    assert isinstance(told[0][1], FrameType)


@pytest.mark.parametrize("error", [None, ValueError])
def test_a_stack_is_closed_however_its_block_ends_and_ctrl_c_waits(error: type[Exception] | None) -> None:
    closed: list[int] = []

    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        closed.append(2)

    with pytest.raises(KeyboardInterrupt), closed_undisturbed() as stack:  # noqa: PT012
        stack.callback(closed.append, 1)
        stack.callback(interrupted)
        stack.callback(closed.append, 3)
        if error:
            raise error
    assert closed == [3, 2, 1]


def test_a_stack_that_ctrl_c_reaches_while_it_closes_is_closed_to_its_end() -> None:
    closed: list[int] = []

    def broken_off() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), closed_undisturbed() as stack:  # noqa: PT012
        stack.push(lambda *_: closed.append(1))
        stack.callback(broken_off)
    assert closed == [1]
