"""A process that renews a sign-in when it is told to: ``python -m support.renewing HOME``.

A line of input ``fresh PRESET`` answers with a line of JSON: the token, or the error. ``again`` does it with
what the process remembers, ``refused PRESET TOKEN`` after a refusal.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from ante_nb.errors import AnteError
from ante_nb.providers.auth.renewal import Renewal
from ante_nb.providers.auth.store import SignInStore
from ante_nb.providers.catalog.load import load_catalog
from ante_nb.providers.spec import Secret


def main(home: Path) -> None:
    def renewal() -> Renewal:
        return Renewal(SignInStore(home), lambda preset: load_catalog(home).oauth[preset])

    async def answer(keeper: Renewal, words: list[str]) -> dict[str, str]:
        rejected = Secret(words[2]) if words[0] == "refused" else None
        try:
            return {"token": (await keeper.fresh(words[1], rejected)).secret.value}
        except AnteError as error:
            return {"error": str(error), "kind": type(error).__name__}

    keeper = renewal()
    print("ready", flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "fresh":
            keeper = renewal()
        print(json.dumps(asyncio.run(answer(keeper, words))), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
