"""Which files hold data rather than code or prose; told by the name, as the policy must not read them."""

from __future__ import annotations

import re
from pathlib import PurePath

SUFFIXES = frozenset(
    [
        ".csv",
        ".tsv",
        ".psv",
        ".tab",
        ".json",
        ".jsonl",
        ".ndjson",
        ".geojson",
        ".parquet",
        ".feather",
        ".arrow",
        ".orc",
        ".avro",
        ".xlsx",
        ".xls",
        ".ods",
        ".db",
        ".sqlite",
        ".sqlite3",
        ".duckdb",
        ".pkl",
        ".pickle",
        ".joblib",
        ".npy",
        ".npz",
        ".mat",
        ".h5",
        ".hdf5",
        ".hdf",
        ".nc",
        ".zarr",
        ".dta",
        ".sav",
        ".sas7bdat",
        ".rds",
        ".rdata",
        ".xpt",
        ".por",
        ".fits",
        ".root",
        ".tfrecord",
        ".pt",
        ".safetensors",
        ".log",
        ".out",
        ".dat",
        ".data",
        ".txt",
        ".xml",
        ".ipynb",
        ".vcf",
        ".bed",
        ".fasta",
        ".fa",
        ".fastq",
        ".gff",
        ".gtf",
        ".shp",
        ".kml",
        ".gpx",
        ".eml",
        ".mbox",
        ".vcard",
        ".ics",
    ]
)
"""Suffixes of files that may hold the person's values. ``.txt``, ``.log``, ``.xml`` and notebooks with their
outputs are among them: under a policy that keeps values in, what is not known to be code counts as data."""
CONFIGURATION = frozenset(
    {
        "package.json",
        "package-lock.json",
        "tsconfig.json",
        "pyrightconfig.json",
        "requirements.txt",
        "robots.txt",
        "pom.xml",
    }
)
_COMPRESSED = frozenset({".gz", ".bz2", ".xz", ".zst", ".zip", ".7z"})
_NAME = re.compile(r"[^\s:\x00]+\.\w+")


def is_data_file(path: str) -> bool:
    """Whether the file of that name may hold values of the person's data."""
    name = PurePath(path.strip().strip("'\"")).name.lower()
    if name in CONFIGURATION or name.startswith("requirements"):
        return False
    suffixes = PurePath(name).suffixes
    return bool(suffixes) and (suffixes[-1] in SUFFIXES or suffixes[-1] in _COMPRESSED)


def names_data_file(text: str) -> bool:
    """Whether any word of ``text`` is the name of such a file."""
    return any(is_data_file(found[0]) for found in _NAME.finditer(text))
