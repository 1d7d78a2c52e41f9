"""Links from the page to files."""

from __future__ import annotations

import html
from pathlib import Path
from urllib.parse import quote


def link_to(path: Path) -> str:
    """HTML link “Open report” to a file; its path alone where no Jupyter server serves it."""
    address = served_at(path)
    text = html.escape(str(path))
    if address is None:
        return f'<span title="{text}">{text}</span>'
    return f'<a href="{html.escape(address)}" target="_blank" title="{text}">Open report</a>'


def served_at(path: Path) -> str | None:
    """Address of a file below the folder of a running Jupyter server of this user, or None."""
    try:
        from jupyter_server.serverapp import list_running_servers
    except ImportError:
        return None
    for server in list_running_servers():
        root = Path(server["root_dir"]).resolve()
        if path.resolve().is_relative_to(root):
            relative = path.resolve().relative_to(root).as_posix()
            return f"{server['base_url']}files/{quote(relative)}"
    return None
