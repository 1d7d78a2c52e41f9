"""Running a parametrised notebook in a fresh kernel of the interpreter that runs now."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import workbench
from workbench import errors
from workbench.errors import Cancelled, WorkbenchError
from workbench.progress import Progress, Silent

if TYPE_CHECKING:
    from jupyter_client.asynchronous.client import AsyncKernelClient
    from jupyter_client.manager import AsyncKernelManager
    from nbformat import NotebookNode
    from papermill.exceptions import PapermillExecutionError

TEMPLATES = files("workbench.report") / "templates"


def refuse_without_tools() -> None:
    """Refuse where the packages that execute and convert a notebook are not installed."""
    for needed in ("papermill", "nbconvert", "ipykernel"):
        if find_spec(needed) is None:
            raise WorkbenchError(
                f"A report needs {needed}, which is not installed; "
                "install it with: pip install 'cspad-workbench[report]'"
            )


def execute(
    template: str, parameters: Mapping[str, Any], progress: Progress | None = None
) -> NotebookNode:
    """Execute a notebook of this package and give it back with its outputs.

    Parameters
    ----------
    template : name of the notebook in ``templates/``, without suffix.
    parameters : values of its parameters cell.
    progress : gets the number of finished cells; if cancelled, no further cell is started.

    Returns
    -------
    The notebook, without widget state.

    Raises
    ------
    WorkbenchError
        If a cell raised one (the same sentence), or failed in another way.
    Cancelled
        If the user asked to stop.
    """
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    reporter = progress or Silent()
    with as_file(TEMPLATES / f"{template}.ipynb") as path, tempfile.TemporaryDirectory() as folder:
        total = sum(cell.cell_type == "code" for cell in nbformat.read(path, 4).cells) + 1
        target = Path(folder, f"{template}.ipynb")
        watcher = _Watcher(reporter, total)
        clients: list[AsyncKernelClient] = []
        kernel = own_kernel(folder, clients)
        try:
            notebook = papermill.execute_notebook(
                path,
                target,
                parameters=dict(parameters),
                kernel_name="python3",
                progress_bar=False,
                km=kernel,
                on_cell_start=watcher.started,
                on_cell_executed=watcher.finished,
            )
        except PapermillExecutionError as error:
            raise _as_ours(error, template) from error
        except WorkbenchError:
            raise
        except Exception as error:  # a kernel that dies or cannot start raises many kinds
            raise WorkbenchError(
                f"The report's kernel ({sys.executable}) failed: {type(error).__name__}:"
                f" {_first_line(error)}; check that ipykernel works in this environment."
            ) from error
        finally:
            _shut_down(kernel, clients)
    return _tidy(notebook)


def own_kernel(folder: str, clients: list[AsyncKernelClient]) -> AsyncKernelManager:
    """Kernel manager that starts this interpreter, whatever kernels are installed.

    The package is importable in the kernel from the same place as here; the kernel's sockets and
    its connection file are in `folder`, which only this user should be able to enter. `clients`
    gets its clients.
    """
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    here = str(Path(workbench.__file__).absolute().parents[1])
    paths = [here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    specification = KernelSpec(
        argv=[
            sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
            "--HistoryManager.enabled=False",
        ],
        display_name="Python 3",
        language="python",
        env={"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "MPLBACKEND": "Agg"},
    )  # fmt: skip

    class ThisInterpreter(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            return specification

    class Manager(AsyncKernelManager):
        def client(self, **options: Any) -> Any:
            clients.append(super().client(**options))
            return clients[-1]

    return Manager(
        kernel_name="python3",
        kernel_spec_manager=ThisInterpreter(),
        connection_file=str(Path(folder, "kernel.json")),
        transport="ipc" if os.name == "posix" else "tcp",
    )


def _shut_down(kernel: AsyncKernelManager, clients: list[AsyncKernelClient]) -> None:
    from jupyter_core.utils import run_sync

    if kernel.has_kernel:
        run_sync(kernel.shutdown_kernel)(now=True)
    for client in clients:  # nbclient leaves that of a manager it was given open
        client.stop_channels()
        client.context.destroy(linger=0)


class _Watcher:
    """Reports progress from cell to cell and stops between cells when the user cancels."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress = progress
        self.total = total
        self.done = 0
        self.title = "starting a kernel"
        progress.update(0, total, self.title)

    def started(self, cell: NotebookNode, cell_index: int) -> None:
        if self.progress.cancelled:
            raise Cancelled("The report was cancelled; nothing was written.")
        self.title = cell.metadata.get("title", self.title)
        self.progress.update(self.done, self.total, self.title)

    def finished(self, cell: NotebookNode, cell_index: int, execute_reply: object) -> None:
        self.done += 1
        self.progress.update(min(self.done, self.total), self.total, self.title)


def _as_ours(error: PapermillExecutionError, template: str) -> WorkbenchError:
    """Give the error that a cell raised, in one sentence."""
    kind = getattr(errors, str(error.ename).rpartition(".")[2], None)
    sentence = str(error.evalue)
    if not (isinstance(kind, type) and issubclass(kind, WorkbenchError)):
        return WorkbenchError(
            f"The {template} notebook failed in cell {error.exec_count}:"
            f" {error.ename}: {_first_line(sentence)}."
        )
    return Cancelled(sentence) if issubclass(kind, Cancelled) else WorkbenchError(sentence)


def _first_line(problem: object) -> str:
    return (str(problem).strip().splitlines() or [""])[0].rstrip(".")


def _tidy(notebook: NotebookNode) -> NotebookNode:
    """Remove widget state and stray output on standard error; name a portable kernel."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = {
        "name": "python3", "display_name": "Python 3", "language": "python",
    }  # fmt: skip
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    return notebook
