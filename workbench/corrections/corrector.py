"""Correcting events: the steps put together for a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.constants import (
    constants_folder,
    file_for_run,
    read_common_mode,
    read_constants,
)
from workbench.corrections.steps import (
    DEFAULT_COMMON_MODE,
    CommonMode,
    Gain,
    Pedestals,
    PixelGain,
    StatusMask,
    Step,
)
from workbench.detector import SHAPE, SHAPE_2X2
from workbench.errors import ConstantsError
from workbench.recipe import Corrections


@dataclass(frozen=True)
class Tables:
    """Constants as the compiled loops want them, one row per section, float32.

    Corrected = ((raw - offset) - common mode) * factor * second; `second` may be empty.
    """

    offset: NDArray[np.float32]
    factor: NDArray[np.float32]
    second: NDArray[np.float32]
    good: NDArray[np.uint8]
    algorithm: int
    parameters: NDArray[np.float64]


@dataclass(frozen=True)
class Corrector:
    """Corrections applied one after the other, in psana's order whatever the order given.

    Parameters
    ----------
    pedestals, common_mode, gain, pixel_gain, status_mask : the steps; None leaves one out.
    shape : of the detector's arrays.
    """

    pedestals: Pedestals | None = None
    common_mode: CommonMode | None = None
    gain: Gain | None = None
    pixel_gain: PixelGain | None = None
    status_mask: StatusMask | None = None
    shape: tuple[int, int, int] = SHAPE

    @property
    def steps(self) -> tuple[Step, ...]:
        """Steps that are applied, in order."""
        every: tuple[Step | None, ...] = (
            self.pedestals,
            self.common_mode,
            self.gain,
            self.pixel_gain,
            self.status_mask,
        )
        return tuple(step for step in every if step is not None)

    @property
    def linear(self) -> bool:
        """True if each corrected pixel is a fixed linear function of the raw one."""
        return self.common_mode is None or self.common_mode.algorithm == 0

    @property
    def by_section(self) -> bool:
        """True if a section is corrected without looking at the others."""
        return self.common_mode is None or not self.common_mode.run_length

    @property
    def warnings(self) -> list[str]:
        """What a user should know about the constants."""
        return [] if self.common_mode is None else self.common_mode.warnings

    @cached_property
    def tables(self) -> Tables:
        """Constants as flat tables, one row per section."""
        rows = (self.shape[0], self.shape[1] * self.shape[2])

        def table(values: Any, dtype: Any = np.float32) -> NDArray:
            return np.ascontiguousarray(values, dtype).reshape(rows)

        factor = np.ones(self.shape, np.float32)
        if self.gain is not None:
            factor[self.gain.low_gain] = self.gain.factor
        second = None if self.pixel_gain is None else self.pixel_gain.values.astype(np.float32)
        if self.status_mask is not None:
            # times 0 or 1 is exact, so it may go with either factor
            if second is None:
                factor = factor * self.status_mask.good
            else:
                second = second * self.status_mask.good
        common = self.common_mode
        return Tables(
            offset=table(np.zeros(self.shape) if self.pedestals is None else self.pedestals.values),
            factor=table(factor),
            second=np.empty((rows[0], 0), np.float32) if second is None else table(second),
            good=np.empty((rows[0], 0), np.uint8)
            if common is None or common.good is None
            else table(common.good, np.uint8),
            algorithm=0 if common is None else common.algorithm,
            parameters=np.zeros(4) if common is None else common.numbers,
        )

    @property
    def offset_and_factor(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Float64 arrays with corrected = factor * (raw - offset), for a `linear` corrector."""
        tables = self.tables
        factor = tables.factor.astype(np.float64)
        if self.gain is not None:  # 6.85 is not a float32
            low = self.gain.low_gain.reshape(factor.shape)
            factor = np.where(low & (factor != 0), self.gain.factor, factor)
        if tables.second.size:
            factor = factor * tables.second
        return tables.offset.astype(np.float64).reshape(self.shape), factor.reshape(self.shape)

    def apply(self, raw: NDArray, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Corrected pixels of one event.

        Parameters
        ----------
        raw : int16 (or float32) array of the detector's shape, ADU.
        out : float32 array to write to; default a new one.

        Raises
        ------
        ConstantsError
            If `raw` has not the shape of the constants.
        """
        from workbench.corrections.correction_loops import BINS, correct_section

        if raw.shape != self.shape:
            raise ConstantsError(
                f"This event has the shape {raw.shape}, the constants have {self.shape}."
            )
        if out is None:
            out = np.empty(self.shape, np.float32)
        tables = self.tables
        if not self.by_section:
            return self._apply_to_runs(raw, out)
        pixels = self.shape[1] * self.shape[2]
        bins, histogram = np.empty(pixels, np.int16), np.empty((4, BINS + 1), np.int32)
        for section in range(self.shape[0]):
            correct_section(
                np.ascontiguousarray(raw[section]).reshape(-1),
                tables.offset[section],
                tables.good[section],
                tables.algorithm,
                tables.parameters,
                self.shape[2],
                tables.factor[section],
                tables.second[section],
                bins,
                histogram,
                out[section].reshape(-1),
            )
        return out

    def _apply_to_runs(self, raw: NDArray, out: NDArray[np.float32]) -> NDArray[np.float32]:
        # pixels in a row go on from one section to the next
        from workbench.corrections.correction_loops import subtract_run_common_mode

        assert self.common_mode is not None
        tables = self.tables
        np.subtract(raw, tables.offset.reshape(self.shape), out=out, dtype=np.float32)
        if tables.good.size:
            # those of a 2x2 are interleaved: the section is the fastest index
            small = self.shape == SHAPE_2X2
            values, good = out, tables.good.reshape(self.shape)
            if small:
                values, good = np.moveaxis(values, 0, -1), np.moveaxis(good, 0, -1)
            rows = np.ascontiguousarray(values)
            subtract_run_common_mode(
                rows.reshape(-1), good.reshape(-1), tables.algorithm, tables.parameters,
                self.common_mode.run_length,
            )  # fmt: skip
            values[...] = rows
        out *= tables.factor.reshape(self.shape)
        if tables.second.size:
            out *= tables.second.reshape(self.shape)
        return out

    def describe(self) -> list[dict[str, Any]]:
        """Steps in order with their sources, as plain values for provenance."""
        return [step.describe() for step in self.steps]


def make_corrector(settings: Corrections, run: Any) -> Corrector:
    """Corrector for a run, with the constants of its calibration directory.

    Parameters
    ----------
    settings : which corrections.
    run : a `workbench.runs.Run`; used are ``calib_dir``, ``address``, ``number``, ``shape`` and
        ``low_gain``.

    Raises
    ------
    ConstantsError
        If constants are needed and there is no calibration directory, or no pedestals for the
        run (psana would silently return raw data).
    FileFormatError
        If a file of constants cannot be used.
    """
    load = _loader(settings, run)
    pedestals = common_mode = gain = pixel_gain = status_mask = None
    if settings.pedestal:
        values, source = load("pedestals")
        if values is None:
            raise ConstantsError(
                f"No pedestals serve run {run.number} in "
                f"{constants_folder(run.calib_dir, run.address, 'pedestals')}; deploy them from a "
                "dark run (workbench average --deploy-constants) or average raw data."
            )
        pedestals = Pedestals(values, source)
    if settings.common_mode or settings.status_mask:
        status, status_source = load("pixel_status")
    if settings.common_mode:
        folder = constants_folder(run.calib_dir, run.address, "common_mode")
        path = file_for_run(folder, run.number)
        common_mode = CommonMode(
            read_common_mode(run.calib_dir, run.address, run.number) or DEFAULT_COMMON_MODE,
            None if status is None else status == 0,
            "default" if path is None else str(path),
            status_source,
        )
    if settings.gain is not None:
        gain = Gain(settings.gain, np.asarray(run.low_gain, bool))
    if settings.pixel_gain:
        values, source = load("pixel_gain")
        pixel_gain = None if values is None else PixelGain(values, source)
    if settings.status_mask:
        good, sources = None, []
        for kind in ("pixel_status", "status_extra", "status_data"):
            words, source = (status, status_source) if kind == "pixel_status" else load(kind)
            if words is not None:
                usable = (words & 0xFFFF) == 0
                good = usable if good is None else good & usable
                sources.append(source)
        status_mask = None if good is None else StatusMask(good, ", ".join(sources))
    return Corrector(pedestals, common_mode, gain, pixel_gain, status_mask, tuple(run.shape))


def _loader(settings: Corrections, run: Any) -> Callable[[str], tuple[NDArray | None, str]]:
    """Give a function that loads one kind of constants and tells the file."""
    wanted = settings.pedestal or settings.common_mode or settings.pixel_gain or (
        settings.status_mask)  # fmt: skip
    if wanted and run.calib_dir is None:
        raise ConstantsError(
            f"Run {run.number} has no calibration directory for {settings.describe()}; give "
            "--calib-dir, or average raw data."
        )

    def load(kind: str) -> tuple[NDArray | None, str]:
        path = file_for_run(constants_folder(run.calib_dir, run.address, kind), run.number)
        values = read_constants(run.calib_dir, run.address, kind, run.number)
        return values, "" if path is None else str(path)

    return load
