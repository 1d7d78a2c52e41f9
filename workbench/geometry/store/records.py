"""What a version store writes beside the versions: side-cars and lines of ``HISTORY``."""

from __future__ import annotations

import functools
import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from workbench.files import parse_json
from workbench.geometry.store.files import digest
from workbench.geometry.store.model import Switch
from workbench.provenance import describe_files, software, user

HISTORY = "HISTORY"
Record = dict[str, Any]
"""Content of a side-car: plain values for JSON, of which the store itself reads some texts."""

_software = functools.cache(software)  # looks into the metadata of every package


def deployment_record(
    comment: str,
    warnings: Sequence[str],
    recipe_sha256: str,
    inputs: Sequence[str | os.PathLike[str]],
    quality: Mapping[str, Any] | None,
) -> Record:
    """What is recorded of a deployment."""
    record: Record = {"comment": one_line(comment), "warnings": list(warnings)}
    if recipe_sha256:
        record["recipe_sha256"] = recipe_sha256
    if inputs:
        record["inputs"] = [_described(path) for path in inputs]
    if quality:
        record["quality"] = dict(quality)
    return record | {"action": "deploy"}


def side_car_facts(number: int, file: str, content: bytes, record: Mapping[str, Any]) -> Record:
    """All that the side-car of a version says, its SHA-256 and its text among them."""
    return {
        "version": number,
        "file": file,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "user": user(),
        "host": socket.gethostname(),
        "software": _software(),
        **record,
        "sha256": digest(content),
        "text": content.decode("utf-8", "surrogateescape"),
    }


def side_car_bytes(facts: Mapping[str, Any]) -> bytes:
    """Content of a side-car file."""
    return json.dumps(facts, indent=1, default=str).encode() + b"\n"


def parse_side_car(content: bytes) -> Record:
    """What a side-car says; nothing if it is damaged."""
    try:
        record = parse_json(content)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def deployed_content(record: Mapping[str, Any]) -> bytes | None:
    """Content that a version was deployed with; None if its record does not (rightly) say."""
    text = record.get("text")
    if not isinstance(text, str):
        return None
    try:
        content = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
    return content if digest(content) == record.get("sha256") else None


def history_line(file: str, action: str, number: int, comment: str) -> str:
    """Line of ``HISTORY``: ``<time> file:… action:… version:vN user:… host:… comment:…``."""
    when = datetime.now().astimezone().isoformat(timespec="seconds")
    who = "_".join(user().split())
    line = f"{when} file:{file} action:{action} version:v{number} user:{who}"
    line += f" host:{socket.gethostname()}"
    comment = one_line(comment)
    return line + (f" comment:{comment}" if comment else "")


def parse_history(text: str, file: str) -> list[Switch]:
    """Lines of ``HISTORY`` about a file, oldest first; lines of other programs are left out."""
    pattern = re.compile(
        rf"(\S+) file:{re.escape(file)} action:(\S+) version:(\S+) "
        r"user:(\S+) host:(\S+)(?: comment:(.*))?"
    )
    switches = []
    for line in text.splitlines():
        if match := pattern.fullmatch(line):
            when, action, version, who, _, comment = match.groups()
            number = int(version[1:]) if re.fullmatch(r"v\d{1,9}", version) else None
            switches.append(Switch(when, action, number, who, comment or "", line))
    return switches


def one_line(text: str) -> str:
    """Text with every blank and line break as one blank."""
    return " ".join(text.split())


def _described(path: str | os.PathLike[str]) -> Record:
    """Facts of an input file; its name alone if it is not there any more."""
    try:
        return describe_files([path])[0]
    except OSError:
        return {"path": os.fspath(path)}
