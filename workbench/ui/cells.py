"""A cell that is run again shows a new workbench; the one it showed before is closed.

Jupyter keeps the widgets of the first, and sends them all to a page that is opened again.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.ui.app import Workbench

_SHOWN: dict[str, list[tuple[int, weakref.ref[Workbench]]]] = {}
"""By cell: number of its execution, and the workbench."""


def replace(bench: Workbench, shell: Any = None) -> list[Workbench]:
    """Close what an earlier run of this cell showed and no variable holds; gives what was closed.

    Parameters
    ----------
    bench : about to be shown.
    shell : IPython's; by default the running one. Without cells nothing is done.
    """
    if shell is None:
        from IPython import get_ipython

        shell = get_ipython()
    cell = _cell(shell)
    if cell is None:
        return []
    now = int(getattr(shell, "execution_count", 0))
    held = {id(value) for value in _held(shell.user_ns)}
    kept, closed = [], []
    for when, reference in _SHOWN.get(cell, []):
        old = reference()
        if old is None or old is bench:
            continue
        if when == now or id(old) in held:
            kept.append((when, reference))
        else:
            old.close()
            closed.append(old)
    _SHOWN[cell] = [*kept, (now, weakref.ref(bench))]
    return closed


def _cell(shell: Any) -> str | None:
    """Identity of the cell that runs, where the front end sends it (JupyterLab 4, VS Code)."""
    try:
        result: str | None = shell.get_parent()["metadata"]["cellId"]
        return result
    except (AttributeError, KeyError, TypeError, LookupError):
        return None


def _held(names: Mapping[str, Any]) -> Iterable[Any]:
    """Objects that the user's variables name, also in lists and dictionaries."""
    for name, value in list(names.items()):
        if name.startswith("_") or name in ("In", "Out"):
            continue  # IPython's own memory of results
        yield value
        if isinstance(value, Mapping):
            yield from list(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            yield from list(value)
