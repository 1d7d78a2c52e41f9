"""XTC files made byte by byte for the tests, from the published layouts alone.

Nothing here comes from the package: two independent readings of the format have to agree.
"""

from __future__ import annotations

from pathlib import Path
from struct import pack

import numpy as np

CONFIGURE, BEGIN_RUN, END_RUN, BEGIN_CALIB, END_CALIB, ENABLE, DISABLE, L1 = (
    4,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
)
CXIDS1 = 0x20000A00
XPPGON = 0x14000A00
CXI_2X2 = 0x22000D00  # CxiDsu.0:Cspad2x2.0
IP = 0x7F000001
T0 = 1_360_000_000

# per config version: total bytes, offsets of AsicMask, quadMask, roiMask, quads; stride, gain map
CONFIG = {
    1: (287804, 36, 40, None, 44, 71940, 160),
    2: (287808, 36, 40, 44, 48, 71940, 160),
    3: (287844, 72, 76, 80, 84, 71940, 160),
    4: (287892, 72, 76, 80, 84, 71952, 172),
    5: (287928, 76, 80, 84, 88, 71960, 180),
}


def xtc(contains, payload, *, log=0x01000123, phy=CXIDS1, damage=0, extent=None):
    size = 20 + len(payload) if extent is None else extent
    return pack("<5I", damage, log, phy, contains, size) + payload


def container(*children, damage=0, log=0x02000123, contains=0x00010001):
    return xtc(contains, b"".join(children), log=log, phy=IP, damage=damage)


def dgram(service, *children, sec=T0, ns=0, fid=0, ticks=7, vector=0, env=0, damage=0, extra=0):
    root = container(*children, damage=damage, log=0x03000456)
    low = ticks | (service | extra) << 24
    return pack("<5I", ns, sec, low, fid | vector << 17, env) + root


def config(version=5, quad_mask=0xF, roi=0xFFFFFFFF, asic_mask=0xF, gains=None, pad=0, **src):
    total, asic_at, quad_at, roi_at, quads_at, stride, gain_at = CONFIG[version]
    body = bytearray(total)
    put = lambda at, value: body.__setitem__(slice(at, at + 4), pack("<I", value))  # noqa: E731
    put(asic_at, asic_mask)
    put(quad_at, quad_mask)
    if roi_at is not None:
        put(roi_at, roi)
    gains = np.full((4, 185, 194), 0xFFFF, "<u2") if gains is None else gains.astype("<u2")
    for q in range(4):
        at = quads_at + q * stride + gain_at
        body[at : at + 71780] = gains[q].tobytes()
    return xtc(version << 16 | 29, bytes(body) + bytes(pad), **src)


def element_header(quad, seq=0, fid=0):
    return pack("<II", 5 | 9 << 8, 3 | quad << 24) + pack("<III4HI", seq, 11, fid, 1, 2, 3, 4, 0)


def element(quad, pixels, trailer=b"\xee\xff\xee\xff"):
    return element_header(quad) + np.ascontiguousarray(pixels, "<i2").tobytes() + trailer


def data(elements, version=2, **src):
    return xtc(version << 16 | 28, b"".join(elements), **src)


def frame(seed=0):
    """Full detector of 14-bit numbers, different in every pixel row."""
    return np.random.default_rng(seed).integers(0, 16384, (32, 185, 388), dtype=np.int16)


def full(array, order=(0, 1, 2, 3), version=2, **src):
    return data([element(q, array[8 * q : 8 * q + 8]) for q in order], version, **src)


def epics_control(pv, name, value, log=0x01000777, phy=0x09000000):
    body = pack("<hhh64s2x", pv, 34, 1, name.encode()) + pack(
        "<4h8s8dd", 0, 0, 3, 0, b"mm", *[0.0] * 8, value
    )
    return xtc(1 << 16 | 13, body, log=log, phy=phy)


def epics_time(pv, value, log=0x01000777, phy=0x09000000):
    body = pack("<hhh2x", pv, 20, 1) + pack("<hhIIi", 0, 0, 700_000_000, 0, 0) + pack("<d", value)
    return xtc(1 << 16 | 13, body, log=log, phy=phy)


def ebeam(photon_ev=9500.0, electron_mev=13600.0, version=7, damage=0):
    sizes = {0: 52, 1: 60, 2: 68, 3: 84, 4: 116, 5: 140, 6: 164, 7: 164}
    body = bytearray(sizes[version])
    body[12:20] = pack("<d", electron_mev)
    if version >= 6:
        body[140:148] = pack("<d", photon_ev)
    return xtc(version << 16 | 15, bytes(body), log=0x06000001, phy=0, damage=damage)


def evr(*codes, version=4):
    body = pack("<I", len(codes)) + b"".join(pack("<III", 0, 0, code) for code in codes)
    return xtc(version << 16 | 19, body, phy=0x00000100)


class Clock:
    """Time stamps of 120 Hz events: 3 fiducials and 8.3 ms apart."""

    def __init__(self, fid=3000):
        self.number, self.fid = 0, fid

    def next(self):
        self.number += 1
        ns = self.number * 8_333_333
        return {
            "sec": T0 + ns // 10**9, "ns": ns % 10**9,
            "fid": (self.fid + 3 * self.number) % 131040, "vector": self.number & 0x7FFF,
        }  # fmt: skip


def run_bytes(events, cfg=None, run=74, clock=None, close=True):
    """One stream of a whole run as the DAQ writes it; `events` are lists of objects."""
    clock = clock or Clock()
    cfg = [config()] if cfg is None else cfg
    parts = [
        dgram(CONFIGURE, container(*cfg), **clock.next()),
        dgram(BEGIN_RUN, env=run, **clock.next()),
        dgram(BEGIN_CALIB, **clock.next()),
        dgram(ENABLE, **clock.next()),
    ]
    for event in events:
        parts.append(dgram(L1, container(*event), **clock.next()))
    if close:
        parts += [dgram(service, **clock.next()) for service in (DISABLE, END_CALIB, END_RUN)]
    return b"".join(parts)


def write(
    folder: Path, content: bytes, *, run=74, stream=0, chunk=0, prefix="cxim1416", end=".xtc"
):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{prefix}-r{run:04d}-s{stream:02d}-c{chunk:02d}{end}"
    path.write_bytes(content)
    return path
