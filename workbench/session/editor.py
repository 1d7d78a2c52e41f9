"""A recipe being edited: observed, undone and redone, written to its file. No widgets, no data."""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from workbench import pipeline
from workbench.errors import WorkbenchError
from workbench.recipe import Recipe, write_recipe
from workbench.session.history import MERGE_SECONDS, History
from workbench.session.worker import Log

TOPICS = (
    "recipe", "status", "progress", "preview", "images", "counts", "mask", "alignment", "versions",
)  # fmt: skip


Method = TypeVar("Method", bound=Callable[..., Any])


def told(method: Method) -> Method:
    """Log calls of a method as the line of Python they are; not those it makes of others."""

    @functools.wraps(method)
    def wrapped(self: RecipeEditor, *args: Any, **kwargs: Any) -> Any:
        if getattr(self._inside, "told", False):
            return method(self, *args, **kwargs)
        self._inside.told = True
        try:
            origin = kwargs.pop("origin", None)
            merges = f"{method.__name__} {args[:1]}" if origin is not None else ""
            given = [*map(literal, args), *(f"{k}={literal(v)}" for k, v in kwargs.items())]
            self.log.did(f"{self.name}.{method.__name__}({', '.join(given)})", merges)
            if origin is not None:
                kwargs["origin"] = origin
            return method(self, *args, **kwargs)
        finally:
            self._inside.told = False

    return wrapped  # type: ignore[return-value]


def literal(value: Any) -> str:
    """Value as it is written in Python."""
    if isinstance(value, Path):
        return repr(str(value))
    text = repr(value)
    return "…" if text.startswith("<") or len(text) > 2000 else text


class RecipeEditor:
    """A recipe with its history, its listeners and its file.

    Parameters
    ----------
    recipe : to begin with; relative paths in it are taken from the current folder.
    path : the recipe's file, if it has one.

    Attributes
    ----------
    name : what it is called in the lines of Python that are logged.
    """

    name = "session"

    def __init__(
        self, recipe: Recipe | None = None, path: str | os.PathLike[str] | None = None
    ) -> None:
        self.log = Log()
        self.path = None if path is None else Path(path)
        self._history = History(pipeline.resolve(recipe or Recipe(), Path.cwd()))
        self._lock = threading.RLock()
        self._listeners: dict[str, list[Callable[[], None]]] = {topic: [] for topic in TOPICS}
        self._origin = threading.local()
        self._inside = threading.local()

    # ---- observing ---------------------------------------------------------------------------
    def subscribe(self, topic: str, act: Callable[[], None]) -> None:
        """Call ``act()`` whenever `topic` (one of `TOPICS`) changes."""
        self._listeners[topic].append(act)

    def tell(self, *topics: str) -> None:
        """Tell listeners; what goes wrong in one of them goes to the log."""
        for topic in topics:
            for act in list(self._listeners[topic]):
                try:
                    act()
                except Exception as error:
                    self.log.error(topic, error)

    # ---- recipe ------------------------------------------------------------------------------
    @property
    def recipe(self) -> Recipe:
        """The recipe in force; assign a new one to change it (undoable)."""
        return self._history.recipe

    @recipe.setter
    def recipe(self, recipe: Recipe) -> None:
        self.set_recipe(recipe)

    def set_recipe(self, recipe: Recipe, reason: str = "recipe", dragging: bool = False) -> None:
        """Make `recipe` the one in force; `dragging`: one step of undo with the last."""
        if not getattr(self._inside, "told", False):
            self.log.did(f"{self.name}.recipe = …  # {reason}")
        with self._lock:
            changed = self._history.set(recipe, reason, math.inf if dragging else 0.0)
        if changed:
            self._recipe_changed()

    @property
    def origin(self) -> object:
        """While listeners are told: the control that made the change, if it was one."""
        return getattr(self._origin, "control", None)

    @told
    def change(self, path: str, value: object, origin: object = None) -> None:
        """Change one setting, e.g. ``change("mask.thresholds.maxproj_min", 250)``.

        Parameters
        ----------
        origin : the control that shows this value already; listeners leave it alone.

        Raises
        ------
        WorkbenchError
            If the value is refused; the setting keeps its value.
        """
        with self._lock:
            try:
                recipe = self.recipe.changed(path, value)
            except (ValueError, TypeError) as error:
                raise WorkbenchError(f"{path.rsplit('.', 1)[-1]}: {error}.") from error
            changed = self._history.set(recipe, path, MERGE_SECONDS if origin is not None else 0.0)
        if changed:
            self._origin.control = origin
            try:
                self._recipe_changed()
            finally:
                self._origin.control = None

    @property
    def undoable(self) -> str | None:
        """What `undo` would take back."""
        return self._history.undoable

    @property
    def redoable(self) -> str | None:
        """What `redo` would bring back."""
        return self._history.redoable

    @told
    def undo(self) -> None:
        """Take the last change of the recipe back."""
        with self._lock:
            changed = self._history.undo()
        if changed:
            self._recipe_changed()

    @told
    def redo(self) -> None:
        """Make the change that was taken back again."""
        with self._lock:
            changed = self._history.redo()
        if changed:
            self._recipe_changed()

    def _recipe_changed(self) -> None:
        self.tell("recipe", "status")

    @told
    def save_recipe(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the recipe (default: its own file, else one in the output folder)."""
        target = Path(path) if path is not None else self.path or self.default_path
        write_recipe(self.recipe, target)
        self.path = target
        self.log.note("recipe", f"written to {target}")
        return target

    @property
    def default_path(self) -> Path:
        """``<output folder>/<experiment>_r<run>.calibration.toml``."""
        experiment = self.recipe.experiment
        run = f"_r{experiment.bright[0]:04d}" if experiment.bright else ""
        name = f"{experiment.name or 'images'}{run}.calibration.toml"
        return Path(self.recipe.output.folder) / name

    # ---- layers of the mask ------------------------------------------------------------------
    @told
    def add_layer(self, layer: Any) -> None:
        """Append a layer to the mask."""
        self.change("mask.layers", (*self.recipe.mask.layers, layer))

    @told
    def set_layer(self, number: int, layer: Any) -> None:
        """Replace a layer of the mask (None: remove it)."""
        present = list(self.recipe.mask.layers)
        if not 0 <= number < len(present):
            raise WorkbenchError(f"There is no layer {number + 1}; there are {len(present)}.")
        present[number : number + 1] = [] if layer is None else [layer]
        self.change("mask.layers", tuple(present))

    @told
    def move_layer(self, number: int, places: int) -> None:
        """Move a layer up (-1) or down (+1) in the order."""
        present = list(self.recipe.mask.layers)
        layer = present.pop(number)
        present.insert(max(0, number + places), layer)
        self.change("mask.layers", tuple(present))
