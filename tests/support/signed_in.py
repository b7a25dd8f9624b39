"""A person who is signed in with the OAuth test server: store, catalog, renewal, clocks that can be set."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ante_nb.providers.auth.record import SignInRecord
from ante_nb.providers.auth.renewal import Renewal
from ante_nb.providers.auth.sign_ins import StoredSignIns
from ante_nb.providers.auth.store import SignInStore
from ante_nb.providers.catalog.load import load_catalog
from ante_nb.providers.spec import Secret
from support.oauth_ledger import ACCOUNT, PLAN

if TYPE_CHECKING:
    from pathlib import Path

    from support.oauth_server import OAuthServer


@dataclass
class Clock:
    """Both clocks of a machine; ``shift`` is how far somebody set the one on the wall."""

    shift: float = 0.0
    ahead: float = 0.0

    def wall(self) -> float:
        return time.time() + self.shift + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def wait(self, seconds: float) -> None:
        self.ahead += seconds


@dataclass
class Person:
    """Signed in with ``server`` by :meth:`sign_in`; ``home`` holds catalog.json and the store."""

    server: OAuthServer
    home: Path
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.store = SignInStore(self.home)
        self.catalog: dict[str, Any] = {"oauth": {}, "providers": {}}
        for preset in ("openai", "anthropic", "antix"):
            self.patch(preset)

    def patch(self, preset: str, **more: Any) -> None:
        """Write the preset's endpoints into catalog.json."""
        self.catalog["oauth"] |= self.server.catalog_entry(preset, **more)
        self.write()

    def write(self, **providers: Any) -> None:
        """Write catalog.json; ``providers`` are patches of provider rows by id."""
        self.catalog["providers"] |= {name.replace("_", "-"): row for name, row in providers.items()}
        (self.home / "catalog.json").write_text(json.dumps(self.catalog), encoding="utf-8")

    def sign_in(self, preset: str = "openai", *, age: float = 0.0, **changes: Any) -> SignInRecord:
        """A sign-in of ``age`` seconds ago, stored."""
        said = self.server.ledger.new(preset)
        client = self.server.catalog_entry(preset)[preset]["client_id"]
        record = SignInRecord(
            preset,
            Secret(said["access_token"]),
            self.clock.wall() - age,
            refresh_token=Secret(said["refresh_token"]),
            expires_in=float(said["expires_in"]) if "expires_in" in said else None,
            account_id=ACCOUNT if preset == "openai" else None,
            plan=PLAN if preset == "openai" else None,
            client_id=client,
            source="browser",
        )
        record = replace(record, **changes)
        self.store.save(record)
        return record

    def stored(self, preset: str = "openai") -> SignInRecord:
        record = SignInStore(self.home).load(preset)
        assert record is not None
        return record

    def renewal(self) -> Renewal:
        """As another process has it: nothing is remembered."""
        return Renewal(
            SignInStore(self.home),
            lambda preset: load_catalog(self.home).oauth[preset],
            wall=self.clock.wall,
            monotonic=self.clock.monotonic,
        )

    def sign_ins(self) -> StoredSignIns:
        return StoredSignIns(lambda: load_catalog(self.home).oauth, self.home, {"HOME": str(self.home)})
