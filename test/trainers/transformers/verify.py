"""What transformers makes of the messages of every row: the text of the chat template, and its tokens."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

from jinja2.exceptions import TemplateError
from transformers import AutoTokenizer

inputs, output = Path(sys.argv[1]), Path(sys.argv[2])
models = {folder.name: AutoTokenizer.from_pretrained(folder) for folder in (inputs / "models").iterdir()}
results = {}
for case in json.loads((inputs / "cases.json").read_text()):
    tokenizer = models[case["template"]]
    try:
        text = tokenizer.apply_chat_template(case["messages"], tools=case["tools"] or None, tokenize=False)
    except (TemplateError, TypeError) as error:
        results[case["name"]] = {"refused": str(error)}
        continue
    results[case["name"]] = {"text": text, "ids": tokenizer(text, add_special_tokens=False)["input_ids"]}
versions = {name: version(name) for name in ["transformers", "tokenizers", "jinja2"]}
# One line for each case: whole texts are long, and a change shall show in the cases it is of.
lines = [f"{json.dumps(name)}: {json.dumps(result, ensure_ascii=False)}" for name, result in results.items()]
output.write_text('{"versions": ' + json.dumps(versions) + ', "results": {\n' + ",\n".join(lines) + "\n}}\n")
