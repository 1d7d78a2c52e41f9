"""Code blocks of the documentation: finding, executing and comparing them.

- ``console`` blocks hold commands after ``$ `` and what they print; ``...`` stands for any lines. A
  command without output below it must succeed, whatever it prints.
- ``python`` blocks of a page are executed one after the other in one namespace.
- A comment ``<!-- not run: why -->`` before a block leaves it out; ``bash`` blocks and those
  without a language are not executed (options of their ``workbench`` lines are checked).

``python tests/docs/pages.py docs/tutorial.md`` types the commands of a page and writes what they
print into it.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

BLOCK = re.compile(
    r"(?P<skip><!-- not run: [^>]* -->\n+)?^(?P<indent> *)```(?P<language>\w*)[^\n]*\n"
    r"(?P<body>.*?)^ *```",
    re.S | re.M,
)
REPLACED = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*"), "TIME"),
    (re.compile(r"\b[\w.-]+@[\w.-]+"), "WHO"),
    (re.compile(r"is at \([^)]*\)"), "is at TRIAL"),
    (re.compile(r"[+−-]?\d+\.\d*"), "NUMBER"),
    (re.compile(r"[ \t]+"), " "),
)


@dataclass(frozen=True)
class Command:
    """A command of a console block and the lines below it."""

    line: str
    output: tuple[str, ...]


def blocks(text, language):
    """Bodies of the executed blocks of a language, without their indentation."""
    for found in BLOCK.finditer(text):
        if found["language"] == language and not found["skip"]:
            yield re.sub(rf"(?m)^{found['indent']}", "", found["body"])


def commands(text):
    """All commands of the console blocks of a page, in order."""
    for body in blocks(text, "console"):
        parts = re.split(r"(?m)^\$ ", body)
        for part in parts[1:]:
            line, _, rest = re.sub(r"\\\n *", "", part).partition("\n")
            yield Command(line.strip(), tuple(rest.rstrip().splitlines()))


def execute(line, environment):
    """Run one command here; gives what it prints. `environment` keeps what is exported."""
    words = shlex.split(line, comments=True)
    if words[0] == "export":
        name, _, value = words[1].partition("=")
        environment[name] = value
        return ""
    if words[0] == "workbench":
        return execute_here(words[1:], environment)
    if words[0] == "python":
        words[0] = sys.executable
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout.replace(f"{Path.cwd()}/", "")


def execute_here(arguments, environment):
    """Run a verb in this process, which saves starting Python and compiling."""
    from workbench.cli import main as workbench

    printed, problems = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, environment),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(problems),
    ):
        try:
            status = workbench(arguments)
        except SystemExit as left:
            status = left.code
    assert not status, f"workbench {shlex.join(arguments)}\n{problems.getvalue()}"
    return printed.getvalue().replace(f"{Path.cwd()}/", "")


def plain(line):
    """Line without what differs from run to run and from machine to machine."""
    for pattern, replacement in REPLACED:
        line = pattern.sub(replacement, line)
    return line.strip()


def agrees(shown, printed):
    """Whether the printed lines are those shown, where ``...`` stands for any."""
    pattern = "".join(
        r"(?:[^\n]*\n)*?" if line.strip() == "..." else re.escape(plain(line)) + r"\n"
        for line in shown
    )
    return re.fullmatch(pattern, "".join(f"{plain(line)}\n" for line in printed)) is not None


def main(path):
    """Write into a page what its commands print (blocks whose output is cut by ``...`` stay)."""
    text = Path(path).read_text(encoding="utf-8")
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "COLUMNS": "100"}

    def typed(found):
        if found["language"] != "console" or found["skip"]:
            return found[0]
        lines = []
        for part in re.split(r"(?m)^\$ ", found["body"])[1:]:
            command = re.match(r"(?:.*\\\n)*.*", part)[0]
            shown = part[len(command) :].strip("\n")
            print("$", command, file=sys.stderr)
            printed = execute(re.sub(r"\\\n *", "", command), environment).rstrip()
            lines += [f"$ {command}", shown if "..." in shown.splitlines() else printed]
        body = "\n".join(line for line in lines if line)
        return f"```console\n{body}\n```"

    print(BLOCK.sub(typed, text), end="")


if __name__ == "__main__":
    main(sys.argv[1])
