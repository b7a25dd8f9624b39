"""The environment of child processes: nothing in it that opens a door elsewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SECRET = re.compile(
    r"""
      (^|_)(API_?KEYS?|ACCESS_?KEYS?|SECRET_?KEYS?|PRIVATE_?KEYS?|ACCOUNT_?KEY|SIGNING_?KEY|MASTER_?KEY|AUTH_?KEY)(_|$)
    | (API|SECRET|ACCESS)KEY
    | (^|_)(TOKENS?|PAT|PWD|PASS|PIN|COOKIES?|JWT|SAS)$
    | (^|_)(ACCESS|AUTH|API|BEARER|REFRESH|ID|SESSION|BOT|OAUTH|DEPLOY|WORKFLOW|REGISTRY)_?TOKENS?(_|$)
    | _TOKENS?(_|$) | TOKEN$
    | SECRET | PASSWORD | PASSWD | PASSPHRASE | CREDENTIAL | (^|_)CREDS?(_|$)
    | (^|_)AUTH$ | AUTHORIZATION
    | CONNECTION_?STRING | (^|_)DSN$ | (DATABASE|DB|REDIS|MONGO\w*|POSTGRES\w*|MYSQL|AMQP|BROKER|WEBHOOK)_(URL|URI)$
    | WEBHOOK
    """,
    re.VERBOSE,
)
_PREFIXES = ("AWS_", "AZURE_", "GOOGLE_APPLICATION_", "ARM_", "VAULT_", "DOCKER_AUTH", "TWINE_", "OP_SESSION")
_NAMES = frozenset(
    {
        "GH_TOKEN",
        "NETRC",
        "PGPASSFILE",
        "KRB5CCNAME",
        # An agent signs with keys that it does not show; a child could use it all the same.
        "SSH_AUTH_SOCK",
        "GPG_AGENT_INFO",
        "HF_TOKEN",
        "WANDB_KEY",
        # Not secret, but each makes a shell or program run something before what was asked for and judged.
        "BASH_ENV",
        "ENV",
        "CDPATH",
        "LESSOPEN",
        "PROMPT_COMMAND",
        "GIT_EXTERNAL_DIFF",
        "RIPGREP_CONFIG_PATH",
    }
)
_KEEP = frozenset({"PWD", "OLDPWD", "XAUTHORITY", "TOKENIZERS_PARALLELISM"})
# user:password in a URL, whatever the variable is called (HTTPS_PROXY, PIP_INDEX_URL ...).
_URL_LOGIN = re.compile(r"\b([a-z][a-z0-9+.-]*://)[^/\s:@]*:[^/\s@]+@", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether an environment variable of this name is taken to hold a credential."""
    upper = name.upper()
    if upper in _KEEP:
        return False
    return upper in _NAMES or upper.startswith(_PREFIXES) or _SECRET.search(upper) is not None


def child_environment(env: Mapping[str, str], secret: Iterable[str] = ()) -> dict[str, str]:
    """``env`` for a child process, without any credential.

    Variables that name patterns mark as secret are dropped; so are exported shell functions (they can
    stand in for any program). A login inside a URL is taken out of the value.

    Args:
        env: usually ``os.environ``.
        secret: further names to drop, such as every key variable of the catalog.
    """
    dropped = {name.upper() for name in secret}
    return {
        name: _URL_LOGIN.sub(r"\1", value)
        for name, value in env.items()
        if name.upper() not in dropped and not is_secret_name(name) and not name.startswith("BASH_FUNC_")
    }
