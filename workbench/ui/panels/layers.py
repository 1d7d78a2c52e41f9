"""The mask panel's table of rules and layers, the settings of the selected one, and new ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from workbench.errors import WorkbenchError
from workbench.mask import read_mask
from workbench.mask.evaluate import label
from workbench.recipe.mask import (
    BorderLayer,
    CircleLayer,
    FileLayer,
    GrowLayer,
    IslandLayer,
    Layer,
    LineLayer,
    OccupancyLayer,
    OutlierLayer,
    PartLayer,
    PolygonLayer,
    RadiusLayer,
    RectangleLayer,
    ResolutionLayer,
    SaturatedLayer,
    UnbondedLayer,
    WideLayer,
)
from workbench.session import Session
from workbench.ui.form import Form
from workbench.ui.panels.base import in_words, labelled, note_text, row
from workbench.ui.widgets.image_view import ImageView
from workbench.ui.widgets.layer_list import LayerList
from workbench.ui.widgets.shapes import free_name

if TYPE_CHECKING:
    from workbench.mask import RuleCount

MASK_FILE = "mask file…"
BEAM_STOP = "beam stop"
NEW_LAYERS: dict[str, Layer] = {
    "unbonded pixels": UnbondedLayer(neighbours=8),
    "wide columns": WideLayer(),
    "border of each sensor": BorderLayer(),
    "border of each ASIC": BorderLayer(of="asic"),
    "grow masked regions": GrowLayer(),
    "small islands": IslandLayer(),
    "saturated pixels": SaturatedLayer(),
    "rarely has data (occupancy)": OccupancyLayer(),
    "outliers of the average": OutlierLayer(),
    "outliers of the deviation": OutlierLayer(image="stddev"),
    "outliers of the maximum": OutlierLayer(image="maximum"),
    BEAM_STOP: CircleLayer(),  # fitted to the shadow in the images
    "beam-stop arm": LineLayer(end_mm=(0.0, 60.0), width_mm=2.0),
    "circle": CircleLayer(radius_mm=10.0),
    "rectangle": RectangleLayer(x_mm=(-10.0, 10.0), y_mm=(-10.0, 10.0)),
    "polygon": PolygonLayer(points_mm=((-10.0, -10.0), (10.0, -10.0), (0.0, 10.0))),
    "resolution range": ResolutionLayer(to_angstrom=2.0),
    "radius range": RadiusLayer(to_mm=5.0),
    "quadrant, sensor or ASIC": PartLayer(parts=("Q0S0A0",)),
}
_IN_THE_TABLE = ("name", "on", "mode", "sha256")


class LayersBox:
    """Table, new layers and settings of the selected layer.

    Parameters
    ----------
    guarded : does something and shows what goes wrong; as `Panel.guarded`.
    complain : as `Panel.complain`.

    Attributes
    ----------
    table : `LayerList`. kind, path, add : what to add. form : settings of the selected layer.
    """

    def __init__(
        self,
        session: Session,
        view: ImageView,
        guarded: Callable[[Callable[[], object]], None],
        complain: Callable[[str], None],
    ) -> None:
        self.session, self.view = session, view
        self._guarded, self._complain = guarded, complain
        self.table = LayerList(lambda *what: guarded(lambda: self.act(*what)))
        self.kind = labelled(
            widgets.Dropdown, "New layer",
            "Kind of layer to add; shapes and pixels are also drawn on the images", "300px",
            options=[*NEW_LAYERS, MASK_FILE],
        )  # fmt: skip
        self.path = widgets.Text(
            placeholder="mask.pickle, .npy, .h5, .edf …",
            tooltip="Mask file whose masked pixels become a layer",
            layout={"width": "260px", "display": "none"},
        )
        self.kind.observe(lambda change: self._kind_chosen(), "value")
        self.add = widgets.Button(
            description="Add", tooltip="Add this layer after the others", layout={"width": "auto"}
        )
        self.add.on_click(lambda _: guarded(self.add_layer))
        self.form: Form[Layer] | None = None
        self._place = -1  # layer of the form
        self.settings = widgets.VBox([])
        self.widget = widgets.VBox(
            [row(self.kind, self.path, self.add), self.table, self.settings],
            layout={"flex": "1 1 460px", "min_width": "0"},
        )
        self.table.observe(lambda change: self._select(self.table.selected), "selected")
        view.observe(lambda change: self._select(view.selected), "selected")
        self._shown: tuple[Layer, ...] | None = None
        self.show_recipe()
        self.show_counts()

    # ---- what a person does ------------------------------------------------------------------
    def act(self, what: str, place: int, value: Any = None) -> None:
        """Do what the table asks for (see `LayerList`)."""
        session, layer = self.session, self.session.layer(place)
        if what in ("on", "name", "mode"):
            session.set_layer(place, dataclasses.replace(layer, **{what: value}))
        elif what == "move":
            to = min(max(place + int(value), 0), len(session.recipe.mask.layers) - 1)
            session.move_layer(place, int(value))
            if self.table.selected == place:
                self._select(to)
        elif what == "remove":
            self._select(-1)
            session.set_layer(place, None)
        else:
            raise WorkbenchError(f"The table knows nothing called {what!r}.")

    def add_layer(self) -> None:
        """Add a layer of the kind chosen, and select it."""
        present = self.session.recipe.mask.layers
        if self.kind.value == MASK_FILE:
            path = self.path.value.strip()
            if not path:
                raise WorkbenchError("Write the mask file's path first.")
            read_mask(path)  # what cannot be read does not become a layer
            self.session.add_layer(FileLayer(name=free_name(Path(path).name, present), path=path))
        else:
            new = NEW_LAYERS[self.kind.value]
            name = free_name(self.kind.value, present)
            if self.kind.value == BEAM_STOP:
                new = self._beam_stop()
            self.session.add_layer(dataclasses.replace(new, name=name))
        self._select(len(present))

    def _beam_stop(self) -> CircleLayer:
        from workbench.mask.shadow import fit_beam_stop

        images = self.session.images
        bright = None if images is None else images.maximum or images.bright_average
        if bright is None:
            raise WorkbenchError("The beam stop is found in a bright image; average a bright run.")
        return fit_beam_stop(bright)

    def _kind_chosen(self) -> None:
        self.path.layout.display = "" if self.kind.value == MASK_FILE else "none"

    def _select(self, place: int) -> None:
        layers = self.session.recipe.mask.layers
        place = place if 0 <= place < len(layers) else -1
        for widget in (self.table, self.view):
            if widget.selected != place:
                widget.selected = place
        self._show_settings()

    # ---- what is shown -----------------------------------------------------------------------
    def show_recipe(self) -> None:
        """Follow the recipe: rows and settings."""
        if self.session.recipe.mask.layers != self._shown:
            self._shown = self.session.recipe.mask.layers
            self.show_counts()
            self._select(self.table.selected)

    def show_counts(self) -> None:
        """Follow the newest counts (of the layers there were when they were made)."""
        mask, layers = self.session.counts, self.session.recipe.mask.layers
        removals = mask.removals if mask is not None else ()
        rows = [
            _row(in_words(removal.name), *removal.counts)
            for removal in removals
            if removal.layer is None and (removal.counts.total or removal.rule != "not_a_number")
        ]
        fresh = mask is not None and mask.settings is not None and mask.settings.layers == layers
        removed: dict[int, list[RuleCount]] = {}
        for removal in removals if fresh else ():
            if removal.layer is not None:
                removed.setdefault(removal.layer, []).append(removal.counts)
        kept = {keeper.layer: keeper.pixels for keeper in mask.kept} if fresh and mask else {}
        for place, layer in enumerate(layers):
            follows = isinstance(layer, GrowLayer | IslandLayer)
            total = alone = together = None
            if counts := removed.get(place):
                total = sum(count.total for count in counts)
                alone = sum(count.exclusive for count in counts)
                together = counts[-1].cumulative
            rows.append(
                _row(label(layer), total, alone, together)
                | {
                    "layer": place,
                    "kind": layer.kind,
                    "on": layer.on,
                    "mode": layer.mode,
                    "modes": ["union"] if follows else ["union", "exclude", "intersection"],
                    "kept": kept.get(place),
                }
            )
        if rows != self.table.rows:
            self.table.rows = rows

    def _show_settings(self) -> None:
        place, layers = self.table.selected, self.session.recipe.mask.layers
        if place < 0:
            self.form = None
            self.settings.children = []
            return
        layer = layers[place]
        form = self.form
        if form is not None and type(form.value) is type(layer) and self._place == place:
            form.show(layer)
            return
        self._place = place
        self.form = Form(
            layer, lambda new: self.session.set_layer(self._place, new), self._complain,
            leave_out=_IN_THE_TABLE,
        )  # fmt: skip
        what = (type(layer).__doc__ or "").split("\n")[0]
        heading = widgets.HTML(note_text(f"Layer {place + 1}, {layer.kind}: {what}"))
        self.settings.children = [heading, self.form.widget]


def _row(
    name: str, total: int | None, alone: int | None, together: int | None
) -> dict[str, object]:
    """Row of a rule, which has no layer."""
    return {
        "name": name, "layer": -1, "kind": "rule", "on": True, "mode": "union", "modes": [],
        "total": total, "alone": alone, "together": together, "kept": None,
    }  # fmt: skip
