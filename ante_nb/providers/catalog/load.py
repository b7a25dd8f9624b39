"""The catalog: the built-in providers and models, with the user's ``catalog.json`` merged in.

A built-in key is patched field by field and ``null`` clears a field; ``extra_body`` and ``quirks`` are
merged key by key, ``preferred_models`` by id. A bad entry costs only itself and is reported with Ante's
wording; a file that is no JSON object costs only the user's part, the built-ins still work.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

from ante_nb import paths
from ante_nb.errors import UnknownProviderError
from ante_nb.providers.catalog.rows import Family, Row, model_spec, oauth_spec, provider_spec
from ante_nb.providers.catalog.user_file import json_type, read
from ante_nb.providers.spec import ThinkingControl

if TYPE_CHECKING:
    from pathlib import Path

    from ante_nb.providers.auth.oauth_spec import OAuthSpec
    from ante_nb.providers.spec import ModelSpec, ProviderSpec


@dataclass
class Catalog:
    """Providers and models, immutable for whoever holds it.

    ``providers`` is in catalog order: the built-ins as on the providers page, then the user's own, then
    ``local``. ``models`` holds the rows that are true wherever a model is served. ``problems`` holds one
    line for each thing that was wrong with the user's file; :meth:`report` is the text for a person.
    """

    providers: dict[str, ProviderSpec]
    models: dict[str, ModelSpec]
    problems: list[str] = field(default_factory=list)
    path: Path | None = None
    rejected: str | None = None
    """Why the whole file was ignored, where it was."""
    oauth: dict[str, OAuthSpec] = field(default_factory=dict)
    """How signing in works, by preset (``openai``, ``anthropic``, ``antix``)."""
    _layers: _Layers = field(default_factory=lambda: _Layers(), repr=False)
    _specs: dict[tuple[str, str], ModelSpec] = field(default_factory=dict, repr=False)

    def provider(self, provider_id: str) -> ProviderSpec:
        """The provider of that id.

        Raises:
            UnknownProviderError: there is none; the message has near matches and what to type.
        """
        found = self.providers.get(provider_id)
        if found is None:
            raise UnknownProviderError(*self._unknown(provider_id))
        return found

    def _unknown(self, provider_id: str) -> tuple[str, str]:
        import difflib

        ids = list(self.providers)
        near = difflib.get_close_matches(provider_id.lower(), ids, n=3, cutoff=0.55)
        near += [other for other in ids if other.startswith(provider_id.lower() + "-") and other not in near]
        guess = f"Did you mean {' or '.join(near[:3])}? " if near else ""
        where = paths.display(self.path) if self.path else "catalog.json"
        return (
            f"there is no provider {provider_id!r}",
            f"{guess}Type `%ante provider` for the list, or add it to {where}.",
        )

    def lists(self, provider_id: str, model_id: str) -> bool:
        """Whether the provider lists this model among its preferred ones."""
        return model_id in self.providers[provider_id].models

    def served_by(self, model_id: str) -> list[ProviderSpec]:
        """The providers that list this model, in catalog order; aliases are left out."""
        return [p for p in self.providers.values() if model_id in p.models and p.alias_of is None]

    def knows(self, model_id: str) -> bool:
        """Whether there is a row for this model, or a provider that lists it."""
        return model_id in self.models or bool(self.served_by(model_id))

    def model_for(self, provider_id: str, model_id: str) -> ModelSpec:
        """The model as this provider serves it; a bare spec, limits unknown, for an id nobody lists.

        Layers, the last one wins: the model's row, the provider's ``model_defaults`` and its entry in
        ``preferred_models``, the user's ``models`` entry, the user's ``preferred_models`` entry.
        """
        key = (provider_id, model_id)
        if key not in self._specs:
            provider = self.providers[provider_id]
            row = self._layers.row(provider, model_id, self.providers)
            self._specs[key] = model_spec(model_id, row, provider, self._layers.families)
        return self._specs[key]

    def report(self) -> str | None:
        """What was wrong with the user's file, for a person, or ``None``."""
        if self.rejected:
            return self.rejected
        if not self.problems:
            return None
        count = len(self.problems)
        where = paths.display(self.path) if self.path else "catalog.json"
        head = f"Skipped {count} {'entry' if count == 1 else 'entries'} in {where}:"
        return "\n".join([head, *(f"  - {problem}" for problem in self.problems)])


@dataclass
class _Layers:
    """The rows a model is put together from; see :meth:`Catalog.model_for`."""

    families: tuple[Family, ...] = ()
    models: dict[str, Row] = field(default_factory=dict)
    defaults: dict[str, Row] = field(default_factory=dict)
    preferred: dict[str, dict[str, Row]] = field(default_factory=dict)
    user_models: dict[str, Row] = field(default_factory=dict)
    user_preferred: dict[str, dict[str, Row]] = field(default_factory=dict)

    def row(self, provider: ProviderSpec, model_id: str, providers: dict[str, ProviderSpec]) -> Row:
        pid = provider.id
        return {
            **self.canonical(model_id, providers),
            **self.defaults.get(pid, {}),
            **self.preferred.get(pid, {}).get(model_id, {}),
            **self.user_models.get(model_id, {}),
            **self.user_preferred.get(pid, {}).get(model_id, {}),
        }

    def canonical(self, model_id: str, providers: dict[str, ProviderSpec]) -> Row:
        """The model's own row, else what the first provider that lists it says, without its prices."""
        if model_id in self.models:
            return self.models[model_id]
        for pid in providers:
            for layer in (self.preferred, self.user_preferred):
                if model_id in layer.get(pid, {}):
                    row = layer[pid][model_id]
                    return {k: v for k, v in row.items() if k not in ("price", "plan_priced")}
        return {}


def load_catalog(home: Path | None = None) -> Catalog:
    """The built-in catalog with ``<home>/catalog.json`` merged in.

    Never raises for what is in the file: see ``Catalog.problems`` and ``Catalog.rejected``. The result is
    kept until the file's times or size change, so calling it for every turn is cheap.
    """
    path = paths.catalog(home)
    try:
        stat = path.stat()
        stamp: tuple[int, ...] | None = (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino)
    except OSError:
        stamp = None
    return _load(path, stamp)


@functools.lru_cache(maxsize=8)
def _load(path: Path, stamp: tuple[int, ...] | None) -> Catalog:
    base = _builtin()
    merge = _Merge(path)
    data, rejected = read(path) if stamp is not None else ({}, None)
    merge.builtin(base)
    merge.user(data)
    catalog = merge.finish()
    catalog.rejected = rejected
    return catalog


@functools.cache
def _builtin() -> dict[str, Any]:
    text = resources.files("ante_nb.providers.catalog").joinpath("builtin.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


class _Merge:
    """Puts the built-in and the user's entries together."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []
        self.layers = _Layers()
        self.rows: dict[str, Row] = {}
        self.lists: dict[str, tuple[str, ...]] = {}
        self.builtin_ids: set[str] = set()
        self.oauth: dict[str, Row] = {}

    # ------------------------------------------------------------------------------------ built-in

    def builtin(self, data: dict[str, Any]) -> None:
        """The packaged file; it is tested, so a mistake in it raises."""
        from ante_nb.providers.catalog.schema import FamilyEntry, ModelEntry, OAuthEntry, ProviderEntry

        self.oauth = {key: _dump(OAuthEntry.model_validate(item)) for key, item in data["oauth"].items()}
        families = [FamilyEntry.model_validate(item) for item in data["thinking_families"]]
        self.layers.families = tuple(
            Family(
                item.wire_style,
                item.provider,
                re.compile(item.match),
                ThinkingControl(item.control.style, {str(k): v for k, v in item.control.levels.items()}),
            )
            for item in families
        )
        for mid, item in data["models"].items():
            self.layers.models[mid] = _dump(ModelEntry.model_validate(item))
        for pid, item in data["providers"].items():
            row = _dump(ProviderEntry.model_validate(item))
            if "alias_of" in row:
                target = row["alias_of"]
                row = {**self.rows[target], **row}
                preferred = self.layers.preferred.get(target, {})
                self.layers.defaults[pid] = self.layers.defaults.get(target, {})
            else:
                entries = [
                    _dump(ModelEntry.model_validate(model)) for model in row.pop("preferred_models", [])
                ]
                preferred = {model["id"]: model for model in entries}
                self.layers.defaults[pid] = row.pop("model_defaults", {})
            self.rows[pid] = row
            self.layers.preferred[pid] = preferred
            self.lists[pid] = tuple(preferred)
            self.builtin_ids.add(pid)

    # ---------------------------------------------------------------------------------------- user

    def user(self, data: dict[str, Any]) -> None:
        """The user's file, entry by entry."""
        for section, take in (
            ("providers", self._provider),
            ("models", self._model),
            ("oauth", self._oauth),
        ):
            entries = data.get(section)
            if entries is None:
                continue
            if not isinstance(entries, dict):
                self.problems.append(f"{section}: expected an object, found {json_type(entries)}")
                continue
            for key, value in entries.items():
                take(key, value)
        for key in data.keys() - {"providers", "models", "oauth"}:
            if not key.startswith("$"):
                self.problems.append(
                    f"{key}: ignoring unknown field, expected `providers`, `models` or `oauth`"
                )

    def _entry(self, where: str, value: Any, model: Any) -> Row | None:
        from pydantic import ValidationError

        from ante_nb.providers.catalog.schema import explain, known_fields

        if not isinstance(value, dict):
            self.problems.append(f"{where}: expected an object, found {json_type(value)}")
            return None
        try:
            entry = model.model_validate(value)
        except ValidationError as error:
            self.problems.append(f"{where}: {explain(error)}")
            return None
        unknown = sorted(value.keys() - known_fields(model))
        if unknown:
            self.problems.append(f"{where}: ignoring unknown field(s): {', '.join(unknown)}")
        return _dump(entry)

    def _oauth(self, preset: str, value: Any) -> None:
        from ante_nb.providers.catalog.schema import OAuthEntry, missing_device_fields

        where = f"oauth.{preset}"
        if preset not in self.oauth:
            known = ", ".join(f"`{name}`" for name in self.oauth)
            self.problems.append(f"{where}: unknown preset, expected one of {known}")
            return
        patch = self._entry(where, value, OAuthEntry)
        if patch is None:
            return
        base = self.oauth[preset]
        if patch.get("device"):
            patch["device"] = {**(base.get("device") or {}), **patch["device"]}
            missing = missing_device_fields(patch["device"])
            if missing:
                self.problems.append(
                    f"{where}: " + ", ".join(f"missing field `{name}` in `device`" for name in missing)
                )
                return
        self.oauth[preset] = {**base, **patch}

    def _model(self, mid: str, value: Any) -> None:
        from ante_nb.providers.catalog.schema import ModelEntry

        row = self._entry(f"models.{mid}", value, ModelEntry)
        if row is not None:
            self.layers.user_models[mid] = row

    def _provider(self, pid: str, value: Any) -> None:
        from ante_nb.providers.catalog.schema import ProviderEntry, missing_fields

        where = f"providers.{pid}"
        patch = self._entry(where, value, ProviderEntry)
        if patch is None:
            return
        preferred = patch.pop("preferred_models", None)
        defaults = patch.pop("model_defaults", None)
        base = self.rows.get(pid, {})
        row = {**base, **patch}
        for key in ("extra_body", "quirks"):
            if patch.get(key) and base.get(key):
                row[key] = {**base[key], **patch[key]}
        # A built-in may lack a base URL (a variable gives it) but keeps what a patch did not clear.
        missing = [
            name for name in missing_fields(row) if pid not in self.builtin_ids or base.get(name) is not None
        ]
        if missing:
            self.problems.append(f"{where}: " + ", ".join(f"missing field `{name}`" for name in missing))
            return
        self._drop_reserved(where, row)
        self.rows[pid] = row
        if defaults is not None:
            self.layers.defaults[pid] = {**self.layers.defaults.get(pid, {}), **defaults}
        self._preferred(pid, where, preferred)

    def _preferred(self, pid: str, where: str, preferred: list[Any] | None) -> None:
        from ante_nb.providers.catalog.schema import ModelEntry

        listed = list(self.lists.get(pid, ()))
        own = self.layers.user_preferred.setdefault(pid, {})
        for index, value in enumerate(preferred or []):
            place = f"{where}.preferred_models.{index}"
            row = self._entry(place, {"id": value} if isinstance(value, str) else value, ModelEntry)
            if row is None:
                continue
            mid = row.get("id")
            if mid is None:
                self.problems.append(f"{place}: missing field `id`")
                continue
            own[mid] = row
            if mid not in listed:
                listed.append(mid)
        self.lists[pid] = tuple(listed)

    def _drop_reserved(self, where: str, row: Row) -> None:
        from ante_nb.providers.catalog.schema import RESERVED_BODY_FIELDS

        body = row.get("extra_body")
        if not body:
            return
        reserved = [key for key in body if key in RESERVED_BODY_FIELDS[row["wire_style"]]]
        if reserved:
            self.problems.append(
                f"{where}.extra_body: ignoring Ante-owned request field(s): {', '.join(sorted(reserved))}"
            )
            row["extra_body"] = {key: value for key, value in body.items() if key not in reserved}

    # -------------------------------------------------------------------------------------- result

    def finish(self) -> Catalog:
        """The merged catalog; ``local`` is last, whatever was added."""
        order = [pid for pid in self.rows if pid != "local"] + ["local"]
        providers = {
            pid: provider_spec(
                pid, self.rows[pid], models=self.lists.get(pid, ()), builtin=pid in self.builtin_ids
            )
            for pid in order
        }
        ids = dict.fromkeys([*self.layers.models, *self.layers.user_models])
        models = {
            mid: model_spec(
                mid,
                {**self.layers.models.get(mid, {}), **self.layers.user_models.get(mid, {})},
                None,
                self.layers.families,
            )
            for mid in ids
        }
        oauth = {preset: oauth_spec(preset, row) for preset, row in self.oauth.items()}
        return Catalog(providers, models, self.problems, self.path, None, oauth, self.layers)


def _dump(entry: Any) -> Row:
    """The fields that were given, ``null`` included."""
    row: Row = entry.model_dump(exclude_unset=True)
    return row
