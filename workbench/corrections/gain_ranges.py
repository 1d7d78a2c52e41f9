"""The gain rule of detectors that choose their gain by pixel and event.

The gain bits of each datum, and how its pixel is configured, say which of the detector's gain
ranges it is in; pedestal and gain are those of that range (see `workbench.detectors.GainRanges`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from workbench.detectors import Detector, GainRanges
from workbench.errors import ConstantsError
from workbench.runs import EventSource


def read_only(values: ArrayLike, dtype: DTypeLike) -> NDArray[Any]:
    """Contiguous array that cannot be written to.

    Constants of a file are such arrays; if all are, each loop is compiled for one kind of them.
    """
    table = np.ascontiguousarray(values, dtype).view()
    table.flags.writeable = False
    return table


def check_shape(raw: NDArray[Any], shape: tuple[int, int, int]) -> None:
    """Refuse an event that has not the shape of the constants."""
    if raw.shape != shape:
        raise ConstantsError(f"This event has the shape {raw.shape}, the constants have {shape}.")


class RangeTables(NamedTuple):
    """Constants as the compiled loops want them.

    Corrected = ((ADC value - offset) - common mode) * factor, with offset and factor float32
    ``(ranges, modules, pixels)`` of the range that ``table[code, gain bits]`` gives.
    """

    code: NDArray[np.uint8]
    table: NDArray[np.int8]
    value_mask: np.uint16
    offset: NDArray[np.float32]
    factor: NDArray[np.float32]
    good: NDArray[np.uint8]
    in_common_mode: NDArray[np.uint8]
    mode: int
    limit: np.float32
    least: int
    module_shape: tuple[int, int]
    banks: tuple[int, int]

    @property
    def parts(self) -> tuple[NDArray[Any], ...]:
        """Every number that changes a corrected pixel, for a digest."""
        common = np.array([self.mode, self.limit, self.least], np.float64)
        return self.code, self.table, self.offset, self.factor, self.good, common


@dataclass(frozen=True)
class BankCommonMode:
    """Subtract the median of each bank, row of a bank or column of a bank, as psana does.

    Parameters
    ----------
    parameters : numbers of a common_mode file: algorithm (not used by psana), mode (1 rows,
        2 columns, 4 banks, or their sum), largest correction in ADU, fewest pixels (default 10).
    source : the file.
    """

    parameters: tuple[float, ...]
    source: str = ""

    def __post_init__(self) -> None:
        if len(self.parameters) < 3 or not 0 <= self.parameters[1] <= 7:
            raise ConstantsError(
                f"{self.source}: expected 'algorithm mode limit pixels' with a mode from 0 to 7, "
                f"found {' '.join(f'{number:g}' for number in self.parameters)}."
            )

    @property
    def mode(self) -> int:
        """1 rows, 2 columns, 4 banks, or their sum."""
        return int(self.parameters[1])

    @property
    def limit(self) -> float:
        """Largest correction, ADU."""
        return self.parameters[2]

    @property
    def least(self) -> int:
        """Pixels that are needed."""
        return int(self.parameters[3]) if len(self.parameters) > 3 else 10

    def describe(self) -> dict[str, Any]:
        """Name, source and parameters."""
        return {
            "step": "common mode", "source": self.source, "parameters": list(self.parameters[:4]),
        }  # fmt: skip


@dataclass(frozen=True)
class RangeCorrector:
    """Corrections of a detector with gain ranges; made by `workbench.corrections.make_corrector`.

    Without any constants it takes the gain bits off and nothing else.

    Attributes
    ----------
    detector : what took the events.
    tables : constants for the compiled loops.
    steps : what is applied, for provenance.
    warnings : what a user should know about the constants.
    """

    detector: Detector
    tables: RangeTables
    steps: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the detector's arrays."""
        return self.detector.shape

    def apply(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Corrected pixels of one event; 0 where the gain bits stand for no range, as in psana.

        Parameters
        ----------
        raw : uint16 array of the detector's shape, with gain bits.

        Raises
        ------
        ConstantsError
            If `raw` has not the shape of the constants, or no gain bits.
        """
        from workbench.corrections.gain_range_loops import correct_ranges

        check_shape(raw, self.shape)
        if raw.dtype.kind not in "iu" or raw.dtype.itemsize != 2:
            raise ConstantsError(
                f"Raw data of the {self.detector.name} are 16-bit numbers with gain bits, these "
                f"are {raw.dtype}; average them without corrections (--raw-data)."
            )
        out = np.empty(self.shape, np.float32)
        for module in range(self.detector.modules):
            values = np.ascontiguousarray(raw[module]).reshape(-1).view(np.uint16)
            correct_ranges(values, self.tables, module, out[module].reshape(-1))
        np.nan_to_num(out, copy=False, nan=0.0)
        return out

    def describe(self) -> list[dict[str, Any]]:
        """Steps in order with their sources, as plain values for provenance."""
        return list(self.steps)


def gain_code(run: EventSource, ranges: GainRanges) -> NDArray[np.uint8]:
    """How each pixel of a run is configured, uint8 of the detector's shape.

    Raises
    ------
    ConstantsError
        If the gain depends on the configuration and the run's files do not tell it.
    """
    code = run.gain_code
    if code is not None:
        return code
    if len(ranges.table) > 1:
        raise ConstantsError(
            f"The files of {run.experiment} run {run.number} do not tell how the pixels of the "
            f"{run.detector.name} are configured, which its gain depends on; read the XTC files."
        )
    return np.zeros(run.detector.shape, np.uint8)


def ranges_of(detector: Detector) -> GainRanges:
    """Gain ranges of a detector that has them."""
    assert detector.gain_ranges is not None
    return detector.gain_ranges


def range_tables(
    detector: Detector,
    code: NDArray[np.uint8],
    offset: NDArray[Any] | None,
    factor: NDArray[Any],
    good: NDArray[np.bool_] | None,
    common_mode: BankCommonMode | None,
) -> RangeTables:
    """Tables for the loops.

    Parameters
    ----------
    code : how the pixels are configured, uint8 of the detector's shape.
    offset, factor : ``(ranges, modules, rows, columns)``, or what broadcasts to it; no offset
        is 0.
    good : bool of the detector's shape, pixels that enter the common mode; None: all.
    """
    ranges = ranges_of(detector)
    rows = (detector.modules, detector.rows * detector.columns)
    full = (ranges.count, *detector.shape)

    def table(values: ArrayLike) -> NDArray[np.float32]:
        values = np.broadcast_to(np.asarray(values, np.float32), full)
        return read_only(values, np.float32).reshape(ranges.count, *rows)

    return RangeTables(
        code=read_only(code, np.uint8).reshape(rows),
        table=read_only(ranges.table, np.int8),
        value_mask=np.uint16((1 << ranges.data_bits) - 1),
        offset=table(0.0 if offset is None else offset),
        factor=table(factor),
        good=read_only(np.empty((rows[0], 0)) if good is None else good.reshape(rows), np.uint8),
        in_common_mode=read_only(
            [number in ranges.common_mode for number in range(ranges.count)], np.uint8
        ),
        mode=0 if common_mode is None else common_mode.mode,
        limit=np.float32(0 if common_mode is None else common_mode.limit),
        least=0 if common_mode is None else common_mode.least,
        module_shape=detector.module_shape,
        banks=ranges.banks,
    )
