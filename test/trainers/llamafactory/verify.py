"""What LLaMA-Factory's converter, template and processor make of the exports, found through the dataset_info.json beside them."""

import json
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

from datasets import load_dataset
from llamafactory.data.converter import get_dataset_converter
from llamafactory.data.parser import get_dataset_list
from llamafactory.data.processor import SupervisedDatasetProcessor
from llamafactory.data.template import get_template_and_fix_tokenizer
from llamafactory.hparams import DataArguments
from transformers import AutoTokenizer

from trained import pieces

inputs, output = Path(sys.argv[1]), Path(sys.argv[2])
tokenizer = AutoTokenizer.from_pretrained(inputs / "models" / "qwen")


results = {}
for format in ["sharegpt", "hermes", "xml"]:
    folder = inputs / "exports" / f"{format}-jsonl"
    arguments = DataArguments(template="qwen3", cutoff_len=4096, dataset_dir=str(folder))
    template = get_template_and_fix_tokenizer(tokenizer, arguments)
    (attributes,) = get_dataset_list(list(json.loads((folder / "dataset_info.json").read_text())), str(folder))
    rows = load_dataset(
        "json", data_files=str(folder / attributes.dataset_name), split="train",
        cache_dir=str(inputs / "cache" / f"llamafactory-{format}"),
    )  # fmt: skip
    converter = get_dataset_converter(attributes.formatting, attributes, arguments)
    converted = [converter(row) for row in rows]
    batch = {key: [row[key] for row in converted] for key in converted[0]}
    processor = SupervisedDatasetProcessor(template=template, tokenizer=tokenizer, processor=None, data_args=arguments)
    made = processor.preprocess_dataset(batch)
    results[format] = {
        "rows": len(made["input_ids"]),
        "pieces": dict(zip(rows["instance_id"], map(partial(pieces, tokenizer), made["input_ids"], made["labels"]), strict=True)),
    }
versions = {name: version(name) for name in ["llamafactory", "transformers", "datasets"]}
output.write_text(json.dumps({"versions": versions, "results": results}, ensure_ascii=False, indent=1) + "\n")
