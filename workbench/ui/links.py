"""Links from the page to files."""

from __future__ import annotations

import html
from pathlib import Path
from urllib.parse import quote


def link_to(path: Path, name: str) -> str:
    """HTML link of this name to a file; its path alone where no Jupyter server serves it."""
    address = served_at(path)
    text, name = html.escape(str(path)), html.escape(name)
    if address is None:
        return f'<span title="{text}">{text}</span>'
    return f'<a href="{html.escape(address)}" target="_blank" title="{text}">{name}</a>'


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
