"""Averages kept in files, so that a calibration goes on tomorrow without reading its runs again."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import provenance
from workbench.detectors import find
from workbench.errors import WorkbenchError
from workbench.files import parse_json, replacing
from workbench.recipe import Recipe

if TYPE_CHECKING:
    from workbench.averages import RunImages

AVERAGES_FOLDER = "kept-averages"


def averages_folder(recipe: Recipe) -> Path:
    """Where the averages of a recipe are kept, so that its runs need not be read again."""
    return Path(recipe.output.folder) / AVERAGES_FOLDER


HALF_SUFFIXES = (".half0.npz", ".half1.npz")


class AverageCache(MutableMapping[str, "RunImages"]):
    """Results of `average_one` by `averaging_key`, in memory and in files of a folder.

    A key holds the sizes and times of all files a result was made from, so what is found here is
    what averaging again would give. Of each run the newest result stays (about 90 MB,
    with halves of the events 270 MB).

    Parameters
    ----------
    folder : made when the first result is kept; None: keep in memory alone.
    tell : called with a sentence about what was kept, or why it could not be.
    """

    def __init__(
        self, folder: str | Path | None = None, tell: Callable[[str], None] | None = None
    ) -> None:
        self.folder = None if folder is None else Path(folder)
        self._tell = tell
        self._known: dict[str, RunImages] = {}

    def __getitem__(self, key: str) -> RunImages:
        """Give a result; KeyError if there is none, or its files cannot be read."""
        if key not in self._known:
            images = self._read(key)
            if images is None:
                raise KeyError(key)
            self._known[key] = images
        return self._known[key]

    def __contains__(self, key: object) -> bool:
        """Whether there is a result; its files are looked for, not read."""
        return isinstance(key, str) and (key in self._known or self._facts(key) is not None)

    def __setitem__(self, key: str, images: RunImages) -> None:
        """Keep a result; where its files cannot be written, in memory alone."""
        same = (images.experiment, images.run)
        self._known = {
            k: entry for k, entry in self._known.items() if (entry.experiment, entry.run) != same
        } | {key: images}
        if self.folder is None:
            return
        facts = {
            field.name: getattr(images, field.name)
            for field in dataclasses.fields(images)
            if field.name not in ("statistics", "state", "of_halves")
        }
        facts["detector"] = images.detector.name
        name = f"{images.experiment}-r{images.run:04d}-averages-"
        path = self.folder / f"{name}{key[:16]}.json"
        try:
            for old in self.folder.glob(f"{name}*"):
                old.unlink(missing_ok=True)
            images.statistics.save(path.with_suffix(".npz"))
            for half, suffix in zip(images.of_halves, HALF_SUFFIXES, strict=False):
                half.save(path.with_suffix(suffix))
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(facts, default=str), encoding="utf-8")
            note = f"averages of run {images.run} kept in {self.folder}"
        except (WorkbenchError, OSError) as error:
            note = f"averages of run {images.run} are kept in memory only: {error}"
        if self._tell is not None:
            self._tell(note)

    def __delitem__(self, key: str) -> None:
        """Forget a result."""
        entry = self._known.pop(key, None)
        path = self._facts(key)
        if path is not None:
            path.unlink()
            for suffix in (".npz", *HALF_SUFFIXES):
                path.with_suffix(suffix).unlink(missing_ok=True)
        elif entry is None:
            raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        """Keys in memory."""
        return iter(dict(self._known))

    def __len__(self) -> int:
        """Results in memory."""
        return len(self._known)

    def _facts(self, key: str) -> Path | None:
        if self.folder is None:
            return None
        return next(iter(self.folder.glob(f"*-averages-{key[:16]}.json")), None)

    def _read(self, key: str) -> RunImages | None:
        from workbench.averages import RunImages, Statistics

        path = self._facts(key)
        if path is None:
            return None
        try:
            facts: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
            if facts["provenance"]["software"] != provenance.software():
                return None  # made by another version: average again
            statistics = Statistics.load(path.with_suffix(".npz"))
            if facts.get("split"):
                facts["of_halves"] = tuple(
                    Statistics.load(path.with_suffix(suffix)) for suffix in HALF_SUFFIXES
                )
            facts["detector"] = find(facts["detector"])
            facts["skipped"] = Counter(facts["skipped"])
            facts["warnings"] = tuple(facts["warnings"])
            return RunImages(statistics, **facts)
        except (WorkbenchError, OSError, ValueError, TypeError, KeyError):
            return None
