"""What a detector's payload decoder gives: modules with their pixels, and the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.detectors import Detector
from workbench.runs.xtc.datagram import Xtc


class ModulePixels(NamedTuple):
    """Raw pixels of some modules, as they came.

    Attributes
    ----------
    modules : their places in the detector's array.
    pixels : ``(len(modules), rows, columns)``, ADU; of a detector its `raw_dtype`, read-only.
    """

    modules: tuple[int, ...]
    pixels: NDArray[Any]


class PayloadError(Exception):
    """A payload that contradicts itself or its configuration, at byte `place` of it."""

    def __init__(self, problem: str, place: int = 0) -> None:
        super().__init__(problem)
        self.place = place


def check_config(xtc: Xtc, payload: bytes, name: str, sizes: Mapping[int, int]) -> None:
    """Refuse a configuration of an unknown version, or one that is too short.

    Parameters
    ----------
    name : of the object.
    sizes : bytes of its versions.
    """
    if xtc.version not in sizes or xtc.compressed:
        known = f"1 {'or' if len(sizes) == 2 else 'to'} {len(sizes)}"
        raise PayloadError(f"expected {name} version {known}, found version {xtc.version}.")
    size = sizes[xtc.version]
    if len(payload) < size:
        raise PayloadError(f"expected {size} bytes of {name}V{xtc.version}, found {len(payload)}.")


def whole_frame(
    detector: Detector, payload: memoryview, start: int, header: int, module: int
) -> tuple[ModulePixels, ...]:
    """Pixels of all modules, uint16, which lie one after the other from `start` on.

    Parameters
    ----------
    header, module : bytes of the payload: so many, and so many more for each module.
    """
    size = header + detector.modules * module
    if len(payload) != size:
        modules = (len(payload) - header) / module
        raise PayloadError(
            f"expected {detector.modules} modules of {detector.a_name} ({size} bytes), found "
            f"{len(payload)} bytes ({modules:.3g} modules)."
        )
    pixels = np.frombuffer(payload, "<u2", detector.pixels, start).reshape(detector.shape)
    pixels.flags.writeable = False
    return (ModulePixels(tuple(range(detector.modules)), pixels),)


class Configuration(Protocol):
    """What a run's configuration tells of a detector; small when pickled.

    Attributes
    ----------
    detector : which one it is.
    name, version : of the object in the file, e.g. ``CspadConfig`` and 5.
    modules : those that are read out.
    low_gain : True where a pixel is in low gain, bool of the detector's shape.
    gain_code : how each pixel is configured, uint8 of the detector's shape, for a detector with
        gain ranges (see `workbench.detectors.GainRanges`); else None.
    """

    @property
    def detector(self) -> Detector: ...
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def modules(self) -> Sequence[int]: ...
    @property
    def low_gain(self) -> NDArray[np.bool_]: ...
    @property
    def gain_code(self) -> NDArray[np.uint8] | None: ...

    def same_as(self, other: object) -> bool:
        """Whether both say the same."""
        ...


class Decoder(Protocol):
    """How the objects of one detector are read from XTC files.

    Attributes
    ----------
    detector : which one.
    config_types, element_types : numbers of its objects in pdsdata's ``xtc/TypeId.hh``.
    largest_element : bytes; no object with pixels that makes sense is larger.
    """

    @property
    def detector(self) -> Detector: ...
    @property
    def config_types(self) -> frozenset[int]: ...
    @property
    def element_types(self) -> frozenset[int]: ...
    @property
    def largest_element(self) -> int: ...

    def read_config(self, xtc: Xtc, payload: bytes) -> Configuration:
        """Read the payload of a configuration object.

        Raises
        ------
        PayloadError
            If its version is unknown or it is shorter than that version.
        """
        ...

    def read_element(
        self, xtc: Xtc, payload: memoryview, config: Configuration | None
    ) -> tuple[ModulePixels, ...]:
        """Pixels in the payload of a data object, by module; uncompressed ones are views into it.

        Modules the configuration leaves out are simply not there; so are those missing from the
        payload.

        Raises
        ------
        PayloadError
            If not even one module can be read.
        """
        ...
