"""Payload decoders, one file per family of detectors: configuration and pixels from bytes.

Another detector is one more file here, with a `Decoder`, and its entry in `DECODERS`.
"""

from __future__ import annotations

from workbench.errors import FileFormatError
from workbench.runs.xtc.datagram import Xtc, XtcFile
from workbench.runs.xtc.decoders.base import Configuration, Decoder, ModulePixels, PayloadError
from workbench.runs.xtc.decoders.cspad import CSPAD_DECODERS
from workbench.runs.xtc.decoders.epix10ka import EPIX10KA_DECODERS
from workbench.runs.xtc.decoders.jungfrau import JUNGFRAU_DECODERS

DECODERS: tuple[Decoder, ...] = (*CSPAD_DECODERS, *EPIX10KA_DECODERS, *JUNGFRAU_DECODERS)
CONFIG_DECODERS = {kind: decoder for decoder in DECODERS for kind in decoder.config_types}
ELEMENT_DECODERS = {kind: decoder for decoder in DECODERS for kind in decoder.element_types}
DETECTOR_TYPES = CONFIG_DECODERS.keys() | ELEMENT_DECODERS.keys()

__all__ = [
    "CONFIG_DECODERS", "DECODERS", "DETECTOR_TYPES", "ELEMENT_DECODERS", "Configuration",
    "Decoder", "ModulePixels", "read_config", "read_pixels",
]  # fmt: skip


def read_config(file: XtcFile, xtc: Xtc) -> Configuration:
    """Read a configuration object whose type is one of `CONFIG_DECODERS`.

    Raises
    ------
    FileFormatError
        If it cannot be read or decoded; the message names file and byte.
    """
    payload = file.read(xtc.offset, xtc.size)
    try:
        return CONFIG_DECODERS[xtc.type_id].read_config(xtc, payload)
    except PayloadError as error:
        raise FileFormatError(file.path, str(error), offset=xtc.offset + error.place) from error


def read_pixels(
    file: XtcFile, xtc: Xtc, config: Configuration | None, buffer: memoryview | None = None
) -> tuple[ModulePixels, ...]:
    """Read the pixels of a data object whose type is one of `ELEMENT_DECODERS`.

    Parameters
    ----------
    buffer : memory to read the object into; a new one where it does not fit or is None. Pixels
        are views into it.

    Raises
    ------
    FileFormatError
        If it cannot be read or decoded; the message names file and byte.
    """
    decoder = ELEMENT_DECODERS[xtc.type_id]
    size = min(xtc.size, decoder.largest_element)
    if buffer is None or len(buffer) < size:
        buffer = memoryview(bytearray(size))
    payload = buffer[:size]
    file.read_into(xtc.offset, payload)
    try:
        return decoder.read_element(xtc, payload, config)
    except PayloadError as error:
        raise FileFormatError(file.path, str(error), offset=xtc.offset + error.place) from error
