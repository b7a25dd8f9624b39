"""Anthropic's own credential profile, read as a sign-in.

Anthropic's command line and SDKs keep profiles below ``~/.config/anthropic``: ``configs/NAME.json`` says
how the profile signs in, ``credentials/NAME.json`` has its access token. ``ANTHROPIC_CONFIG_DIR`` names
another directory, ``ANTHROPIC_PROFILE`` another profile (else the file ``active_config``, else
``default``). Paths, fields and refusals are those of Anthropic's Python SDK (``anthropic.lib.credentials``).

The files are only read. The refresh token in them belongs to the program that wrote it: it rotates, so
spending it here would sign that program out. An expired token is therefore not renewed but read again.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ante_nb import paths
from ante_nb.errors import ConfigError
from ante_nb.providers.auth.record import SignInRecord
from ante_nb.providers.spec import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ante_nb.providers.auth.oauth_spec import OAuthSpec

BASE_URL = "https://api.anthropic.com"
SOURCE = "Anthropic profile"
"""What the record's source begins with; the profile's name follows."""
TYPES = ("user_oauth", "oidc_federation")


def is_profile(record: SignInRecord) -> bool:
    """Whether ``record`` came from the vendor's profile: it is read again, never renewed or stored."""
    return record.source.startswith(SOURCE)


def read(spec: OAuthSpec, env: Mapping[str, str]) -> SignInRecord | None:
    """The active profile as a sign-in without refresh token, ``None`` where there is none.

    Args:
        spec: the preset that it counts for.
        env: the environment, for ``ANTHROPIC_PROFILE`` and ``ANTHROPIC_CONFIG_DIR``.

    Raises:
        ConfigError: a profile that was chosen (by a variable or by ``active_config``) cannot be used. One
            that merely happens to be there and cannot be used counts as absent.
    """
    folder = Path(env.get("ANTHROPIC_CONFIG_DIR", "").strip() or "~/.config/anthropic").expanduser()
    chosen = env.get("ANTHROPIC_PROFILE", "").strip()
    if not chosen:
        try:
            chosen = (folder / "active_config").read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            chosen = ""
    name = chosen or "default"
    try:
        if name.startswith(".") or any(char in name for char in "/\\\0"):
            raise ConfigError(
                f"{name!r} cannot be the name of an Anthropic profile", "Unset ANTHROPIC_PROFILE."
            )
        return _read(folder, name, env, spec.preset)
    except ConfigError:
        if chosen:
            raise
        return None


def _read(folder: Path, name: str, env: Mapping[str, str], preset: str) -> SignInRecord:
    config, _ = _load(folder / "configs" / f"{name}.json", 0o022)
    where = paths.display(folder / "configs" / f"{name}.json")
    auth = config.get("authentication")
    kind = auth.get("type") if isinstance(auth, dict) else None
    if not isinstance(auth, dict) or kind not in TYPES:
        raise ConfigError(
            f"{where}: `authentication.type` must be {' or '.join(TYPES)}",
            "Sign in again with Anthropic's tool.",
        )
    _check_base(config, name)
    chosen_path = auth.get("credentials_path")
    path = (
        Path(chosen_path).expanduser()
        if isinstance(chosen_path, str) and chosen_path
        else folder / "credentials" / f"{name}.json"
    )
    data, written = _load(path, 0o077)
    token, expires = data.get("access_token"), data.get("expires_at")
    if data.get("type", "oauth_token") != "oauth_token" or not isinstance(token, str) or not token:
        raise ConfigError(
            f"{paths.display(path)} has no usable `access_token`", "Sign in again with Anthropic's tool."
        )
    try:
        # The SDK takes digits in a string as well.
        end = None if expires is None else int(expires)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(
            f"{paths.display(path)}: `expires_at` must be in Unix seconds",
            "Sign in again with Anthropic's tool.",
        ) from None
    workspace, organization = config.get("workspace_id"), config.get("organization_id")
    headers = {}
    # A federation's token is bound to its workspace already (SDK, extra_headers).
    if kind == "user_oauth" and isinstance(workspace, str) and workspace:
        headers["anthropic-workspace-id"] = workspace
    return SignInRecord(
        preset=preset,
        access_token=Secret(token),
        # The file was written when the token came, by the same clock that we read.
        obtained_at=written,
        expires_in=None if end is None else float(end - written),
        account_id=organization if isinstance(organization, str) and organization else None,
        source=f"{SOURCE} {name}",
        headers=headers,
    )


def _check_base(config: dict[str, Any], name: str) -> None:
    base = config.get("base_url")
    if not base:
        return
    # A token goes to nobody but the deployment that issued it; requests of a sign-in go to the vendor's.
    if not isinstance(base, str) or _bare(base) != _bare(BASE_URL):
        raise ConfigError(
            f"the Anthropic profile {name} is for {base}, and requests would go to {BASE_URL}",
            "Choose another profile with ANTHROPIC_PROFILE, or use an API key of that deployment: "
            f"`--provider anthropic` with ANTHROPIC_BASE_URL={base}.",
        )


def _bare(url: str) -> str:
    return url.strip().lower().rstrip("/").removesuffix("/v1")


def _load(path: Path, forbidden: int) -> tuple[dict[str, Any], float]:
    """The object in a file of the vendor's and when it was written.

    Not ours, so its mode is never repaired: one with a bit of ``forbidden`` is refused.
    """
    name = paths.display(path)
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        what = "is a symbolic link, which is not followed" if path.is_symlink() else str(error.strerror)
        raise ConfigError(f"{name}: {what}", "Sign in again with Anthropic's tool.") from None
    info = os.fstat(handle)
    if not stat.S_ISREG(info.st_mode):
        os.close(handle)
        raise ConfigError(f"{name} is no regular file", "Remove it.")
    with os.fdopen(handle, "rb") as file:
        if os.name == "posix" and info.st_mode & forbidden:
            mode = stat.S_IMODE(info.st_mode)
            raise ConfigError(
                f"{name} is open to other users of this machine (mode {mode:o})",
                f"`!chmod {'go-w' if forbidden == 0o022 else '600'} {name}`, then try again.",
            )
        try:
            data = json.loads(file.read())
        except (OSError, ValueError, RecursionError):
            raise ConfigError(f"{name} is no valid JSON", "Sign in again with Anthropic's tool.") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{name} must hold a JSON object", "Sign in again with Anthropic's tool.")
    return data, info.st_mtime
