"""Constants of LCLS-II runs, asked of psana's database by psana's own client; without being asked
for, nothing is."""

import io
import json
import re
import socket
import threading
from contextlib import redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest

import workbench as wb
from workbench.cli import main
from workbench.constants import read_constants
from workbench.detectors import JUNGFRAU_05M, JUNGFRAU_1M
from workbench.errors import ConstantsError
from workbench.geometry import Geometry
from workbench.pipeline.psana_database import fetch_constants

FILE = "jungfrau05M_mfx101332224_r0007.xtc2"
SHORT = "jungfrau_000042"
SHAPE = (3, *JUNGFRAU_05M.shape)


class Database:
    """What the web service answers: documents of collections, data by their number (GridFS)."""

    def __init__(self):
        self.documents, self.data, self.asked, self.status = {}, {}, [], 200

    def add(self, database, collection, values=None, **facts):
        number = f"{0x65000000 + len(self.data):08x}{len(self.data):016x}"
        document = {
            "_id": number,
            "experiment": "mfx101332224",
            "time_stamp": "2025-03-28",
            **facts,
        }
        content = values
        if isinstance(values, str):
            content = values.encode()
            document |= {"data_type": "str"}
        elif values is not None:
            content = values.tobytes()
            document |= {"data_type": "ndarray", "data_dtype": str(values.dtype),
                         "data_shape": str(values.shape)}  # fmt: skip
        self.data[number] = content
        document["id_data"] = number
        self.documents.setdefault((database, collection), []).append(document)

    def answer(self, path, query):
        database, collection, *number = path.removeprefix("/calib_ws/").split("/")
        if collection == "gridfs":
            return self.data[number[0]]
        wanted = json.loads(query.get("query_string", ["{}"])[0])
        most = wanted.get("run", {}).get("$lte", 9999)
        plain = {key: value for key, value in wanted.items() if isinstance(value, str)}
        chosen = [
            document
            for document in self.documents.get((database, collection), [])
            if plain.items() <= document.items() and document.get("run", 0) <= most
        ]
        return json.dumps(chosen).encode()


@pytest.fixture
def database(monkeypatch):
    """psana's client is told that this is the server."""
    constants = pytest.importorskip("psana.pscalib.calib.CalibConstants")
    base = Database()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = urlparse(self.path)
            base.asked.append(self.path)
            content = base.answer(asked.path, parse_qs(asked.query))
            self.send_response(base.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "URL", f"http://127.0.0.1:{server.server_port}/calib_ws/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield base
    server.shutdown()
    server.server_close()


@pytest.fixture
def run(shared_data, monkeypatch):
    monkeypatch.setenv("PS_PARALLEL", "none")
    pytest.importorskip("psana")
    return wb.open_run(files=[shared_data / "xtc2" / FILE])


def filled(database, run, kinds=("pedestals", "pixel_gain", "pixel_status", "geometry")):
    """Pedestals of the experiment for three ranges of runs, the rest of the detector."""
    database.add("cdb_detnames", "jungfrau", long=run.unique_id, short=SHORT)
    of = {"detector": SHORT}
    pedestals = np.random.default_rng(1).normal(3000, 50, SHAPE).astype(np.float32)
    experiment = ("cdb_mfx101332224", SHORT)
    for begin, end, more in ((1, "end", 1), (5, 8, 0), (9, "end", 2)):
        if "pedestals" in kinds:
            database.add(
                *experiment, pedestals + more, ctype="pedestals", run=begin, run_end=end, **of
            )
    gain = np.full(SHAPE, 41.5)
    gain[1], gain[2] = -1.39, -0.11
    status = np.zeros(SHAPE, np.uint64)
    status[0, 0, 3, 4] = 1 << 40
    text = Geometry.ideal(JUNGFRAU_05M).to_text()
    for kind, values in {"pixel_gain": gain, "pixel_status": status, "geometry": text}.items():
        if kind in kinds:
            database.add(f"cdb_{SHORT}", SHORT, values, ctype=kind, run=0, run_end="end", **of)
    return pedestals, gain, status


def test_the_constants_that_psana_would_take_become_files(database, run, tmp_path):
    pedestals, gain, status = filled(database, run)
    copied = {item.kind: item for item in fetch_constants(run, tmp_path)}
    assert {kind: item.path.name for kind, item in copied.items()} == {
        "pedestals": "5-8.data", "pixel_gain": "0-end.data", "pixel_status": "0-end.data",
        "geometry": "0-end.data",
    }  # fmt: skip
    for kind, expected in {
        "pedestals": pedestals,
        "pixel_gain": gain,
        "pixel_status": status,
    }.items():
        values = read_constants(tmp_path, run.address, kind, 7, run.detector)
        assert np.array_equal(values, expected.astype(values.dtype)), kind
        assert "psana database: mfx101332224" in (copied[kind].path.parent / "HISTORY").read_text()
    store = wb.GeometryStore(tmp_path, run.address)
    assert store.link == copied["geometry"].path
    assert Geometry.read(store.link) == Geometry.ideal(JUNGFRAU_05M)


@pytest.mark.slow
def test_events_are_corrected_with_what_was_copied(database, run, shared_data, tmp_path):
    pedestals, *_ = filled(database, run)
    fetch_constants(run, tmp_path)
    asked = len(database.asked)
    opened = wb.open_run(files=[shared_data / "xtc2" / FILE], calib_dir=tmp_path)
    event = next(opened.events(wb.Corrections(pedestal=True, pixel_gain=True)))
    high = event.raw >> 14 == 0
    expected = (event.raw - pedestals[0]) / np.float32(41.5)
    assert np.allclose(event.data[high], expected[high], rtol=1e-5, atol=1e-5)
    assert len(database.asked) == asked


def test_a_second_time_nothing_is_written(database, run, tmp_path):
    filled(database, run, ("pedestals", "geometry"))
    fetch_constants(run, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert not any(item.written for item in fetch_constants(run, tmp_path))
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    database.documents["cdb_mfx101332224", SHORT][1]["_id"] = "f" * 24
    database.data[database.documents["cdb_mfx101332224", SHORT][1]["id_data"]] = bytes(
        4 * int(np.prod(SHAPE))
    )
    with pytest.raises(ConstantsError, match=r"5-8.data holds other pedestals than .* move that"):
        fetch_constants(run, tmp_path)


def test_what_cannot_be_copied_is_one_sentence(database, run, tmp_path):
    with pytest.raises(ConstantsError, match="does not know this jungfrau"):
        fetch_constants(run, tmp_path)
    database.add("cdb_detnames", "jungfrau", long=run.unique_id, short=SHORT)
    with pytest.raises(ConstantsError, match="holds no constants of jungfrau that serve"):
        fetch_constants(run, tmp_path)
    facts = {"detector": SHORT, "run": 0, "run_end": "end"}
    text = Geometry.ideal(JUNGFRAU_1M).to_text()
    database.add("cdb_mfx101332224", SHORT, text, ctype="geometry", **facts)
    with pytest.raises(ConstantsError, match=r"is that of the Jungfrau 1M, not of the Jungfrau 0"):
        fetch_constants(run, tmp_path)
    small = np.zeros((3, 1, 512, 512), np.float32)
    database.add("cdb_mfx101332224", SHORT, small, ctype="pedestals", **facts)
    with pytest.raises(ConstantsError, match=r"must have the shape \(3, 1, 512, 1024\)"):
        fetch_constants(run, tmp_path)
    database.status = 503
    with pytest.raises(ConstantsError, match=r"127.0.0.1.* gave no answer .*LCLS_CALIB_HTTP"):
        fetch_constants(run, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_server_that_is_not_there_is_named(database, run, tmp_path, monkeypatch):
    from psana.pscalib.calib import CalibConstants

    monkeypatch.setattr(CalibConstants, "URL", "http://127.0.0.1:9/calib_ws/")
    with pytest.raises(ConstantsError, match=r"127.0.0.1:9/.* gave no answer \(ConnectionError\)"):
        fetch_constants(run, tmp_path)


def test_the_command_lists_the_files(database, run, shared_data, tmp_path):
    filled(database, run, ["geometry"])
    words = ["constants", str(shared_data / "xtc2" / FILE)]
    printed, problems = io.StringIO(), io.StringIO()
    with redirect_stdout(printed), redirect_stderr(problems):
        assert main([*words, "--calib-dir", str(tmp_path), "--json"]) == 0
        assert main(words) == 1
        assert main(["constants"]) == 1
    (item,) = json.loads(printed.getvalue())
    assert (item["kind"], item["written"]) == ("geometry", True)
    first, second = problems.getvalue().splitlines()
    assert re.search("--calib-dir", first)
    assert re.search("Give the XTC2 files", second)


def test_no_server_is_asked_unless_it_is_asked_for(shared_data, tmp_path, monkeypatch):
    pytest.importorskip("psana")
    asked = []

    def refuse(*words):
        asked.append(words)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", lambda self, *words: refuse(words))
    opened = wb.open_run(files=[shared_data / "xtc2" / FILE], calib_dir=tmp_path)
    wb.average_run(opened, wb.Corrections(pedestal=False))
    assert main(["average", str(shared_data / "xtc2" / FILE), "-R", "-o", str(tmp_path)]) == 0
    assert asked == []
