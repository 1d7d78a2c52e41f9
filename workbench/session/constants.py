"""Constants of the present calibration for psana: planned, looked at, written for some runs.

From the dark run come pedestals, pixel_rms and pixel_status, from the mask comes pixel_mask. No
file is ever replaced.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import pipeline
from workbench.constants import constants_folder
from workbench.corrections import deploy_dark_constants, join_ranges, make_constants, range_dark
from workbench.corrections.dark import DARK_KINDS
from workbench.errors import ConstantsError
from workbench.mask import deploy_mask
from workbench.session.history import History
from workbench.session.results import Results
from workbench.session.status import State
from workbench.session.store import why_not_writable

if TYPE_CHECKING:
    from workbench.averages import RunImages
    from workbench.corrections import DarkConstants
    from workbench.geometry import GeometryStore
    from workbench.mask import Mask


@dataclass(frozen=True)
class ConstantsPlan:
    """What would be written, for a person to look at before it is done.

    Attributes
    ----------
    first_run, last_run : runs the constants are for; None: all later ones.
    paths : files that would be written, by kind.
    facts : sentences about what they hold.
    comment : proposed.
    """

    first_run: int
    last_run: int | None
    paths: Mapping[str, Path]
    facts: tuple[str, ...]
    comment: str
    calib_dir: Path
    address: str
    dark: DarkConstants | None
    mask: Mask | None


class DeployedConstants:
    """Puts constants into the calibration directory that the recipe leads to."""

    def __init__(self, history: History, results: Results) -> None:
        self.history, self.results = history, results

    def why_not(self) -> str:
        """Why nothing can be deployed; empty if something can."""
        images = self.results.images
        if images is None or (images.dark is None and self.results.mask is None):
            return "There is no dark run and no mask yet; compute the averages first."
        stale = self.results.status("images").state == State.STALE
        return "The averages are older than the settings; compute them again." if stale else ""

    def plan(
        self,
        store: GeometryStore,
        first_run: int,
        last_run: int | None = None,
        dark: bool = True,
        mask: bool = True,
    ) -> ConstantsPlan:
        """What `deploy` would write; writes nothing.

        Parameters
        ----------
        store : knows the calibration directory and the detector.
        dark, mask : constants of the dark run; the mask.

        Raises
        ------
        ConstantsError
            If there is nothing to write, a file is there already, or the folder may not be written.
        """
        if reason := self.why_not():
            raise ConstantsError(reason)
        if last_run is not None and last_run < first_run:
            raise ConstantsError(f"Run {last_run} is before run {first_run}.")
        images, made, facts = self.results.images, None, []
        dark_images = None if images is None else images.dark
        chosen = self.results.mask if mask else None
        if dark and dark_images is not None:
            made, source = self._of_dark_run(dark_images, store, first_run)
            why = "; ".join(f"{count} {what}" for what, count in made.counts.items() if count)
            facts.append(
                f"Pedestals, noise and status are of {source}; {made.bad_pixels} pixels have a "
                "status" + (f" ({why})." if why else ".")
            )
        if chosen is not None:
            facts.append(f"The mask is the present one; it masks {chosen.masked} pixels.")
        kinds = (*(DARK_KINDS if made is not None else ()), *(["pixel_mask"] if chosen else []))
        if not kinds:
            raise ConstantsError("Choose the constants of the dark run, the mask, or both.")
        name = f"{first_run}-{'end' if last_run is None else last_run}.data"
        paths = {
            kind: constants_folder(store.calib_dir, store.address, kind) / name for kind in kinds
        }
        for path in paths.values():
            refuse(path)
        runs = [] if dark_images is None else [f"dark run {dark_images.run}"]
        runs += [f"bright run {run.run}" for run in (images.bright if images else ())]
        return ConstantsPlan(
            first_run, last_run, paths, tuple(facts), f"from {', '.join(runs)}",
            Path(store.calib_dir), store.address, made, chosen,
        )  # fmt: skip

    def _of_dark_run(
        self, images: RunImages, store: GeometryStore, first_run: int
    ) -> tuple[DarkConstants, str]:
        """Constants of the dark run, and what they are of, in words."""
        if images.detector.gain_ranges is None:
            return make_constants(images), f"dark run {images.run}, {images.count} events"
        recipe = self.history.recipe
        run = pipeline.open_recipe_run(recipe, images.run)
        dark = range_dark(images, run, selection=recipe.events)
        joined = join_ranges([dark], store.calib_dir, store.address, first_run)
        return joined.constants, f"gain range {joined.describe()}"

    def deploy(self, plan: ConstantsPlan, comment: str = "") -> dict[str, Path]:
        """Write what a plan says; gives the files by kind.

        Raises
        ------
        ConstantsError
            If a file has come to be there meanwhile; it is left as it is.
        """
        for path in plan.paths.values():
            refuse(path)
        where = (plan.calib_dir, plan.address, plan.first_run, plan.last_run)
        written: dict[str, Path] = {}
        if plan.dark is not None:
            written |= deploy_dark_constants(plan.dark, *where, comment)
        if plan.mask is not None:
            written["pixel_mask"] = deploy_mask(plan.mask, *where, comment=comment)
        return written


def refuse(path: Path) -> None:
    """Refuse a file that is there already, and a folder that may not be written.

    Raises
    ------
    ConstantsError
        Saying what to do.
    """
    if os.path.lexists(path):
        raise ConstantsError(
            f"{path} is deployed already; choose another range of runs, or move that file away."
        )
    if reason := why_not_writable(path.parent):
        raise ConstantsError(reason)
