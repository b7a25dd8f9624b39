"""An answer of a given length with everything that answers have: headings, lists, code, tables, math."""

from __future__ import annotations

import itertools

CODE = '''```python
def clean_{n}(frame, column="eur", limit={n}):
    """Drop the rows of {n} that nobody needs."""
    rows = [row for row in frame if row[column] is not None]  # keep zeros
    total = sum(row[column] for row in rows[:limit])
    return {{"rows": len(rows), "total": total / 1.19}}


for name in ("a", "b"):
    print(name, clean_{n}([]))
```
'''

BLOCKS = (
    "## Step {n}: what the data say\n",
    "The dip in **March** comes from `region == 'north'`: its orders fall by 12.{n} % while the others hold, "
    "see [the docs](https://example.org/page?n={n}). A price of $5 stays a price, and $x_{n}^2 + y^2$ is math. "
    "Nothing in the *other* columns explains it, neither the weekday nor the holiday flag.\n",
    "- first point of {n}, with `code`\n- second point, a little longer than the first one\n  - and one below it\n"
    "- third point\n",
    CODE,
    "| month | orders | change |\n|:------|-------:|-------:|\n| Jan | {n}00 | 1 % |\n| Feb | {n}10 | 2 % |\n"
    "| Mar | {n}05 | -12 % |\n",
    "$$\n\\hat\\beta_{n} = (X^\\top X)^{{-1}} X^\\top y\n$$\n",
    "1. Load the file\n2. Group by month and region\n3. Compare with the year before\n",
    "> A note on {n}: the sample is small, so take the numbers with care.\n",
)


def answer(length: int) -> str:
    """Markdown of at least ``length`` characters, ending with a whole block."""
    parts: list[str] = []
    size = 0
    for number in itertools.count(1):
        for block in BLOCKS:
            text = block.format(n=number) + "\n"
            parts.append(text)
            size += len(text)
            if size >= length:
                return "".join(parts)
    raise AssertionError("unreachable")
