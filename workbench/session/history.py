"""The recipe in force: undo and redo, who changed it, and its file."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.recipe import Recipe, write_recipe
from workbench.recipe.files import SUFFIX
from workbench.session.notifier import Notifier

LENGTH = 500
MERGE_SECONDS = 1.0


class History:
    """Recipes in the order they were set, and a place among them.

    Dragging a slider is one step: its changes follow each other within a second.

    Parameters
    ----------
    recipe : to begin with.
    path : the recipe's file, if it has one.
    notifier : listeners of ``recipe`` and ``status`` are called after each change.
    """

    def __init__(
        self,
        recipe: Recipe,
        path: str | os.PathLike[str] | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        self.path = None if path is None else Path(path)
        self._notifier = notifier or Notifier()
        self._lock = threading.RLock()
        self._origin = threading.local()
        self._recipes = [recipe]
        self._reasons = ["start"]
        self._at = 0
        self._last = 0.0

    @property
    def recipe(self) -> Recipe:
        """The recipe in force."""
        return self._recipes[self._at]

    @property
    def origin(self) -> object:
        """While listeners are called: the control that made the change, if it was one."""
        return getattr(self._origin, "control", None)

    def set(self, recipe: Recipe, reason: str = "recipe", within: float = 0.0) -> bool:
        """Make `recipe` the one in force; False if it is that already.

        Parameters
        ----------
        reason : what `undo` says it takes back.
        within : one step with the last of the same `reason` if that is fewer seconds ago.
        """
        with self._lock:
            changed = self._insert(recipe, reason, within)
        if changed:
            self._notify(None)
        return changed

    def _notify(self, origin: object) -> None:
        self._origin.control = origin
        try:
            self._notifier.notify("recipe", "status")
        finally:
            self._origin.control = None

    def _insert(self, recipe: Recipe, reason: str, within: float) -> bool:
        if recipe == self.recipe:
            return False
        now = time.monotonic()
        merge = (
            self._at > 0
            and reason == self._reasons[self._at]
            and now - self._last < within
            and self._at == len(self._recipes) - 1
        )
        self._last = now
        if merge:
            self._recipes[self._at] = recipe
            return True
        del self._recipes[self._at + 1 :], self._reasons[self._at + 1 :]
        self._recipes.append(recipe)
        self._reasons.append(reason)
        drop = max(0, len(self._recipes) - LENGTH)
        del self._recipes[:drop], self._reasons[:drop]
        self._at = len(self._recipes) - 1
        return True

    def change(self, path: str, value: object, origin: object = None) -> bool:
        """Change one setting, e.g. ``change("mask.thresholds.maxproj_min", 250)``.

        Parameters
        ----------
        origin : the control that shows the new value already; listeners leave it alone. Its
            changes within `MERGE_SECONDS` are one step of undo.

        Raises
        ------
        WorkbenchError
            If the value is refused; the setting keeps its value.
        """
        within = MERGE_SECONDS if origin is not None else 0.0
        with self._lock:
            try:
                recipe = self.recipe.changed(path, value)
            except (ValueError, TypeError) as error:
                raise WorkbenchError(f"{path.rsplit('.', 1)[-1]}: {error}.") from error
            changed = self._insert(recipe, path, within)
        if changed:
            self._notify(origin)
        return changed

    @property
    def undoable(self) -> str | None:
        """What undo would take back, or None."""
        return self._reasons[self._at] if self._at > 0 else None

    @property
    def redoable(self) -> str | None:
        """What redo would bring back, or None."""
        following = self._at + 1
        return self._reasons[following] if following < len(self._reasons) else None

    def undo(self) -> bool:
        """Go one step back; False if there is none."""
        return self._step(-1)

    def redo(self) -> bool:
        """Go one step forward again; False if there is none."""
        return self._step(+1)

    def _step(self, by: int) -> bool:
        with self._lock:
            if not 0 <= self._at + by < len(self._recipes):
                return False
            self._at += by
            self._last = 0.0
        self._notify(None)
        return True

    def save(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the recipe (default: its own file, else one in the output folder)."""
        target = Path(path) if path is not None else self.path or self.default_path
        write_recipe(self.recipe, target)
        self.path = target
        return target

    @property
    def default_path(self) -> Path:
        """``<output folder>/<experiment>_r<run>.calibration.toml``."""
        experiment = self.recipe.experiment
        run = f"_r{experiment.bright[0]:04d}" if experiment.bright else ""
        return Path(self.recipe.output.folder) / f"{experiment.name or 'images'}{run}{SUFFIX}"
