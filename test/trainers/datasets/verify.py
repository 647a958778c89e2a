"""Loads every export with `datasets`, as JSON lines and as Parquet: features, rows, and what differs between the two."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

from datasets import load_dataset

inputs, output = Path(sys.argv[1]), Path(sys.argv[2])


def load(format, file_type):
    folder = inputs / "exports" / f"{format}-{file_type}"
    kind = "json" if file_type == "jsonl" else "parquet"
    cache = str(inputs / "cache" / f"{format}-{file_type}")
    return load_dataset(kind, data_files=str(folder / f"t2.{file_type}"), split="train", cache_dir=cache)


def nulls(value):
    """Values that a reader added where a row had no key."""
    if isinstance(value, dict):
        return sum(nulls(item) for item in value.values())
    if isinstance(value, list):
        return sum(nulls(item) for item in value)
    return value is None


results = {}
for format in ["hermes", "xml", "openai", "sharegpt", "raw", "atif"]:
    lines = load(format, "jsonl")
    results[format] = {"rows": len(lines), "jsonl": lines.features.to_dict(), "nulls": nulls(lines.to_list())}
    if format == "atif":
        continue
    typed = load(format, "parquet")
    pairs = list(zip(lines.to_list(), typed.to_list(), strict=True))
    results[format] |= {
        "parquet": typed.features.to_dict(),
        "differentColumns": [
            name
            for name in lines.column_names
            if lines.features[name] != typed.features[name] or any(a[name] != b[name] for a, b in pairs)
        ],
    }
versions = {name: version(name) for name in ["datasets", "pyarrow"]}
output.write_text(json.dumps({"versions": versions, "results": results}, ensure_ascii=False, indent=1) + "\n")
