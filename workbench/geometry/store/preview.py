"""What a deployment would write, and what is odd about it."""

from __future__ import annotations

from workbench.errors import VersionStoreError, WorkbenchError
from workbench.geometry.compare import compare
from workbench.geometry.overlap import overlapping_modules
from workbench.geometry.store.folder import VersionFolder
from workbench.geometry.store.model import Deployment
from workbench.geometry.store.records import HISTORY
from workbench.geometry.tree import Geometry


def content_of(geometry: Geometry) -> tuple[bytes, list[str]]:
    """Bytes to deploy, with sentences on what was changed on the way.

    Raises
    ------
    VersionStoreError
        If the text of the geometry does not read back as the same geometry.
    """
    warnings = []
    if not geometry.is_in_index_order:
        geometry = geometry.in_index_order()
        warnings.append("its rows were out of index order, which psana would misread; now sorted.")
    text = geometry.to_text()
    if Geometry.parse(text, "new geometry") != geometry:
        raise VersionStoreError(f"{geometry.source}: its text does not read back as itself.")
    return text.encode("utf-8", "surrogateescape"), warnings


def preview(versions: VersionFolder, geometry: Geometry) -> Deployment:
    """What deploying a geometry would write; writes nothing."""
    content, warnings = content_of(geometry)
    text = content.decode("utf-8", "surrogateescape")
    new = Geometry.parse(text, "new geometry")
    fingerprint = versions.fingerprint()  # first: a deployment from now on is noticed
    state = versions.state()
    adopts = versions.would_lose(state)
    number = versions.next_number() + adopts
    diff = None
    try:
        present = versions.geometry(state)
        diff = None if present is None else compare(present, new)
    except WorkbenchError as error:
        warnings.append(f"the present {versions.file} is unusable: {error}")
    if diff is not None and not diff:
        warnings.append(f"it is the same geometry as the present {versions.file}.")
    name = geometry.detector.module_name
    for (first, second), depth_um in overlapping_modules(new).items():
        warnings.append(
            f"{name(first)} and {name(second)} overlap by {depth_um:.0f} µm, which is impossible."
        )
    if state.kind == "dangling":
        warnings.append(f"{versions.describe(state)}.")
    if state.version is not None and adopts:
        warnings.append(f"v{state.version} was changed after it was deployed.")
    warnings += versions.read_instead().values()
    made = [number - 1, number] if adopts else [number]
    paths = [path for n in made for path in (versions.side_car(n), versions.path(n))]
    names = [path.name for path in paths] + [HISTORY, versions.file]
    names += [versions.side_car(n).name for n in versions.unrecorded()]
    return Deployment(
        number, versions.path(number), versions.link, number - 1 if adopts else None,
        tuple(names), diff, tuple(warnings), text, fingerprint,
    )  # fmt: skip
