"""Time of geometry and image files, each beside a reference in the same run.

* pixel positions: against the rotations applied to whole coordinate arrays one after the other up
  the tree, as PSCalib's ``GeometryObject`` does;
* reading and writing a CSPAD CBF: against CBFlib (pycbf) reading and writing the same sections;
* a deployment: against writing and fsyncing the same text once.

    python benchmarks/geometry.py
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pycbf

from workbench.detectors import CSPAD
from workbench.geometry import Geometry, GeometryStore, pixels
from workbench.images import DetectorImage, read_image, write_image


def best(function, repeat=5):
    """Shortest time of `repeat` calls, s."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def positions_step_by_step(geometry):
    """Rotate whole coordinate arrays about z, y, x and shift them, level by level."""
    columns, rows = CSPAD.module_coordinates_um()
    x0, y0 = np.meshgrid(columns, rows)
    found = np.empty((*CSPAD.shape, 3))
    for place, sensor in enumerate(geometry.sensors):
        x, y, z = x0, y0, np.zeros_like(x0)
        one = sensor
        while one is not None:
            ax, ay, az = np.radians(one.angles_deg)
            x, y = x * np.cos(az) - y * np.sin(az), y * np.cos(az) + x * np.sin(az)
            z, x = z * np.cos(ay) - x * np.sin(ay), x * np.cos(ay) + z * np.sin(ay)
            y, z = y * np.cos(ax) - z * np.sin(ax), z * np.cos(ax) + y * np.sin(ax)
            x, y, z = x + one.x0, y + one.y0, z + one.z0
            one = geometry.parent(one)
        found[place] = np.stack([x, y, z], axis=-1)
    return found


def positions(geometry):
    pixels.positions_um.cache_clear()
    return geometry.pixel_positions_um()


def snapped(geometry):
    pixels.snap.cache_clear()
    return geometry.snapped()


def cbflib_read(path):
    handle = pycbf.cbf_handle_struct()
    handle.read_widefile(str(path).encode(), pycbf.MSG_DIGEST)
    handle.find_category(b"array_data")
    handle.find_column(b"data")
    parts = []
    for row in range(4):
        handle.select_row(row)
        parts.append(np.frombuffer(handle.get_realarray_as_string()))
    return np.concatenate(parts)


def cbflib_write(source, path):
    handle = pycbf.cbf_handle_struct()
    handle.read_widefile(str(source).encode(), pycbf.MSG_NODIGEST)
    flags = pycbf.MIME_HEADERS | pycbf.MSG_DIGEST | pycbf.PAD_4K
    handle.write_widefile(str(path).encode(), pycbf.CBF, flags, 0)


def write_once(text, folder):
    with open(folder / "once", "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def main():
    rng = np.random.default_rng(0)
    geometry = Geometry.ideal()
    for one in geometry.objects[:36]:
        geometry = geometry.rotate(one, z=rng.normal(0, 0.2), y=rng.normal(0, 0.1))
    difference = np.abs(positions(geometry) - positions_step_by_step(geometry)).max()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "x.cbf"
        image = DetectorImage(rng.normal(300, 90, CSPAD.shape), geometry, 121.5, 1.305)
        write_image(image, path)
        assert np.array_equal(cbflib_read(path), read_image(path).data.ravel())
        store = GeometryStore(folder, "CxiDs1.0:Cspad.0")
        store.deploy(geometry)
        text = geometry.to_text()
        rows = [
            ("pixel positions", lambda: positions(geometry),
             "step by step", lambda: positions_step_by_step(geometry)),
            ("snapped picture", lambda: snapped(geometry),
             "step by step", lambda: positions_step_by_step(geometry)),
            ("read a CBF", lambda: read_image(path), "CBFlib", lambda: cbflib_read(path)),
            ("write a CBF", lambda: write_image(image, folder / "y.cbf"),
             "CBFlib, read and write", lambda: cbflib_write(path, folder / "z.cbf")),
            ("deploy a version", lambda: store.deploy(geometry),
             "one file, one fsync", lambda: write_once(text, folder)),
        ]  # fmt: skip
        print(f"positions agree to {difference:.1e} µm\n")
        print(f"{'':<20s}{'time':>10s}   {'reference':<24s}{'time':>10s}{'ratio':>8s}")
        for what, ours, reference, theirs in rows:
            a, b = best(ours), best(theirs)
            print(
                f"{what:<20s}{1000 * a:>7.1f} ms   {reference:<24s}{1000 * b:>7.1f} ms{a / b:>8.2f}"
            )


if __name__ == "__main__":
    main()
