"""Cells run again: workbenches that nobody can reach any more are closed, others never."""

from types import SimpleNamespace

import pytest

from workbench.ui import cells


class Bench:
    closed = False

    def close(self):
        self.closed = True


class Shell(SimpleNamespace):
    def run(self, cell, *benches, **names):
        """Run a cell that assigns variables and shows workbenches."""
        self.execution_count += 1
        self.user_ns.update(names)
        self.get_parent = lambda: {"metadata": {"cellId": cell}}
        for bench in benches:
            cells.replace(bench, self)


@pytest.fixture
def shell(monkeypatch):
    monkeypatch.setattr(cells, "_SHOWN", {})
    return Shell(execution_count=0, user_ns={})


def test_a_cell_run_again_closes_what_it_showed_before(shell):
    first, second = Bench(), Bench()
    shell.run("a", first, bench=first, _1=first, Out={1: first})
    shell.run("a", second, bench=second)
    assert (first.closed, second.closed) == (True, False)


def test_what_a_variable_or_a_list_of_the_user_holds_stays_open(shell):
    first, second, third = Bench(), Bench(), Bench()
    shell.run("a", first, bench=first, kept=first)
    shell.run("a", second, bench=second, many=[second], by_run={74: first})
    shell.run("a", third, bench=third, kept=None)
    assert not any(one.closed for one in (first, second, third))


def test_other_cells_and_the_same_execution_are_left_alone(shell):
    first, second, third = Bench(), Bench(), Bench()
    shell.run("a", first, bench=first)
    shell.run("b", second, third, bench=third)
    shell.run("b", third)
    assert not first.closed
    assert second.closed, "shown by the same cell before, and nobody's now"
    assert not third.closed


def test_without_cells_nothing_happens(shell):
    shell.get_parent = dict
    assert cells.replace(Bench(), shell) == []
    assert cells.replace(Bench()) == []
