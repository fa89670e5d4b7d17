"""Signals and time budgets become a flag; a second Ctrl-C is obeyed at once."""

import os
import signal
import threading

import pytest

from maskgen.train import stopping as module
from maskgen.train.errors import TrainError
from maskgen.train.stopping import Stopping, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1h30m15s", 5415),
        ("1h15s", 3615),
        ("1d2h", 93600),
        ("1.5h", 5400),
        ("90", 90),
        (" 90s ", 90),
        (90, 90),
        (0.5, 0.5),
    ],
)
def test_budgets(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "0", "0s", "h", "2 hours", "30m1h", "-5s", "-5", "1h30", "nan", "inf", "2h2h"])
def test_bad_budgets_are_refused(text):
    with pytest.raises(TrainError, match="time budget"):
        seconds(text)


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_the_budget_counts_from_the_construction(clock):
    stopping = Stopping("2m")
    clock[0] += 119.9
    assert not stopping.asked
    assert stopping.reason is None
    clock[0] += 0.1
    assert stopping.asked
    assert stopping.reason == "the time budget of 2m"
    assert Stopping(None).reason is None


def test_a_budget_in_bare_seconds_is_named_so(clock):
    stopping = Stopping(0.5)
    clock[0] += 1
    assert stopping.reason == "the time budget of 0.5 seconds"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks(number):
    before = signal.getsignal(number)
    with Stopping() as stopping:
        assert not stopping.asked
        os.kill(os.getpid(), number)
        assert stopping.asked
        assert stopping.reason == number.name
    assert signal.getsignal(number) is before
    assert stopping.reason == number.name


def test_sigterm_may_come_again_and_a_first_sigint_after_it_interrupts_nothing():
    with Stopping() as stopping:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert stopping.asked


def test_a_second_sigint_interrupts_at_once():
    with Stopping() as stopping:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopping.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert stopping.asked


def test_a_second_sigint_counts_also_when_sigterm_came_between():
    with Stopping():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_handlers_are_given_back_when_the_block_raises():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), Stopping():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_thread_has_the_budget_alone(clock):
    found = []

    def run():
        with Stopping("1s") as stopping:
            clock[0] += 2
            found.append(stopping.asked)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [True]
    assert signal.getsignal(signal.SIGTERM) is before
