"""The stores of other programs, split models, image encoders, and files that are no models."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from local_files import gguf

from ante_nb.errors import LocalEngineError
from ante_nb.local import discovery
from ante_nb.local.gguf import parts, read_model

if TYPE_CHECKING:
    from pathlib import Path

GOOD = gguf()
ENCODER = gguf(keys={"general.architecture": "clip", "general.type": "mmproj"})


def put(path: Path, data: bytes = GOOD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def found(user: Path, **env: str) -> dict[str, discovery.LocalModel]:
    models = discovery.find_models(user / ".ante", {"HOME": str(user), **env})
    return {model.id: model for model in models if not model.demo}


def snapshot(repository: Path, revision: str, files: dict[str, bytes]) -> Path:
    """Files as Hugging Face's cache keeps them: links to blobs named by their checksum."""
    folder = repository / "snapshots" / revision
    for name, data in files.items():
        blob = put(repository / "blobs" / hashlib.sha256(data).hexdigest(), data)
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return folder


def test_hugging_faces_cache(tmp_path: Path) -> None:
    repository = tmp_path / "cache/hub/models--o--n"
    split = {
        f"Big-Q4_K_M-0000{n}-of-00002.gguf": gguf(keys={"split.count": 2, "split.no": n}) for n in (1, 2)
    }
    old = snapshot(repository, "a" * 40, {"One-Q8_0.gguf": gguf(keys={"general.name": "old"})})
    new = snapshot(repository, "b" * 40, {"One-Q8_0.gguf": GOOD, **split, "mmproj-Big-f16.gguf": ENCODER})
    put(repository / "refs/main", b"b" * 40)
    put(repository / "blobs/x.gguf")  # not by its blobs
    (new / "gone.gguf").symlink_to("../../blobs/none")
    models = found(tmp_path, HF_HOME=str(tmp_path / "cache"))
    assert set(models) == {"One-Q8_0", "Big-Q4_K_M"}
    assert models["One-Q8_0"].path.parent == new and models["One-Q8_0"].source == "Hugging Face"
    big = models["Big-Q4_K_M"]
    # An engine finds the second part beside the link, not beside the blob.
    assert big.parts == 2 and big.loaded == new / "Big-Q4_K_M-00001-of-00002.gguf"
    assert big.mmproj == new / "mmproj-Big-f16.gguf" and big.mmproj_size == len(ENCODER)
    assert read_model(big.path).parts == 2 and read_model(big.path).tensors == 2
    assert models["One-Q8_0"].loaded.parent.name == "blobs"
    (repository / "refs/main").write_text("a" * 40)
    assert found(tmp_path, HF_HUB_CACHE=str(tmp_path / "cache/hub"))["One-Q8_0"].path.parent == old


def test_ollama(tmp_path: Path) -> None:
    store = tmp_path / "ollama"
    weights, encoder = (hashlib.sha256(data).hexdigest() for data in (GOOD, ENCODER))
    put(store / f"blobs/sha256-{weights}")
    put(store / f"blobs/sha256-{encoder}", ENCODER)

    def manifest(name: str, layers: Any) -> None:
        put(store / "manifests/registry.ollama.ai/library" / name, json.dumps({"layers": layers}).encode())

    model = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{weights}"}
    projector = {"mediaType": "application/vnd.ollama.image.projector", "digest": f"sha256:{encoder}"}
    manifest(
        "see/7b", [{"mediaType": "application/vnd.ollama.image.template", "digest": 5}, model, projector]
    )
    manifest("odd/a", 5)
    manifest("odd/b", [5, {"mediaType": []}, {**model, "digest": "sha256:../../../../etc/passwd"}])
    manifest("odd/c", [{**model, "digest": f"sha256:{'0' * 64}"}])
    models = found(tmp_path, OLLAMA_MODELS=str(store))
    assert set(models) == {"see:7b"}
    see = models["see:7b"]
    assert see.mmproj == store / f"blobs/sha256-{encoder}" and read_model(see.path).tensors == 1
    assert discovery.choose("see", [see]) is see


def test_lm_studio_that_was_moved(tmp_path: Path) -> None:
    put(tmp_path / "disk/models/p/r/Far.gguf")
    put(tmp_path / ".cache/lm-studio/models/p/r/Old.gguf")
    put(tmp_path / ".lmstudio-home-pointer", f"{tmp_path / 'disk'}\n".encode())
    assert {name: model.source for name, model in found(tmp_path).items()} == {
        "Far": "LM Studio",
        "Old": "LM Studio",
    }
    put(tmp_path / ".lmstudio-home-pointer", b"\0\xff")
    assert set(found(tmp_path)) == {"Old"}


def test_links_between_folders(tmp_path: Path) -> None:
    """They are followed, and a circle of them ends."""
    models = tmp_path / ".ante/models"
    put(tmp_path / "disk/Else.gguf")
    models.mkdir(parents=True)
    (models / "disk").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/back").symlink_to(models)
    (models / "self").symlink_to(models)
    assert set(found(tmp_path)) == {"Else"}


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        # One model in two precisions, and its encoder in two.
        (["A-7B-Q4_K_M", "A-7B-Q8_0", "mmproj-A-7B-f32", "mmproj-A-7B-f16"], "mmproj-A-7B-f16"),
        (["A-7B-Q4_K_M", "mmproj-F16"], "mmproj-F16"),
        (["A-7B-Q4_K_M", "mmproj-model-f16"], "mmproj-model-f16"),
        (["A-7B-Q4_K_M", "A-7B.mmproj-Q8_0"], "A-7B.mmproj-Q8_0"),
        # Two models: an encoder goes to the one whose name it bears.
        (["A-7B-Q4_K_M", "B-2B-Q4_K_M", "mmproj-A-7B-F16"], "mmproj-A-7B-F16"),
        (["A-7B-Q4_K_M", "B-2B-Q4_K_M", "mmproj-B-2B-F16"], None),
        (["A-7B-Q4_K_M", "B-2B-Q4_K_M", "mmproj-F16"], None),
        (["A-7B-Q4_K_M"], None),
    ],
)
def test_which_encoder(tmp_path: Path, files: list[str], wanted: str | None) -> None:
    for name in files:
        put(tmp_path / ".ante/models" / f"{name}.gguf", ENCODER if "mmproj" in name else GOOD)
    models = found(tmp_path)
    assert set(models) == {name for name in files if "mmproj" not in name}
    encoder = models["A-7B-Q4_K_M"].mmproj
    assert (encoder.stem if encoder else None) == wanted


def test_a_damaged_encoder_costs_the_images_alone(tmp_path: Path) -> None:
    put(tmp_path / "m/A.gguf")
    put(tmp_path / "m/mmproj-F16.gguf", ENCODER)
    assert discovery.choose(str(tmp_path / "m/A.gguf"), []).mmproj
    put(tmp_path / "m/mmproj-F16.gguf", ENCODER[:-60])
    assert discovery.choose(str(tmp_path / "m/A.gguf"), []).mmproj is None


def test_split_models(tmp_path: Path) -> None:
    files = [put(tmp_path / f"x/S-0000{n}-of-00003.gguf", gguf(keys={"split.count": 3})) for n in (1, 2, 3)]
    assert parts(files[0]) == files
    model = discovery.choose(str(files[0]), [])
    assert (model.id, model.parts, model.size) == ("S", 3, sum(len(file.read_bytes()) for file in files))
    put(files[1], files[1].read_bytes()[:-100])
    with pytest.raises(
        LocalEngineError, match=r"S-00002-of-00003\.gguf is not .* cut off: \d+ bytes expected, \d+ there"
    ):
        discovery.choose(str(files[0]), [])
    files[1].unlink()
    with pytest.raises(LocalEngineError, match=r"lacks 1 of its 3 parts, first S-00002-of-00003\.gguf"):
        discovery.choose(str(files[0]), [])
    with pytest.raises(LocalEngineError, match="later part"):
        discovery.choose(str(files[2]), [])
    renamed = put(tmp_path / "y/renamed.gguf", gguf(keys={"split.count": 3}))
    with pytest.raises(LocalEngineError, match=r"is one of 3 parts.*-00001-of-00003\.gguf"):
        discovery.choose(str(renamed), [])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (ENCODER, "is an image encoder and no model"),
        (gguf(keys={"general.type": "adapter"}), "is of the kind 'adapter' and no model"),
        (gguf(tensors=()), "holds a vocabulary and no model"),
    ],
)
def test_files_that_are_no_models(tmp_path: Path, data: bytes, words: str) -> None:
    file = put(tmp_path / "file.gguf", data)
    with pytest.raises(LocalEngineError, match=words):
        discovery.choose(str(file), [])


def test_words_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(LocalEngineError, match=r"has to be downloaded.*%ante local get https://h/m\.gguf"):
        discovery.choose("https://h/m.gguf", [])
    with pytest.raises(LocalEngineError, match=r"no model file o/m.*%ante local get o/m"):
        discovery.choose("o/m", [])
    for odd in ("x" * 5000, "a\0b", "/a\0b.gguf", "~nobody-here/x.gguf", "/" + "y" * 300 + ".gguf"):
        with pytest.raises(LocalEngineError):
            discovery.choose(odd, [])


def test_the_last_model_is_taken_while_it_is_there(tmp_path: Path) -> None:
    for name in ("A", "B"):
        put(tmp_path / f".ante/models/{name}.gguf")
    models = list(found(tmp_path).values())
    assert discovery.choose(None, models, last="B.gguf").id == "B"
    assert discovery.choose("local", models, last="Gone.gguf").id == "A"
    assert discovery.choose(None, models, default="A", last="B").id == "A"
    with pytest.raises(LocalEngineError, match="no local model is called 'Gone'"):
        discovery.choose(None, models, default="Gone", last="B")
    put(tmp_path / ".ante/models/B.gguf", GOOD[:-60])
    assert discovery.choose(None, models, last="B").id == "A"
