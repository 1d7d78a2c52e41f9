"""Correcting events: the steps put together for a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.constants import (
    constants_folder,
    file_for_run,
    read_common_mode,
    read_constants,
)
from workbench.corrections.gain_ranges import (
    BankCommonMode,
    RangeCorrector,
    check_shape,
    gain_code,
    range_tables,
    ranges_of,
    read_only,
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
from workbench.detectors import Detector
from workbench.errors import ConstantsError
from workbench.recipe import Corrections
from workbench.recipe.corrections import LOW_GAIN_FACTOR
from workbench.runs import EventSource


class WholeBins(NamedTuple):
    """Bins of the common mode's histogram for pixels in whole ADU, found by integers.

    The bin is ``clip(raw, lowest, highest) - lowest``, one more where ``raw > half``.

    Attributes
    ----------
    lowest, highest, half : int16 ``(modules, pixels)``; no pixels where there is no histogram.
    usable : bool ``(modules,)``; False where a difference in float32 might be rounded to a half,
        which integers do not show.
    """

    lowest: NDArray[np.int16]
    highest: NDArray[np.int16]
    half: NDArray[np.int16]
    usable: NDArray[np.bool_]


def whole_bins(offset: NDArray[np.float32], good: NDArray[np.uint8]) -> WholeBins:
    """Bins of whole ADU for tables ``(modules, pixels)``; `good` may have no pixels."""
    lowest, highest, half = (np.empty(good.shape, np.int16) for _ in range(3))
    usable = np.zeros(len(good), np.bool_)
    if good.size:
        from workbench.corrections.correction_loops import set_whole_bins

        set_whole_bins(offset, good, lowest, highest, half, usable)
    return WholeBins(lowest, highest, half, usable)


class Tables(NamedTuple):
    """Constants as the compiled loops want them, one row per module.

    Corrected = ((raw - offset) - common mode) * factor * second; `second` may be empty. `unbonded`
    are the places in a module of the unbonded pixels that give a common mode, `whole` the bins of
    its histogram.
    """

    offset: NDArray[np.float32]
    factor: NDArray[np.float32]
    second: NDArray[np.float32]
    good: NDArray[np.uint8]
    algorithm: int
    parameters: NDArray[np.float64]
    unbonded: NDArray[np.int64]
    whole: WholeBins

    @property
    def parts(self) -> tuple[NDArray[Any], ...]:
        """Every number that changes a corrected pixel, for a digest."""
        return self.offset, self.factor, self.second, self.good, self.parameters


@dataclass(frozen=True)
class Corrector:
    """Corrections applied one after the other, in psana's order whatever the order given.

    Parameters
    ----------
    detector : what took the events.
    pedestals, common_mode, gain, pixel_gain, status_mask : the steps; None leaves one out.
    """

    detector: Detector
    pedestals: Pedestals | None = None
    common_mode: CommonMode | None = None
    gain: Gain | None = None
    pixel_gain: PixelGain | None = None
    status_mask: StatusMask | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the detector's arrays."""
        return self.detector.shape

    @property
    def steps(self) -> tuple[Step, ...]:
        """Steps that are applied, in order."""
        every: tuple[Step | None, ...] = (
            self.pedestals, self.common_mode, self.gain, self.pixel_gain, self.status_mask,
        )  # fmt: skip
        return tuple(step for step in every if step is not None)

    @property
    def linear(self) -> bool:
        """True if each corrected pixel is a fixed linear function of the raw one."""
        return self.common_mode is None or self.common_mode.algorithm == 0

    @property
    def by_module(self) -> bool:
        """True if a module is corrected without looking at the others."""
        return self.common_mode is None or not self.common_mode.run_length

    @property
    def warnings(self) -> list[str]:
        """What a user should know about the constants."""
        return [] if self.common_mode is None else self.common_mode.warnings

    @cached_property
    def tables(self) -> Tables:
        """Constants as flat tables, one row per module."""
        rows = (self.shape[0], self.shape[1] * self.shape[2])

        def table(values: Any, dtype: Any = np.float32) -> NDArray[Any]:
            return read_only(values, dtype).reshape(rows)

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
        offset = table(np.zeros(self.shape) if self.pedestals is None else self.pedestals.values)
        good = read_only(np.empty((rows[0], 0)), np.uint8)
        if common is not None and common.good is not None:
            good = table(common.good, np.uint8)
        algorithm = 0 if common is None else common.algorithm
        return Tables(
            offset=offset,
            factor=table(factor),
            second=read_only(np.empty((rows[0], 0)), np.float32)
            if second is None
            else table(second),
            good=good,
            algorithm=algorithm,
            parameters=np.zeros(4) if common is None else common.numbers,
            unbonded=self._unbonded,
            whole=whole_bins(offset, good if algorithm == 1 else good[:, :0]),
        )

    @property
    def _unbonded(self) -> NDArray[np.int64]:
        """Unbonded pixels of a module but the first of each ASIC, as psana takes them."""
        rows, columns = self.detector.asic_shape
        down, across = self.detector.asic_grid
        return np.array(
            [
                (down_asic * rows + row) * self.detector.columns + asic * columns + column
                for down_asic in range(down)
                for row, column in self.detector.unbonded_in_asic[1:]
                for asic in range(across)
            ],
            np.int64,
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

    def apply(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Corrected pixels of one event.

        Parameters
        ----------
        raw : int16 (or float32) array of the detector's shape, ADU.

        Raises
        ------
        ConstantsError
            If `raw` has not the shape of the constants.
        """
        from workbench.corrections.correction_loops import correct_module

        check_shape(raw, self.shape)
        out = np.empty(self.shape, np.float32)
        if not self.by_module:
            return self._apply_to_runs(raw, out)
        tables = self.tables
        dtype = np.int16 if raw.dtype == np.int16 else np.float32
        for module in range(self.detector.modules):
            values = np.ascontiguousarray(raw[module], dtype).reshape(-1)
            correct_module(values, tables, module, out[module].reshape(-1))
        return out

    def _apply_to_runs(self, raw: NDArray[Any], out: NDArray[np.float32]) -> NDArray[np.float32]:
        # pixels in a row go on from one module to the next
        from workbench.corrections.correction_loops import subtract_run_common_mode

        assert self.common_mode is not None
        tables = self.tables
        np.subtract(raw, tables.offset.reshape(self.shape), out=out, dtype=np.float32)
        if tables.good.size:
            values, good = out, tables.good.reshape(self.shape)
            if self.detector.interleaved_constants:  # so are the pixels in psana's array
                values, good = np.moveaxis(values, 0, -1), np.moveaxis(good, 0, -1)
            rows, flags = np.ascontiguousarray(values), good.reshape(-1)
            flags.flags.writeable = False  # as the tables are, or the loop is compiled again
            subtract_run_common_mode(
                rows.reshape(-1), flags, tables.algorithm, tables.parameters,
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


AnyCorrector = Corrector | RangeCorrector
"""What corrects the events of a detector with one gain for each pixel, or with gain ranges."""


def make_corrector(settings: Corrections, run: EventSource) -> AnyCorrector:
    """Corrector for a run, with the constants of its calibration directory.

    Parameters
    ----------
    settings : which corrections.
    run : whose constants and gain map are used.

    Raises
    ------
    ConstantsError
        If constants are needed and there is no calibration directory, or no pedestals for the
        run (psana would silently return raw data).
    FileFormatError
        If a file of constants cannot be used.
    """
    if run.detector.gain_ranges is not None:
        return _make_range_corrector(settings, run)
    constants = _Constants(settings, run)
    pedestals = common_mode = gain = pixel_gain = status_mask = None
    if settings.pedestal:
        pedestals = Pedestals(*constants.pedestals())
    if settings.common_mode:
        status, status_source = constants.load("pixel_status")
        path = constants.file("common_mode")
        parameters = read_common_mode(constants.calib_dir, run.address, run.number)
        common_mode = CommonMode(
            parameters or DEFAULT_COMMON_MODE,
            None if status is None else status == 0,
            "default" if path is None else str(path),
            status_source,
        )
    if settings.gain is not None:
        gain = Gain.of(run, settings.gain)
    if settings.pixel_gain:
        values, source = constants.load("pixel_gain")
        pixel_gain = None if values is None else PixelGain(values, source)
    if settings.status_mask:
        status_mask = constants.status_mask()
    return Corrector(run.detector, pedestals, common_mode, gain, pixel_gain, status_mask)


def _make_range_corrector(settings: Corrections, run: EventSource) -> RangeCorrector:
    """Corrector of a detector with gain ranges, by psana's rules for these.

    Values are on the scale of the first range by the detector's nominal factors; with
    ``pixel_gain`` they are divided by the gain constants instead, which then give the unit.
    """
    detector, ranges = run.detector, ranges_of(run.detector)
    constants = _Constants(settings, run)
    code = gain_code(run, ranges)
    offset = None
    factor: NDArray[Any] = np.ones((), np.float32)
    steps: list[dict[str, Any]] = []
    warnings: list[str] = []
    if settings.pedestal:
        offset, source = constants.pedestals()
        steps.append(Pedestals(offset, source).describe())
        more, more_source = constants.load("pixel_offset")
        if more is not None:
            offset = offset + more
            steps.append({"step": "pixel offset", "source": more_source})
    needs_status = settings.common_mode or settings.status_mask
    status_mask = constants.status_mask() if needs_status else None
    common_mode = None
    if settings.common_mode:
        parameters = read_common_mode(constants.calib_dir, run.address, run.number)
        if parameters is None:
            warnings.append(
                f"No common_mode file serves run {run.number}; psana then subtracts none from the "
                f"{detector.name}, and neither is one subtracted here."
            )
        else:
            common_mode = BankCommonMode(parameters, str(constants.file("common_mode")))
            steps.append(common_mode.describe())
    gain, gain_source = constants.load("pixel_gain") if settings.pixel_gain else (None, "")
    if gain is not None:
        factor = np.divide(1.0, gain, out=np.zeros_like(gain), where=gain != 0)
        steps.append({"step": "pixel gain", "source": gain_source})
    elif settings != Corrections.none():
        factor = np.array(ranges.factors, np.float32)[:, None, None, None]
        steps.append({
            "step": "gain ranges", "source": f"nominal factors of the {detector.name}",
            "factors": dict(zip(ranges.names, map(float, factor.flat), strict=True)),
        })  # fmt: skip
    if settings.gain not in (None, LOW_GAIN_FACTOR):  # the default is meant for a CSPAD
        warnings.append(
            f"The factor {settings.gain:g} for low gain is not used: the {detector.name} tells the "
            "gain range of each pixel itself."
        )
    if settings.status_mask and status_mask is not None:
        factor = factor * status_mask.good
        steps.append(status_mask.describe())
    good = None if status_mask is None else status_mask.good
    tables = range_tables(detector, code, offset, factor, good, common_mode)
    return RangeCorrector(detector, tables, tuple(steps), tuple(warnings))


def unit_of_steps(detector: Detector, steps: Sequence[Mapping[str, Any]]) -> str:
    """Unit of pixels corrected by these steps: pixel gains of gain ranges are in ADU/keV."""
    in_kev = detector.gain_ranges is not None and any(
        step["step"] == "pixel gain" for step in steps
    )
    return "keV" if in_kev else "ADU"


def corrected_unit(settings: Corrections, run: EventSource) -> str:
    """Unit that the events of a run are corrected to, ``ADU`` or ``keV``; reads no constants."""
    if not settings.pixel_gain or run.calib_dir is None:
        return "ADU"
    gain = file_for_run(constants_folder(run.calib_dir, run.address, "pixel_gain"), run.number)
    return unit_of_steps(run.detector, [] if gain is None else [{"step": "pixel gain"}])


class _Constants:
    """Constants of a run's calibration directory, with the files they are read from."""

    def __init__(self, settings: Corrections, run: EventSource) -> None:
        needed = settings.pedestal or settings.common_mode or settings.pixel_gain
        if (needed or settings.status_mask) and run.calib_dir is None:
            raise ConstantsError(
                f"Run {run.number} has no calibration directory for {settings.describe()}; give "
                "--calib-dir, or average raw data."
            )
        self.calib_dir = run.calib_dir or Path()
        self._run = run

    def folder(self, kind: str) -> Path:
        """Folder of one kind of constants."""
        return constants_folder(self.calib_dir, self._run.address, kind)

    def file(self, kind: str) -> Path | None:
        """File that serves the run, if there is one."""
        return file_for_run(self.folder(kind), self._run.number)

    def load(self, kind: str) -> tuple[NDArray[Any] | None, str]:
        """Values that serve the run, or None, and the file they come from."""
        path = self.file(kind)
        run = self._run
        values = read_constants(self.calib_dir, run.address, kind, run.number, run.detector)
        return values, "" if path is None else str(path)

    def status_mask(self) -> StatusMask | None:
        """Pixels without a status in any gain range; None if no status is deployed."""
        loaded = [self.load(kind) for kind in ("pixel_status", "status_extra", "status_data")]
        there = [(words, source) for words, source in loaded if words is not None]
        if not there:
            return None
        shape = self._run.detector.shape
        bad = [(words.reshape(-1, *shape) & 0xFFFF).any(axis=0) for words, _ in there]
        return StatusMask(~np.logical_or.reduce(bad), ", ".join(source for _, source in there))

    def pedestals(self) -> tuple[NDArray[Any], str]:
        """Pedestals that serve the run, and the file they come from."""
        values, source = self.load("pedestals")
        if values is None:
            raise ConstantsError(
                f"No pedestals serve run {self._run.number} in {self.folder('pedestals')}; deploy "
                "them from a dark run (workbench average --deploy-constants) or average raw data."
            )
        return values, source
