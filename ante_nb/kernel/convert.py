"""A notebook of ante-kernel as a plain Python notebook with ``%%ante`` cells, and back.

Ids, outputs and metadata of every cell stay. There and back again gives the same notebook: where the plain
rule would not (``%%python`` above a line magic, say), the cell's metadata keep the old source.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ante_nb.errors import ConfigError
from ante_nb.kernel.cells import to_cell, to_python
from ante_nb.kernel.kernelspec import NAME

if TYPE_CHECKING:
    from collections.abc import Callable

Json: TypeAlias = dict[str, Any]
Kind: TypeAlias = Literal["ante", "python"]

_OURS = "ante_nb"
"""Key of what is kept in the metadata of a notebook or cell for the way back."""
_LOAD = "%load_ext ante_nb"

_SPECS: dict[Kind, Json] = {
    "ante": {"name": NAME, "display_name": "Ante", "language": "markdown"},
    "python": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"},
}
_LANGUAGES: dict[Kind, Json] = {
    "ante": {"name": "markdown", "mimetype": "text/markdown", "file_extension": ".md"},
    "python": {"name": "python", "mimetype": "text/x-python", "file_extension": ".py"},
}


def read(text: str) -> Json:
    """A notebook from the text of its file.

    Raises:
        ConfigError: it is none, or one of an old format.
    """
    try:
        notebook = json.loads(text.removeprefix("\ufeff"))
        version, cells = notebook["nbformat"], notebook.get("cells")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError("that is not a notebook", "An .ipynb file is expected.") from None
    if version != 4 or not isinstance(cells, list):
        raise ConfigError(
            f"the notebook has format {version}; 4 is expected",
            "`jupyter nbconvert --to notebook --inplace FILE` brings an older one up to date.",
        )
    return dict(notebook)


def write(notebook: Json) -> str:
    """The text of a notebook's file, laid out as Jupyter does."""
    text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can hold
        text = json.dumps(notebook, indent=1) + "\n"
    return text


def kind_of(notebook: Json) -> Kind:
    """Whose notebook it is, by its kernelspec.

    Raises:
        ConfigError: of neither kernel, or it does not say.
    """
    found = _says(notebook)
    if found is None:
        name = notebook.get("metadata", {}).get("kernelspec", {}).get("name")
        raise ConfigError(
            f"the notebook's kernel is {name!r}" if name else "the notebook names no kernel",
            "Say which notebook it is to become: --to python or --to ante.",
        )
    return found


def _says(notebook: Json) -> Kind | None:
    metadata = notebook.get("metadata", {})
    spec, language = metadata.get("kernelspec", {}), metadata.get("language_info", {})
    name = spec.get("language") or language.get("name") or ""
    if name == "markdown" or spec.get("name") == NAME:
        return "ante"
    if name in ("python", "ipython") or str(spec.get("name", "")).startswith("python"):
        return "python"
    return None


def convert(notebook: Json, to: Kind, kernel: str | None = None) -> Json:
    """The same notebook for the other kernel; the argument stays as it is.

    Args:
        notebook: from :func:`read`.
        to: for which kernel.
        kernel: the kernelspec that it is to name; by default the one it named before it was converted, else
            ``python3`` or ``ante``.

    Raises:
        ConfigError: it is for that kernel already.
    """
    if _says(notebook) == to:
        raise ConfigError(f"that is a notebook for the {to} kernel already", "There is nothing to convert.")
    made = copy.deepcopy(notebook)
    metadata = made.setdefault("metadata", {})
    kept = _taken(made, "before")
    before = kept if isinstance(kept, dict) and kept.get("kernel") == to else None
    # One whose profile loads the magics gets no cell for that on its way back.
    unloaded = to == "ante" and _first_use(made) is not None
    there, back = (to_python, to_cell) if to == "python" else (to_cell, to_python)
    for cell in made["cells"]:
        if cell.get("cell_type") == "code":
            _convert_cell(cell, there, back)
    if to == "ante":
        _drop_loading(made)
    elif not (before and before.get("unloaded")) and (at := _first_use(made)) is not None:
        made["cells"].insert(at, _loading_cell(made))
    now = _rename(metadata, to, kernel, before)
    if before is None:
        other: Kind = "ante" if to == "python" else "python"
        note = {"kernel": other, "metadata": now, **({"unloaded": True} if unloaded else {})}
        metadata[_OURS] = {**metadata.get(_OURS, {}), "before": note}
    return made


def _convert_cell(cell: Json, there: Callable[[str], str], back: Callable[[str], str]) -> None:
    source = _joined(cell.get("source"))
    kept = _taken(cell, "source")
    result = kept if isinstance(kept, str) and back(kept) == source else there(source)
    if back(result) != source:
        metadata = cell.setdefault("metadata", {})
        metadata[_OURS] = {**metadata.get(_OURS, {}), "source": source}
    if result != source:
        cell["source"] = result.splitlines(keepends=True) if isinstance(cell["source"], list) else result


def _first_use(notebook: Json) -> int | None:
    """Which cell of a Python notebook uses the magics before any loads them."""
    for at, cell in enumerate(notebook["cells"]):
        if cell.get("cell_type") != "code":
            continue
        source = _joined(cell.get("source"))
        if _LOAD in source:
            return None
        if source.lstrip().startswith(("%%ante", "%ante")):
            return at
    return None


def _drop_loading(notebook: Json) -> None:
    """Take out the cell that the way here has added, unless it was changed since."""
    cells = notebook["cells"]
    cells[:] = [cell for cell in cells if not (_is_marked(cell) and _joined(cell["source"]) == _LOAD)]
    for cell in cells:
        _taken(cell, "added")


def _loading_cell(notebook: Json) -> Json:
    cell: Json = {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {_OURS: {"added": True}},
        "outputs": [],
        "source": _LOAD,
    }
    if notebook.get("nbformat_minor", 0) >= 5:
        taken = {other.get("id") for other in notebook["cells"]}
        number = 0
        while (name := f"load-ante{number or ''}") in taken:
            number += 1
        cell = {"cell_type": "code", "execution_count": None, "id": name, **cell}
    return cell


def _is_marked(cell: Json) -> bool:
    kept = cell.get("metadata", {}).get(_OURS)
    return isinstance(kept, dict) and kept.get("added") is True


def _rename(metadata: Json, to: Kind, kernel: str | None, before: Json | None) -> Json:
    """Name the other kernel, as ``before`` where that is known; what was named until now."""
    now: Json = {key: metadata.pop(key) for key in ("kernelspec", "language_info") if key in metadata}
    after: Json = {"kernelspec": _SPECS[to], "language_info": _LANGUAGES[to]}
    metadata.update(copy.deepcopy(before.get("metadata", {}) if before else after))
    if kernel is not None:
        metadata["kernelspec"] = {**_SPECS[to], "name": kernel, "display_name": kernel}
    return now


def _taken(holder: Json, key: str) -> Any:
    """What was kept under ``key``, taken out of the holder's metadata."""
    metadata = holder.get("metadata")
    kept = metadata.get(_OURS) if isinstance(metadata, dict) else None
    if not isinstance(kept, dict) or key not in kept:
        return None
    value = kept.pop(key)
    if not kept:
        del holder["metadata"][_OURS]
    return value


def _joined(source: Any) -> str:
    return "".join(source) if isinstance(source, list) else str(source or "")
