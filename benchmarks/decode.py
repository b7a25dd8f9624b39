"""What reading an answer costs: CPU microseconds per event, on every wire, beside the peers.

``python benchmarks/decode.py [--rounds N] [--events N] [--quick] [--write]``

A loopback server in a process of its own sends an answer of thousands of text deltas, each an HTTP
chunk of its own. Every client reads the same bytes in a process of its own: ours
(``Provider.stream``, from request to ``Done``), the floor (bare httpx2, ``json.loads`` and nothing else),
the vendor's SDK, and litellm's common stream where ``make bench-peers`` has installed it. The clients take turns, in
another order every round, so that what else the machine does hits all of them alike.

Aims: at most 1.5 times the floor, at most 1/2.5 of the openai SDK, not above the anthropic SDK's raw
stream, at most a tenth of litellm.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))

from common import Row, machine, median, p95, table, write  # noqa: E402
from decode_client import WIRES  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

PEER = ROOT / "build" / "peers-decode" / "bin" / "python"
SDKS = {
    "anthropic_messages": ("anthropic SDK", 1.0),
    "openai_responses": ("openai SDK", 1 / 2.5),
    "openai_chat": ("openai SDK", 1 / 2.5),
    "gemini": ("google-genai SDK", None),
}
FLOOR_AIM, LITELLM_AIM = 1.5, 0.1


@contextmanager
def vendors(events: int) -> Iterator[str]:
    """The loopback server; its origin."""
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        command = [sys.executable, "-m", "support.vendor_server", "--lenient", "--words", str(events)]
        process = subprocess.Popen(
            [*command, "--port-file", str(port_file)], cwd=ROOT / "tests", stdin=subprocess.PIPE
        )
        try:
            end = time.monotonic() + 60
            while not port_file.exists():
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("the loopback server did not start")
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port_file.read_text()}"
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


class Reader:
    """A client in a process of its own."""

    def __init__(self, client: str, wire: str, origin: str) -> None:
        self.name, self.wire = client, wire
        self.values: list[float] = []
        python = str(PEER) if client.startswith("litellm") else sys.executable
        # Nothing of the person's own may steer a client, and litellm must not fetch its price list.
        env = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
        env |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(ROOT)}
        if client.startswith("litellm"):
            del env["PYTHONPATH"]
        self.process = subprocess.Popen(
            [python, str(HERE / "decode_client.py"), client, wire, origin],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env,
        )  # fmt: skip

    def read(self, size: int) -> float:
        """CPU microseconds of one call. Raises ``RuntimeError`` where the answer is not the whole one."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        said = json.loads(line) if line else {"error": "the client ended"}
        if said.get("size") != size:
            raise RuntimeError(f"{self.name}, {self.wire}: {said}")
        return float(said["cpu"])

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


def measure_wire(wire: str, origin: str, events: int, rounds: int) -> dict[str, list[float]]:
    """Microseconds per event of each client, round by round."""
    names = ["ours", "floor", "sdk"]
    if PEER.exists():
        names += ["litellm", *(["litellm_raw"] if wire == "openai_responses" else [])]
    size = events * len("word0   ")
    with ExitStack() as stack:
        readers = []
        for name in names:
            reader = Reader(name, wire, origin)
            stack.callback(reader.close)
            for _ in range(3):  # imports, connection, the interpreter's specialised code
                reader.read(size)
            readers.append(reader)
        for _ in range(rounds):
            random.shuffle(readers)
            for reader in readers:
                reader.values.append(reader.read(size) / events)
        return {reader.name: reader.values for reader in readers}


def ratios(ours: list[float], other: list[float]) -> float:
    """The median of the ratios round by round."""
    return median([a / b for a, b in zip(ours, other, strict=True)])


def measure(events: int, rounds: int) -> list[Row]:
    rows = []
    with vendors(events) as origin:
        for wire in WIRES:
            found = measure_wire(wire, origin, events, rounds)
            sdk, sdk_aim = SDKS[wire]
            beside = [("bare httpx2 + json", "floor", FLOOR_AIM), (sdk, "sdk", sdk_aim)]
            beside += [("litellm", "litellm", LITELLM_AIM)]
            if "litellm_raw" in found:  # the vendor's events handed through: no common form, so no aim
                beside += [("litellm, aresponses", "litellm_raw", None)]
            ours = found["ours"]
            for title, name, aim in beside:
                if name not in found:
                    print(f"{wire}: litellm skipped, `make bench-peers` installs it")
                    continue
                # Told as the median of ours and that divided by the median ratio of the rounds.
                other = median(ours) / ratios(ours, found[name])
                rows.append(
                    Row(
                        wire, median(ours), "us/event", title, other, ratio_limit=aim, p95=p95(ours), n=rounds
                    )
                )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--events", type=int, default=3000, help="text deltas of an answer")
    parser.add_argument("--quick", action="store_true", help="three rounds")
    parser.add_argument("--write", action="store_true", help="store benchmarks/results/decode.json")
    args = parser.parse_args()
    print("  ".join(f"{key}: {value}" for key, value in machine().items()), f"load: {os.getloadavg()[0]:.1f}")
    rows = measure(args.events, 3 if args.quick else args.rounds)
    print(table(rows))
    if args.write:
        write("decode", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
