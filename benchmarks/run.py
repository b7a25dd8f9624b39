"""Runs the benchmarks and prints a table of values and ratios.

``python benchmarks/run.py [NAME ...] [--quick] [--write] [--proofs]``

``--write`` stores each benchmark in ``benchmarks/results/<name>.json`` with the machine's description,
``--proofs`` in ``benchmarks/proofs/`` as well. The exit status is 0 whatever the numbers are.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from common import machine, table, write  # noqa: E402

TABLES = ("load", "stream", "websocket", "tools")
# These print a table of their own.
SCRIPTS = tuple(name for name in ("local", "decode") if (HERE / f"{name}.py").exists())


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(TABLES + SCRIPTS)}; all when left out"
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--write", action="store_true", help="store benchmarks/results/*.json")
    parser.add_argument("--proofs", action="store_true", help="store benchmarks/proofs/*.json")
    args = parser.parse_args(argv)
    unknown = set(args.names) - set(TABLES + SCRIPTS)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(TABLES + SCRIPTS)}")

    print("  ".join(f"{key}: {value}" for key, value in machine().items()))
    for name in args.names or TABLES + SCRIPTS:
        print(f"\n{name}", flush=True)
        if name in SCRIPTS:
            flags = [f"--{flag}" for flag in ("write", "quick") if getattr(args, flag)]
            command = [sys.executable, str(HERE / f"{name}.py"), *flags]
            subprocess.run(command, check=True)
            continue
        rows = importlib.import_module(name).measure(args.quick)
        print(table(rows), flush=True)
        if args.write:
            write(name, rows)
        if args.proofs:
            write(f"bench_{name}", rows, "proofs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
