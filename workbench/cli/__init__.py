"""The command ``workbench``: one verb per module of this package.

A verb module has ``add_arguments(parser)`` and ``run(options) -> int | None``.
Long options may be spelled with hyphens or underscores. Errors are one line on standard error.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import NoReturn

import workbench
from workbench.errors import WorkbenchError

VERBS = {
    "inspect": "list the runs of an experiment, or what one run holds",
    "average": "average, standard deviation, maximum and minimum of a run",
    "merge": "maximum of maxima, weighted average of several runs' images",
    "mask": "trusted-pixel mask from average, standard deviation and maximum",
    "align": "find the quadrant offsets that make powder rings concentric",
    "geometry": "convert, deploy, compare and roll back geometry files",
    "dump": "write single events as frames for DIALS or CrystFEL",
    "report": "run a recipe and write its report as notebook, HTML page and PDF",
    "constants": "copy constants of an LCLS-II run from psana's database",
    "simulate": "write a realistic sample experiment as XTC files",
    "lab": "open the workbench in JupyterLab",
}


class Parser(argparse.ArgumentParser):
    """Argument parser that takes underscores in long options and prints errors in one line."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args(with_hyphens(words), namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def with_hyphens(words: Iterable[str]) -> list[str]:
    """Give the words of a command line with hyphens for the underscores of its long options."""
    spelled: list[str] = []
    options = True
    for word in words:
        options = options and word != "--"
        name, equals, value = word.partition("=")
        is_option = options and word.startswith("--")
        spelled.append(name.replace("_", "-") + equals + value if is_option else word)
    return spelled


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; gives the exit status (0 good, 1 refused, 2 wrong usage)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    with _interrupts() as interrupts:
        try:
            return _run(arguments, wanted)
        except KeyboardInterrupt:
            return _interrupted(wanted)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except Exception as error:
            if interrupts:  # a library that was being imported made another error of it
                return _interrupted(wanted)
            if not isinstance(error, (WorkbenchError, OSError)):
                raise
            print(f"workbench {wanted}: {error}", file=sys.stderr)
            return 1


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Raise KeyboardInterrupt at Ctrl-C; gives a list that it is added to."""
    came: list[int] = []

    def interrupt(number: int, frame: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    usual = before in (signal.default_int_handler, signal.SIG_DFL)
    if not usual or threading.current_thread() is not threading.main_thread():
        yield came
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted(wanted: str | None) -> int:
    print(f"workbench {wanted or ''}".rstrip() + ": interrupted; nothing more was written.",
          file=sys.stderr)  # fmt: skip
    return 130


def _run(arguments: list[str], wanted: str | None) -> int:
    """Import the verb, which takes most of a second, and run it."""
    parser = Parser(
        prog="workbench",
        description=(workbench.__doc__ or "").partition("\n")[0],
        epilog="Options of a verb: workbench VERB --help. To try it: workbench lab --sample",
    )
    parser.add_argument("--version", action="version", version=f"workbench {workbench.__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    for verb, summary in VERBS.items():
        subparser = verbs.add_parser(
            verb, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        if verb == wanted:
            module = import_module(f"workbench.cli.{verb}")
            module.add_arguments(subparser)
            subparser.set_defaults(verb_function=module.run)
    options, unknown = parser.parse_known_args(arguments)  # type: ignore[no-untyped-call]
    if unknown:
        verbs.choices[options.verb].error(f"unrecognized arguments: {' '.join(unknown)}")
    return options.verb_function(options) or 0
