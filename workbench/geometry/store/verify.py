"""Holding the versions against their records."""

from __future__ import annotations

from workbench.errors import WorkbenchError
from workbench.geometry.store.folder import VersionFolder
from workbench.geometry.store.model import Version


def problems(versions: VersionFolder) -> list[str]:
    """Everything that is not as it was deployed, one sentence each; empty if all is well.

    A file of another range that psana reads instead, and that is no version, is among them.
    """
    state = versions.state()
    sentences: list[str] = []
    if state.kind != "version" and (state.kind != "absent" or versions.numbers()):
        sentences.append(f"{versions.describe(state)}.")
    for name, sentence in versions.read_instead().items():
        if not VersionFolder(versions.folder, name).numbers():  # else somebody meant it
            sentences.append(sentence)
    for version in versions.versions():
        sentences += _of_version(version)
    for number in versions.missing():
        restorable = versions.deployed(number) is not None
        sentences.append(
            f"{versions.path(number).name} was deleted, or its deployment was interrupted; "
            + ("`repair` puts it back." if restorable else "its record does not say what it was.")
        )
    switches = [switch for switch in versions.switches() if switch.moved]
    if switches and switches[-1].version is not None and state.kind == "version":
        last = switches[-1]
        if last.version != state.version:
            sentences.append(
                f"HISTORY ends with {last.action} of v{last.version}, "
                f"but {versions.file} leads to v{state.version}."
            )
    return sentences


def _of_version(version: Version) -> list[str]:
    sentences = []
    if not version.sha256:
        sentences.append(f"{version.path.name} cannot be read.")
    elif version.intact is False:
        sentences.append(
            f"{version.path.name} was changed after it was deployed"
            f"{' (and psana reads it)' if version.current else ''}; "
            "`repair` puts the deployed content back and keeps the changed one."
        )
    elif version.intact is None:
        sentences.append(f"{version.path.name} has no record of its content.")
    try:
        version.geometry()
    except WorkbenchError:
        sentences.append(f"{version.path.name} is not a usable geometry.")
    return sentences
