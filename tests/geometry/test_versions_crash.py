"""A deployment that is killed, refused or raced leaves the old or the new state, and no loss."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from workbench.errors import VersionStoreError
from workbench.geometry import Geometry, GeometryStore

DRIVER = Path(__file__).with_name("store_driver.py")
ADDRESS = "CxiDs1.0:Cspad.0"
STATES = ("plain", "versions", "foreign link", "no folder", "tampered")


@pytest.fixture
def quick_folder(tmp_path):
    """Folder in memory where there is one: hundreds of fsyncs are slow on a disk."""
    if os.access("/dev/shm", os.W_OK):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            yield Path(folder)
    else:
        yield tmp_path


def drive(mode, folder, *states):
    done = subprocess.run(
        [sys.executable, DRIVER, mode, folder, *states], capture_output=True, text=True, check=True
    )
    cases = [json.loads(line) for line in done.stdout.splitlines()]
    assert {case["state"] for case in cases} == set(states)
    for case in cases:
        assert case["old"] or case["new"], case
        assert case["old_kept"], case
        assert case["versions_kept"], case
        assert case["recorded"], case
        assert case["later"], case
        assert case["consecutive"], case
        assert len(case["interrupted"]) <= 1, case
        assert case["problems"] == case["leftovers"] == [], case
    return cases


@pytest.mark.parametrize(
    "state",
    [pytest.param(one, marks=() if one == "versions" else pytest.mark.slow) for one in STATES],
)
def test_killed_at_any_file_system_call_it_leaves_the_old_or_the_new_state(quick_folder, state):
    seen = Counter(case["status"] for case in drive("kill", quick_folder, state))
    assert seen[-9] > 20
    assert seen[0] == 1  # the last case ran past the last call


@pytest.mark.slow
def test_a_full_disk_at_any_call_leaves_everything_as_it_was(quick_folder):
    cases = drive("fail", quick_folder, *STATES)
    refused = [case for case in cases if case["status"] == 1]
    assert len(refused) > 50
    for case in refused:
        assert case["unchanged"], case
    assert all(case["status"] in (0, 1) for case in cases)


def test_without_permission_everything_stays_as_it_was():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        store = GeometryStore(folder, ADDRESS)
        store.folder.mkdir(parents=True)
        store.link.write_text(Geometry.ideal().to_text())
        geometry = Geometry.ideal().move_quadrants([(1, 1)] * 4)
        store.folder.chmod(0o555)
        before = sorted(os.listdir(store.folder))
        pid = os.fork()
        if pid == 0:
            status = 70
            try:
                if os.getuid() == 0:
                    os.setuid(65534)
                store.deploy(geometry)
            except VersionStoreError as error:
                status = 1 if "everything is as it was (Permission denied)" in str(error) else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
        assert sorted(os.listdir(store.folder)) == before
        assert store.geometry() == Geometry.ideal()
        store.folder.chmod(0o755)


RACER = """
import sys
from workbench.geometry import Geometry, GeometryStore
store = GeometryStore(sys.argv[1], sys.argv[2])
geometry = Geometry.ideal().move_quadrants([(int(sys.argv[3]), 0)] * 4)
sys.stdin.readline()
print(store.deploy(geometry, f"racer {sys.argv[3]}").number)
"""


def test_eight_deployments_at_once_give_eight_consecutive_versions(tmp_path):
    store = GeometryStore(tmp_path, ADDRESS)
    store.folder.mkdir(parents=True)
    store.link.write_text(Geometry.ideal().to_text())
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, tmp_path, ADDRESS, str(number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in range(8)
    ]  # fmt: skip
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    while any(racer.poll() is None for racer in racers):
        Geometry.read(store.link)  # there is a whole one at every moment
    numbers = [int(racer.communicate()[0]) for racer in racers]
    assert sorted(numbers) == list(range(1, 9))
    versions = store.history()
    assert [version.number for version in versions] == list(range(9))
    assert versions[0].geometry() == Geometry.ideal()
    for racer, number in enumerate(numbers):
        expected = Geometry.ideal().move_quadrants([(racer, 0)] * 4)
        assert versions[number].geometry() == expected
        assert versions[number].comment == f"racer {racer}"
    assert store.current().number == store.switches()[-1].version
    assert [switch.version for switch in store.switches()] == list(range(9))
    assert store.verify() == []
