"""A clock for recordings: a busy machine must not add a bar.

Test modules name it in ``pytest_plugins``, for its fixtures.
"""

import time

import pytest

from aula.instruments import jobs, record, tasks


class Clock:
    """In place of ``time``."""

    def __init__(self):
        self.now = 1000.0
        self.tick = 1e-6

    def perf_counter(self):
        self.now += self.tick
        return self.now

    def block(self, seconds):
        self.now += seconds


def keep_time(monkeypatch, clock):
    monkeypatch.setattr(tasks, "time", clock)
    monkeypatch.setattr(record, "time", clock)
    monkeypatch.setattr(jobs, "time", clock)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    keep_time(monkeypatch, clock)
    return clock


@pytest.fixture
def real_time(clock, monkeypatch):
    keep_time(monkeypatch, time)
