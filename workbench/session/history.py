"""Undo and redo over recipes: a list of values and a place in it."""

from __future__ import annotations

import time

from workbench.recipe import Recipe

LENGTH = 500
MERGE_SECONDS = 1.0


class History:
    """Recipes in the order they were set.

    Dragging a slider is one step: its changes follow each other within a second.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipes = [recipe]
        self._reasons = ["start"]
        self._at = 0
        self._last = 0.0

    @property
    def recipe(self) -> Recipe:
        """The recipe in force."""
        return self._recipes[self._at]

    def set(self, recipe: Recipe, reason: str, within: float = 0.0) -> bool:
        """Make `recipe` the one in force; False if it is that already.

        Parameters
        ----------
        within : one step with the last of the same `reason` if that is fewer seconds ago.
        """
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
        if self.undoable is None:
            return False
        self._at -= 1
        self._last = 0.0
        return True

    def redo(self) -> bool:
        """Go one step forward again; False if there is none."""
        if self.redoable is None:
            return False
        self._at += 1
        self._last = 0.0
        return True
