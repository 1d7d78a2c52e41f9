"""Damage good files at random and read them, for as long as you like.

    python -m benchmarks.fuzz --list
    python -m benchmarks.fuzz --target slac --target recipe --seconds 60
    python -m benchmarks.fuzz --seconds 600 --seed 7        # all targets, in equal parts

Allowed are a value and the workbench's own errors, one line each. A fall is a crash, 5 s without an
end, a gigabyte more memory, any other exception, or something printed. The file of each kind of
fall is kept, and the exit status is 1. Counted are executions that got past the header: of those
the functions were called that read what comes after it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.fuzz.runner import run
from benchmarks.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", action="append", choices=TARGETS, help="default: all")
    parser.add_argument(
        "--seconds", type=float, default=60, help="CPU time for all targets together"
    )
    parser.add_argument(
        "--most", type=int, default=10**9, help="executions past the header for each target"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-falls"), help="folder for files")
    parser.add_argument("--list", action="store_true", help="names of the targets")
    args = parser.parse_args()
    if args.list:
        print("\n".join(TARGETS))
        return 0
    names = args.target or list(TARGETS)
    total = fallen = 0
    print("   executions  past header  falls  target", flush=True)
    for name in names:
        outcome = run(TARGETS[name], args.seconds / len(names), args.seed, args.keep, args.most)
        falls = sum(outcome.times.values())
        print(f"{outcome.executions:13,d}{outcome.behind:13,d}{falls:7d}  {name}", flush=True)
        for why, place in outcome.falls.items():
            print(f"      {outcome.times[why]} × {why}\n        {place}", flush=True)
        total += outcome.behind
        fallen += falls
    print(f"{total:26,d}{fallen:7d}  together")
    return int(fallen > 0)


if __name__ == "__main__":
    sys.exit(main())
