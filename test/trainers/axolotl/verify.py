"""What axolotl's chat-template strategy trains on, set up by the axolotl.yaml beside the rows."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import yaml
from axolotl.prompt_strategies.chat_template import load
from axolotl.utils.dict import DictDefault
from datasets import load_dataset
from transformers import AutoTokenizer

from trained import pieces

inputs, output = Path(sys.argv[1]), Path(sys.argv[2])


results = {}
for format, model in [("hermes", "chatml"), ("xml", "chatml"), ("openai", "qwen")]:
    folder = inputs / "exports" / f"{format}-jsonl"
    config = yaml.safe_load((folder / "axolotl.yaml").read_text())
    (dataset,) = config.pop("datasets")
    tokenizer = AutoTokenizer.from_pretrained(inputs / "models" / model)
    strategy = load(tokenizer, DictDefault({**config, "train_on_inputs": False}), dataset)
    rows = load_dataset(
        dataset["ds_type"], data_files=str(folder / dataset["path"]), split="train",
        cache_dir=str(inputs / "cache" / f"axolotl-{format}"),
    )  # fmt: skip
    made = [strategy.tokenize_prompt(row) for row in rows]
    results[format] = {
        "rows": len(made),
        "pieces": {
            row["instance_id"]: pieces(tokenizer, one["input_ids"], one["labels"])
            for row, one in zip(rows, made, strict=True)
        },
    }
versions = {name: version(name) for name in ["axolotl", "transformers", "datasets"]}
output.write_text(json.dumps({"versions": versions, "results": results}, ensure_ascii=False, indent=1) + "\n")
