"""The detector on canvas: arrays travel to the browser once, sliders are drawn there.

Measured: redrawing three detector images in the kernel gives one to seven updates a second;
thresholding 2.3 million pixels in the browser follows the mouse.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets as t
from numpy.typing import ArrayLike, NDArray

from workbench.detectors import DETECTORS, Detector
from workbench.errors import WorkbenchError
from workbench.mask import rules
from workbench.mask.rules import LIMITS, front_end_rules
from workbench.ui.widgets.bundles import bundle
from workbench.ui.widgets.shapes import Outline

if TYPE_CHECKING:
    from workbench.geometry import Geometry

IMAGES = tuple(rules.IMAGES)
BRIGHT_RUNS = "bright runs"
BRIGHT_AVERAGE = "bright average"
"""Average of the bright runs, and the choice of tiles that shows it."""
EVENT, SINGLE_EVENT = "event", "single event"
"""Image of a single event, and the choice of tiles that shows it."""
TITLES = [image.words for image in rules.IMAGES.values()]
IMAGE_FACTS = [
    {"name": name, "title": title.capitalize(), "of_runs": image.runs == BRIGHT_RUNS}
    for (name, image), title in zip(rules.IMAGES.items(), TITLES, strict=True)
]
TILES = (
    "side by side", *TITLES, "mask", "all four", BRIGHT_RUNS, BRIGHT_AVERAGE, SINGLE_EVENT,
)  # fmt: skip
ARRANGEMENTS = ("assembled", "corrected", "stack")
COLORMAPS = ("viridis", "cividis", "gray", "gray, inverted")
LIVE = {"sync": True, "echo_update": False}
"""Of what moves under the mouse: an echo of an earlier value would push it back."""
MODES = ("pan", "rectangle", "circle", "polygon", "line", "pixel")
REASONS = 24
"""Bits of the layers' array that have a name; the rest are `LOW_GAIN` and `KEPT`."""
LOW_GAIN, KEPT = 1 << 30, 1 << 31


def low_gain_trait(limit: str) -> str:
    """Name of the trait with a limit of the low-gain pixels."""
    return f"low_{limit}"


_LimitTraits: Any = t.MetaHasTraits(
    "_LimitTraits",
    (t.HasTraits,),
    {
        trait: t.Float(rule.default, help=f"{rule.unit}; {rule.text}").tag(**LIVE)
        for limit, rule in LIMITS.items()
        for trait in (limit, low_gain_trait(limit))
    },
)
"""A trait for each limit in the table of rules, and one for that of the low-gain pixels."""


class ImageView(_LimitTraits, anywidget.AnyWidget):  # type: ignore[misc]
    """Average, standard deviation and maximum of a detector, with the mask laid over them.

    Parameters
    ----------
    detector : whose images are shown; `set_detector` changes it.

    Attributes
    ----------
    radius_mm : of the corner of the detector that is farthest from the beam, in the geometry of
        the arrangement ``assembled``; infinite before there is one.

    Notes
    -----
    Each limit (``avg_max stddev_max maxproj_min``, and for low gain ``low_avg_max`` …) is a trait
    that the front end draws with at once; a slider sets it in the browser, so that no message has
    to come back from the kernel before the picture changes. `limit_rules` says what they mean.
    """

    _esm = t.Unicode(bundle("image_view.js")).tag(sync=True)
    _css = t.Unicode(bundle("image_view.css")).tag(sync=True)

    detector_facts = t.Dict(help="what `Detector.facts` gives").tag(sync=True)
    images: t.List[dict[str, Any]] = t.List(
        t.Dict(),
        default_value=IMAGE_FACTS,
        help="images, and whether those of the bright runs are of their kind",
    ).tag(sync=True)
    limit_rules: t.List[dict[str, Any]] = t.List(
        t.Dict(),
        default_value=front_end_rules(),
        help="threshold rules: rule, image, sign, limit (name of its trait, or a number), unit",
    ).tag(sync=True)
    rules = t.List(t.Enum(IMAGES), default_value=list(IMAGES), help="threshold rules in force").tag(
        sync=True
    )
    two_gains = t.Bool(False, help="low-gain pixels have limits of their own").tag(sync=True)
    bit_names = t.List(t.Unicode(), help="name of each bit of the layers' array").tag(sync=True)
    keepers = t.List(t.Unicode(), help="layers that keep pixels from being masked").tag(sync=True)

    tiles = t.Enum(TILES, TILES[0], help="which images are shown").tag(sync=True)
    arrangement = t.Enum(ARRANGEMENTS, ARRANGEMENTS[0], help="how the sensors are laid out").tag(
        sync=True
    )
    colormap = t.Enum(COLORMAPS, COLORMAPS[0]).tag(sync=True)
    log = t.Bool(False, help="logarithmic colour scale").tag(sync=True)
    limits = t.Dict(help="colour limits by image; others from percentiles").tag(sync=True)
    units = t.Dict(help="unit of each image; what is not here is in ADU").tag(sync=True)
    height = t.Int(0, help="height for the images, CSS pixels; 0: what fits the window").tag(
        sync=True
    )
    window = t.List(t.Float(), help="visible rows and columns; empty: all").tag(sync=True)
    show_mask = t.Bool(True).tag(sync=True)
    mask_opacity = t.Float(0.8, min=0.0, max=1.0).tag(**LIVE)
    show_rings = t.Bool(False).tag(sync=True)
    rings_by_group = t.Bool(
        False, help="rings about the ring centre of each group, in the present geometry"
    ).tag(sync=True)
    show_outlines = t.Bool(False).tag(sync=True)
    blink = t.Bool(
        False,
        help="alternate this mask and the remembered one if there is one, else both geometries",
    ).tag(sync=True)
    names = t.Dict(help="what “assembled” and “corrected” stand for, if not for that").tag(
        sync=True
    )
    runs: t.List[str] = t.List(t.Unicode(), help="bright runs to show one by one").tag(sync=True)
    has_bright_average = t.Bool(False, help="there is one to show").tag(sync=True)
    event = t.Unicode(help="title of the single event that is shown; empty: none").tag(sync=True)
    peaks: t.List[int] = t.List(
        t.Int(), help="pixels of the single event that are peaks, index in the flattened array"
    ).tag(sync=True)
    mode = t.Enum(MODES, MODES[0], help="what the mouse does").tag(sync=True)
    can_draw = t.Bool(False, help="offer the drawing tools").tag(sync=True)

    distance_mm = t.Float(0.0, help="sample to detector; 0: unknown").tag(sync=True)
    wavelength = t.Float(0.0, help="Å; 0: unknown").tag(sync=True)
    centre_mm = t.List(t.Float(), default_value=[0.0, 0.0]).tag(sync=True)
    rings: t.List[tuple[float, str]] = t.List(help="[radius in mm, label] of each ring").tag(
        sync=True
    )
    group_offsets_px: t.List[list[float]] = t.List(
        help="[x, y] by which the ring centre of each group is displaced; empty: not"
    ).tag(sync=True)
    shapes: t.List[Outline] = t.List(help="shapes drawn over the images, points in lab mm").tag(
        sync=True
    )
    selected = t.Int(-1, help="layer whose shape has handles; -1: none").tag(sync=True)

    def __init__(self, detector: Detector = DETECTORS[0], **traits: object) -> None:
        self.detector = detector
        super().__init__(**{"detector_facts": detector.facts(), **traits})
        self.radius_mm = math.inf
        self._lock = threading.RLock()
        self._messages: dict[str, tuple[dict[str, Any], list[Any]]] = {}
        self._watched = False  # nobody to send to before a browser has asked
        self._on_the_way: dict[str, float] = {}  # arrays sent, not yet received
        self._listeners: dict[str, list[Callable[..., object]]] = {}
        self.on_msg(self._received)

    # ---- what is shown -----------------------------------------------------------------------
    def set_detector(self, detector: Detector) -> None:
        """Show another detector; the images and geometries of the one before are taken away."""
        if detector == self.detector:
            return
        for name in list(self._messages):
            self._forget(name)
        self.detector = detector
        self.detector_facts = detector.facts()

    def set_image(self, name: str, values: ArrayLike | None) -> None:
        """Show an array as average, stddev or maximum (None takes it away).

        Parameters
        ----------
        name : ``average``, ``stddev``, ``maximum``, ``bright average``, ``event``, or one of
            `runs`.
        values : ``(modules, rows, columns)`` of the detector, ADU; kept and sent as float32.
        """
        if name not in (*IMAGES, BRIGHT_AVERAGE, EVENT, *self.runs):
            raise WorkbenchError(f"The view has no image {name!r}; use one of {', '.join(IMAGES)}.")
        self._keep_copy("image", name, values, np.float32, f"{name} image")

    def set_geometry(self, geometry: Geometry | None, arrangement: str = "assembled") -> None:
        """Lay the modules out by a geometry, as ``assembled`` or ``corrected``."""
        if arrangement not in ARRANGEMENTS[:2]:
            raise WorkbenchError(f"There is no geometry for the arrangement {arrangement!r}.")
        if geometry is None:
            self._forget(arrangement)
            return
        snapped = geometry.snapped()
        self._keep_map(arrangement, geometry, snapped.index, snapped.origin_um)

    def set_geometries(self, first: Geometry, second: Geometry) -> None:
        """Blink between two geometries, ``assembled`` and ``corrected``, in one common frame.

        What did not move stays on its screen pixel, within half a detector pixel.
        """
        pictures = [first.snapped(), second.snapped()]
        origins = np.array([picture.origin_um for picture in pictures])
        lowest = origins.min(axis=0)
        starts = np.rint((origins - lowest) / self.detector.pixel_um).astype(int)
        shape = (starts + [picture.shape for picture in pictures]).max(axis=0)
        for name, geometry, picture, (row, column) in zip(
            ARRANGEMENTS[:2], (first, second), pictures, starts, strict=True
        ):
            index = np.full(shape, -1, np.int32)
            rows, columns = picture.shape
            index[row : row + rows, column : column + columns] = picture.index
            self._keep_map(name, geometry, index, (float(lowest[0]), float(lowest[1])))

    def _keep_map(
        self,
        name: str,
        geometry: Geometry,
        index: NDArray[np.int32],
        origin_um: tuple[float, float],
    ) -> None:
        message = {
            "type": "array",
            "kind": "map",
            "name": name,
            "dtype": "int32",
            "shape": list(index.shape),
            "frame": [*(float(v) / 1000 for v in origin_um), self.detector.pixel_um / 1000],
        }
        asics = asic_vectors_mm(self.detector, geometry.pixel_positions_um())
        if name == ARRANGEMENTS[0]:
            self.radius_mm = float(np.hypot(*asic_corners_mm(self.detector, asics).T).max())
        self._keep(message, [np.ascontiguousarray(index, dtype=np.int32), asics])

    def set_bits(
        self,
        bits: ArrayLike | None,
        names: Sequence[str] = (),
        spared: ArrayLike | None = None,
        keepers: Sequence[str] = (),
    ) -> None:
        """Mask pixels for reasons other than the thresholds.

        Parameters
        ----------
        bits : uint32 in the detector's shape; a pixel with any of the `REASONS` lowest bits set is
            masked. With `LOW_GAIN` it has the limits of low gain, with `KEPT` none. None: no layer.
        names : name of each bit, from the lowest, shown in the read-out.
        spared : uint32 in the detector's shape, bits that would mask a pixel if layer ``n`` of
            `keepers` did not keep it; ``n + 1`` stands in the highest byte.
        """
        with self.hold_sync():
            self.bit_names, self.keepers = list(names), list(keepers)
        for name, values in (("spared", spared), ("bits", bits)):
            self._keep_copy("bits", name, values, np.uint32, "layers")

    def set_other_mask(self, masked: ArrayLike | None) -> None:
        """Mask B, to blink with the one shown: True or non-zero where masked (None: no B)."""
        self._keep_copy("bits", "other", masked, np.uint32, "other mask")

    def has_map(self, arrangement: str) -> bool:
        """Whether there is a geometry for an arrangement."""
        with self._lock:
            return arrangement in self._messages

    def fit(self) -> None:
        """Show the whole detector."""
        self.window = []

    # ---- what the user does on the picture ---------------------------------------------------
    def on(self, kind: str, act: Callable[..., object]) -> None:
        """Call `act` when a person does this on the picture.

        Parameters
        ----------
        kind : ``shape``, ``act(kind, points)``: a shape was drawn (points in lab mm); ``reshape``,
            ``act(layer, points)``: that of a layer was dragged; ``remove``, ``act(layer)``: that
            is to be removed; ``pixel``, ``act(flat index)``: a pixel is to be masked or unmasked;
            ``pick``, ``act(flat index)``: one was clicked to look at it.
        """
        self._listeners.setdefault(kind, []).append(act)

    # ---- messages ----------------------------------------------------------------------------
    @property
    def keeps_up(self) -> bool:
        """False until the browser has drawn what was sent and had time for other things.

        Pictures that will be replaced anyway are not sent then: over a slow line, or to a page
        that is busy or hidden, they would queue up and hold back what the sliders do. What is not
        confirmed within a minute is taken for lost.
        """
        with self._lock:
            return all(time.monotonic() - sent > 60 for sent in self._on_the_way.values())

    def _received(self, _: object, content: Mapping[str, Any], __: object) -> None:
        kind = content.get("type")
        if kind == "need":
            with self._lock:
                self._watched = True
                waiting = list(self._messages.values())
            for message, buffers in waiting:
                self._send_array(message, buffers)
        elif kind == "got":
            with self._lock:
                self._on_the_way.pop(content.get("name", ""), None)
        elif kind == "shape":
            self._notify(kind, str(content["kind"]), content["points"])
        elif kind == "reshape":
            self._notify(kind, int(content["layer"]), content["points"])
        elif kind == "remove":
            self._notify(kind, int(content["layer"]))
        elif kind in ("pixel", "pick"):
            flat = int(content["flat"])
            if 0 <= flat < self.detector.pixels:
                self._notify(kind, flat)

    def _notify(self, kind: str, *values: object) -> None:
        for act in self._listeners.get(kind, []):
            act(*values)

    def _keep(self, message: dict[str, Any], arrays: Iterable[NDArray[Any]]) -> None:
        # a message and no trait: traits of 9 MB would be stored with the notebook
        buffers = [memoryview(array).cast("B") for array in arrays]
        with self._lock:
            self._messages[message["name"]] = (message, buffers)
            watched = self._watched
        if watched:
            self._send_array(message, buffers)

    def _send_array(self, message: dict[str, Any], buffers: list[Any]) -> None:
        with self._lock:
            self._on_the_way[message["name"]] = time.monotonic()
        self.send(message, buffers)

    def _keep_copy(
        self, kind: str, name: str, values: ArrayLike | None, dtype: type[np.generic], what: str
    ) -> None:
        """Keep a copy of a detector array (None: forget it): averaging goes on in the original."""
        if values is None:
            self._forget(name)
            return
        array = np.asarray(values)
        shape = self.detector.shape
        if array.shape != shape:
            raise WorkbenchError(f"The {what} has the shape {array.shape}; {shape} is needed.")
        message = {"type": "array", "kind": kind, "name": name, "dtype": dtype.__name__}
        self._keep(message, [np.array(array, dtype=dtype, order="C")])

    def _forget(self, name: str) -> None:
        with self._lock:
            known = self._messages.pop(name, None)
        if known and self._watched:
            self.send({"type": "forget", "name": name})


def asic_vectors_mm(detector: Detector, positions_um: NDArray[np.floating]) -> NDArray[np.float32]:
    """Origin, fast step and slow step (x, y each) of every ASIC: float32 ``(ASICs, 6)``, mm.

    Parameters
    ----------
    positions_um : lab x, y (z) of all pixels, ``(modules, rows, columns, 2 or 3)``.
    """
    rows, columns = detector.asic_shape
    xy = positions_um[..., :2]
    firsts = (xy[:, ::rows, ::columns], xy[:, ::rows, 1::columns], xy[:, 1::rows, ::columns])
    origin, right, below = (pixels.reshape(-1, 2) for pixels in firsts)
    vectors = [origin, right - origin, below - origin]
    return np.ascontiguousarray(np.concatenate(vectors, axis=1) / 1000, dtype=np.float32)


def asic_corners_mm(detector: Detector, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Lab x, y of the four corners of each ASIC, from `asic_vectors_mm`: ``(ASICs, 4, 2)``."""
    origin, fast, slow = vectors.astype(np.float64).reshape(-1, 3, 2).swapaxes(0, 1)
    bottom, right = (size - 0.5 for size in detector.asic_shape)
    ends = [(-0.5, -0.5), (right, -0.5), (right, bottom), (-0.5, bottom)]
    return np.stack([origin + i * fast + j * slow for i, j in ends], axis=1)
