"""The CSPAD CBF: four binary sections of eight sensors, axes in the header (cctbx.xfel, dxtbx).

Written without CBFlib: 64-bit reals or 32-bit integers, not compressed, with MD5 digests; Debian's
and newer dxtbx read them exactly. Sections that CBFlib compressed are decoded by CBFlib (pycbf), in
a process of its own, after their headers were checked.

Conventions beside the format's own, in the table ``cspad_workbench``:

* a pixel without a value (NaN) is written as ``undefined_value`` and read back as NaN;
* an unknown wavelength is written as 1.0 Å, which dxtbx needs to give a beam, and an unknown
  distance as 0; both are read back as unknown;
* the trusted range is -400 … 90000, in the columns that old and new dxtbx read
  (cctbx_project#829, dxtbx#536).
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import Detector
from workbench.errors import FileFormatError, WorkbenchError, cannot_read
from workbench.files import parse_json, read_regular, replacing
from workbench.geometry import Geometry
from workbench.geometry.formats import cif, imgcif, imgcif_header
from workbench.guarded import GuardedError
from workbench.images import cbflib
from workbench.images.model import DetectorImage

UNDERLOAD, OVERLOAD = -400, 90001
PLACEHOLDER_WAVELENGTH = 1.0
TYPES: dict[str, np.dtype] = {
    "signed 64-bit real ieee": np.dtype("<f8"),
    "signed 32-bit real ieee": np.dtype("<f4"),
    "signed 32-bit integer": np.dtype("<i4"),
    "unsigned 32-bit integer": np.dtype("<u4"),
    "signed 16-bit integer": np.dtype("<i2"),
    "unsigned 16-bit integer": np.dtype("<u2"),
}
COMPRESSIONS = {f"{name} binary" for name in ("packed", "packed_v2", "byte_offset", "canonical")}
DIMENSIONS = ("fastest", "second", "third")


# ---- writing -------------------------------------------------------------------------------------


def write_cbf(
    image: DetectorImage, path: str | os.PathLike[str], *, overwrite: bool = True
) -> None:
    """Write a CSPAD CBF atomically; integers stay integers, everything else becomes float64.

    Raises
    ------
    WorkbenchError
        If the image cannot be written without loss (another detector, infinite values, integers
        beyond 32 bits) or the place not be written to.
    """
    data, undefined, count = _storable(image.data)
    geometry = image.geometry or Geometry.ideal(image.detector)
    tables, own_geometry = imgcif_header.header_text(geometry, image.distance_mm)
    own = cif.item_text(imgcif_header.OWN, _own_items(image, count)) + own_geometry
    block = re.sub(r"[^\w.:+-]", "_", image.name, flags=re.ASCII)[:70] or "cspad_image"
    frame = _frame_tables(image, data, undefined)
    text = f"###CBF: VERSION 1.7.11\n\ndata_{block}\n\n{tables}{frame}{own}"
    text += "loop_\n_array_data.array_id\n_array_data.binary_id\n_array_data.data\n"
    with replacing(path, overwrite=overwrite) as temporary, temporary.open("wb") as file:
        file.write(text.replace("\n", "\r\n").encode("ascii", "replace"))
        for number, group in enumerate(image.detector.groups, start=1):
            name = imgcif_header.array_name(group.name)
            _write_section(file, data[group.slice], name, number)


def _storable(data: NDArray[Any]) -> tuple[NDArray[Any], int, int]:
    """Data as int32 or float64, the value of undefined pixels, and how many there are."""
    undefined = UNDERLOAD - 1
    if data.dtype.kind in "biu":
        whole = np.iinfo(np.int32)
        if data.dtype.kind != "b" and data.dtype.itemsize >= 4 and data.size:
            low, high = int(data.min()), int(data.max())
            if low < whole.min or high > whole.max:
                raise WorkbenchError(
                    f"a CSPAD CBF holds 32-bit integers, this image has values from {low} to "
                    f"{high}; convert it to float first."
                )
        return np.ascontiguousarray(data, dtype="<i4"), undefined, 0
    values = np.ascontiguousarray(data, dtype="<f8")
    finite = np.isfinite(values)
    if finite.all():
        return values, undefined, 0
    if np.isinf(values).any():
        raise WorkbenchError("the image has infinite values; mark such pixels as NaN first.")
    while (values == undefined).any():  # keep the mark apart from every real value
        undefined -= 1
    count = int(values.size - np.count_nonzero(finite))
    return np.where(finite, values, float(undefined)), undefined, count


def _own_items(image: DetectorImage, undefined_count: int) -> dict[str, str]:
    provenance = json.dumps(image.provenance, separators=(",", ":"), default=str)
    return {
        "version": "1",
        "kind": json.dumps(image.kind),
        "name": cif.fold(json.dumps(image.name)),
        "wavelength_known": "yes" if image.wavelength_angstrom is not None else "no",
        "geometry_known": "yes" if image.geometry is not None else "no",
        "undefined_pixels": str(undefined_count),
        "timestamp": "?" if image.timestamp is None else repr(float(image.timestamp)),
        "provenance": cif.fold(provenance),
    }


def _frame_tables(image: DetectorImage, data: NDArray[Any], undefined: int) -> str:
    weight = "0.0" if image.wavelength_angstrom is None else "1.0"
    wavelength = repr(float(image.wavelength_angstrom or PLACEHOLDER_WAVELENGTH))
    arrays = [imgcif_header.array_name(group.name) for group in image.detector.groups]
    date = "?" if image.timestamp is None else date_text(image.timestamp)
    return "".join(
        [
            cif.item_text(
                "diffrn_radiation",
                {"diffrn_id": "DS1", "wavelength_id": "WAVELENGTH1", "probe": "x-ray"},
            ),
            cif.item_text(
                "diffrn_radiation_wavelength",
                {"id": "WAVELENGTH1", "wavelength": wavelength, "wt": weight},
            ),
            cif.item_text(
                "diffrn_measurement",
                {"diffrn_id": "DS1", "id": "INJECTION", "number_of_axes": "0", "method": "?",
                 "details": "?"},
            ),
            cif.item_text(
                "diffrn_scan",
                {"id": "SCAN1", "frame_id_start": "FRAME1", "frame_id_end": "FRAME1",
                 "frames": "1"},
            ),
            cif.item_text(
                "diffrn_scan_frame",
                {"frame_id": "FRAME1", "frame_number": "1", "integration_time": "0.0",
                 "scan_id": "SCAN1", "date": date},
            ),
            cif.loop_text(
                "array_intensities",
                ("array_id", "binary_id", "linearity", "gain", "gain_esd", "overload",
                 "underload", "undefined_value"),
                [(name, place, "linear", "1.0", "0.1", OVERLOAD, UNDERLOAD, undefined)
                 for place, name in enumerate(arrays, start=1)],
            ),
            cif.loop_text(
                "array_structure", ("id", "encoding_type", "compression_type", "byte_order"),
                [(name, _element_type(data), "none", "little_endian") for name in arrays],
            ),
        ]
    )  # fmt: skip


def _element_type(data: NDArray[Any]) -> str:
    return "signed 32-bit integer" if data.dtype.kind == "i" else "signed 64-bit real IEEE"


def _write_section(file: Any, section: NDArray[Any], name: str, number: int) -> None:
    payload = memoryview(np.ascontiguousarray(section)).cast("B")
    digest = base64.b64encode(hashlib.md5(payload, usedforsecurity=False).digest()).decode()
    header = [
        f" {name} {number}",
        ";",
        cif.START.decode(),
        "Content-Type: application/octet-stream",
        "Content-Transfer-Encoding: BINARY",
        f"X-Binary-Size: {payload.nbytes}",
        f"X-Binary-ID: {number}",
        f'X-Binary-Element-Type: "{_element_type(section)}"',
        "X-Binary-Element-Byte-Order: LITTLE_ENDIAN",
        f"Content-MD5: {digest}",
        f"X-Binary-Number-of-Elements: {section.size}",
        f"X-Binary-Size-Fastest-Dimension: {section.shape[2]}",
        f"X-Binary-Size-Second-Dimension: {section.shape[1]}",
        f"X-Binary-Size-Third-Dimension: {section.shape[0]}",
        "X-Binary-Size-Padding: 4095",
        "",
        "",
    ]
    file.write("\r\n".join(header).encode("ascii") + cif.MARKER)
    file.write(payload)
    file.write(bytes(4095) + b"\r\n" + cif.START + b"--\r\n;\r\n")


def date_text(timestamp: float) -> str:
    """Date as the programs of cctbx.xfel write it (with a Z between minutes and seconds).

    `timestamp` is in seconds since 1970 UTC; ``2016-02-20T23:46Z40.248``.
    """
    milliseconds = round(timestamp * 1000)
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%MZ%S}.{milliseconds % 1000:03d}"


# ---- reading -------------------------------------------------------------------------------------


def read_cbf(path: str | os.PathLike[str]) -> DetectorImage:
    """Read a CSPAD CBF.

    Raises
    ------
    FileFormatError
        If it is not a CSPAD CBF, has no pixel data, or is damaged.
    """
    name = os.fspath(path)
    try:
        content = read_regular(path)
    except OSError as error:
        raise FileFormatError(path, cannot_read("image", error)) from error
    parsed = cif.parse_cbf(content, name)
    detector = imgcif.detector_of(parsed)
    if not parsed.binaries:
        raise FileFormatError(path, "it contains a geometry but no pixel data.")
    own_table = parsed.table(imgcif_header.OWN)
    located = imgcif.geometry_of(parsed)
    data = _pixel_data(content, parsed, detector)
    if int(_real(own_table.value("undefined_pixels", "0")) or 0) > 0:
        undefined = _real(parsed.table("array_intensities").value("undefined_value"))
        data = np.where(data == undefined, np.nan, data)
    return DetectorImage(
        data=data,
        geometry=None if own_table.value("geometry_known", "yes") == "no" else located.geometry,
        distance_mm=located.distance_mm,
        wavelength_angstrom=located.wavelength_angstrom,
        kind=str(_json(own_table.value("kind", '"image"'), "image")),
        name=str(_json(own_table.value("name", ""), parsed.block)),
        timestamp=_timestamp(parsed),
        provenance=_provenance(own_table.value("provenance", "{}")),
    )


def _pixel_data(content: bytes, parsed: cif.CbfFile, detector: Detector) -> NDArray[Any]:
    binaries: dict[str, _Section] = {}
    for row, values in enumerate(parsed.table("array_data").rows()):
        name, value = values.get("array_id", ""), values.get("data", "").strip()
        match = re.fullmatch(r"binary (\d{1,9})", value)
        if match is None or int(match[1]) >= len(parsed.binaries) or name in binaries:
            problem = f"the pixel data of {name[:40]} are not binary."
            raise FileFormatError(parsed.name, problem)
        binaries[name] = _Section(row, parsed.binaries[int(match[1])])
    of_groups = [imgcif_header.array_name(group.name) for group in detector.groups]
    wanted = of_groups if of_groups[0] in binaries else detector.panel_names()
    missing = [name for name in wanted if name not in binaries]
    if missing:
        raise FileFormatError(parsed.name, f"the pixel data of {missing[0]} are missing.")
    sections = [binaries[name] for name in wanted]
    size = detector.pixels // len(wanted)
    for name, section in zip(wanted, sections, strict=True):
        section.check(parsed.name, name, size)
        cif.check_digest(content, section.binary, parsed.name)
    arrays = _decoded(content, parsed.name, sections, size)
    if wanted is of_groups:
        return np.concatenate(arrays).reshape(detector.shape)
    return detector.from_asic_stack(np.stack(arrays))


class _Section(NamedTuple):
    """A binary section, and its row in ``array_data``."""

    row: int
    binary: cif.Binary

    @property
    def compression(self) -> str:
        """Name of the conversion, in lower case; empty where there is none."""
        header = self.binary.header
        names = re.findall(r"x-cbf_\w+", header.get("content-type", "").lower())
        encoding = header.get("content-transfer-encoding", "binary").lower()
        name = names[0].removeprefix("x-cbf_") if names else "none"
        return "" if name == "none" and encoding == "binary" else f"{name} {encoding}"

    @property
    def stored(self) -> str:
        """Type of the elements, in lower case."""
        return self.binary.header.get("x-binary-element-type", "").strip('"').lower()

    @property
    def kind(self) -> np.dtype:
        """Type of the pixels, in the byte order of the file if they are not compressed."""
        order = self.binary.header.get("x-binary-element-byte-order", "LITTLE_ENDIAN").upper()
        kind = TYPES[self.stored]
        return kind if self.compression or order != "BIG_ENDIAN" else kind.newbyteorder(">")

    def check(self, path: str, name: str, size: int) -> None:
        """Refuse a header that says anything but `size` pixels, before CBFlib believes it."""
        header, offset = self.binary.header, self.binary.offset
        if self.stored not in TYPES:
            problem = f"cannot read pixels of type {self.stored[:40]!r}."
            raise FileFormatError(path, problem, offset=offset)
        if self.compression and self.compression not in COMPRESSIONS:
            problem = f"cannot read pixels compressed as {self.compression[:40]}."
            raise FileFormatError(path, problem, offset=offset)
        stated = header.get("x-binary-number-of-elements", str(size))
        if stated != str(size):
            problem = f"expected {size} pixels in {name}, found {stated[:20]}."
            raise FileFormatError(path, problem, offset=offset)
        sides = [header.get(f"x-binary-size-{side}-dimension") for side in DIMENSIONS]
        numbers = [int(side) for side in sides if side and re.fullmatch(r"\d{1,9}", side)]
        if len(numbers) < len([side for side in sides if side is not None]) or (
            numbers and math.prod(number or 1 for number in numbers) != size
        ):
            problem = f"the dimensions of {name} do not give {size} pixels."
            raise FileFormatError(path, problem, offset=offset)
        pixels = self.binary.size / self.kind.itemsize
        if not self.compression and pixels != size:
            problem = f"expected {size} pixels in {name}, found {pixels:g}."
            raise FileFormatError(path, problem, offset=offset)


def _decoded(content: bytes, path: str, sections: list[_Section], size: int) -> list[NDArray[Any]]:
    """Pixels of each section; those that are compressed come from CBFlib."""
    packed = {
        section.row: "real" if section.kind.kind == "f" else "integer"
        for section in sections
        if section.compression
    }
    try:
        pixels = cbflib.decode(path, packed) if packed else b""
    except GuardedError as error:
        raise FileFormatError(path, f"the compressed pixels cannot be read ({error}).") from error
    arrays: list[NDArray[Any]] = []
    place = 0
    for section in sections:
        kind = section.kind
        if section.compression:
            if place + size * kind.itemsize > len(pixels):
                raise FileFormatError(path, "the compressed pixels are fewer than stated.")
            values = np.frombuffer(pixels, kind, size, place)
            place += values.nbytes
        else:
            values = np.frombuffer(content, kind, size, section.binary.offset)
        arrays.append(values.astype(kind.newbyteorder("="), copy=False))
    return arrays


def _timestamp(parsed: cif.CbfFile) -> float | None:
    own = _real(parsed.table(imgcif_header.OWN).value("timestamp"))
    if own is not None:
        return own
    date = parsed.table("diffrn_scan_frame").value("date")
    for form in ("%Y-%m-%dT%H:%MZ%S.%f", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S"):
        try:
            moment = datetime.strptime(date.removesuffix("Z"), form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return moment.timestamp()
    return None


def _real(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _json(text: str, default: object) -> object:
    try:
        return parse_json(cif.unfold(text))
    except ValueError:
        return default


def _provenance(text: str) -> dict[str, Any]:
    facts = _json(text, {})
    return facts if isinstance(facts, dict) else {}
