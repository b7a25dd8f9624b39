"""What a model may see of a variable, as far as the data policy allows; nothing is scanned whole.

Own types get a description of their own::

    import ante_nb.describe

    @ante_nb.describe.register(Portfolio)
    def portfolio(value, policy):
        return f"{len(value.positions)} positions"  # under "schema" no values, please

or a method ``_ai_repr_`` (https://github.com/jupyter/enhancement-proposals/issues/128).
"""

from __future__ import annotations

from ante_nb.describe.description import Description, describe
from ante_nb.describe.policy import POLICIES, DataPolicy, Policies, allows, parse_policy
from ante_nb.describe.registry import register, unregister

__all__ = [
    "POLICIES",
    "DataPolicy",
    "Description",
    "Policies",
    "allows",
    "describe",
    "parse_policy",
    "register",
    "unregister",
]
