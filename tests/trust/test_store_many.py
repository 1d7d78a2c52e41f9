"""Many processes and threads change one store at once, with readers beside them."""

import os
import threading

import pytest
from faults import in_child

from workbench.geometry import Geometry, GeometryStore

ADDRESS = "CxiDs1.0:Cspad.0"
PROCESSES = THREADS = 8
EACH = 100
"""Deployments and roll-backs of each process and thread together, one in four a roll-back."""
IDEAL = Geometry.ideal()


def change(folder, who):
    """Deploy versions of one's own, rolling back after every third."""
    store = GeometryStore(folder, ADDRESS)
    for number in range(EACH):
        if number % 4 != 3:
            version = store.deploy(IDEAL.move_quadrants([(who, number)] * 4), f"{who} {number}")
        else:
            store.rollback(version.number - 1, f"{who} {number}")


def threads_change(folder, first):
    workers = [
        threading.Thread(target=change, args=(folder, first + who)) for who in range(THREADS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


@pytest.mark.slow
def test_processes_and_threads_deploy_and_roll_back_beside_readers(tmp_path, monkeypatch):
    """Eight processes at once, then eight threads here."""
    monkeypatch.setattr("workbench.geometry.store.files.LOCK_SECONDS", 600)  # a busy machine
    store = GeometryStore(tmp_path, ADDRESS)
    store.folder.mkdir(parents=True)
    IDEAL.write(store.link)
    stop, reads, unusable = threading.Event(), [], []

    def read():
        while not (reads and stop.is_set()) and not unusable:
            try:
                reads.append(Geometry.read(store.link).modules[0].name)
                store.history()
            except Exception as error:
                unusable.append(error)

    changing = threading.Thread(target=threads_change, args=(tmp_path, 1000))
    statuses = []

    def children():
        statuses.append(in_child(lambda: os._exit(_processes(tmp_path))))

    children()  # the processes are forked before there are threads here
    reader = threading.Thread(target=read)
    reader.start()
    changing.start()
    changing.join()
    stop.set()
    reader.join()
    assert statuses == [0]
    assert reads
    assert unusable == []
    total = (PROCESSES + THREADS) * EACH * 3 // 4
    history = store.history()
    assert [version.number for version in history] == list(range(total + 1))
    assert history[0].geometry() == IDEAL
    comments = {version.comment for version in history[1:]}
    assert len(comments) == total
    assert len(store.switches()) == (PROCESSES + THREADS) * EACH + 1
    assert store.verify() == []


def _processes(folder):
    """Fork processes that change the store, and readers; gives 0 if all went well."""
    children = []
    for number in range(PROCESSES):
        pid = os.fork()
        if pid == 0:
            status = 70
            try:
                change(folder, 10 * number)
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    store = GeometryStore(folder, ADDRESS)
    for _ in range(50):
        Geometry.read(store.link)
        store.history()
    return max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children)
