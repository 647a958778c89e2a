"""One step of TRL's SFTTrainer on a tiny random model: which tokens of each row it trains on."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from datasets import load_dataset
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM
from trl import SFTConfig, SFTTrainer

inputs, output = Path(sys.argv[1]), Path(sys.argv[2])
tokenizer = AutoTokenizer.from_pretrained(inputs / "models" / "qwen-training")


def tiny_model():
    torch.manual_seed(7)
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8, max_position_embeddings=4096,
    )  # fmt: skip
    return Qwen3ForCausalLM(config)


def as_sent(message):
    return {key: value for key, value in message.items() if value is not None and key != "train"}


results = {}
for format, columns in [("hermes", ["messages"]), ("openai", ["messages", "tools"])]:
    rows = load_dataset(
        "json", data_files=str(inputs / "exports" / f"{format}-jsonl" / "t2.jsonl"), split="train",
        cache_dir=str(inputs / "cache" / f"trl-{format}"),
    )  # fmt: skip
    rows = rows.filter(lambda row: all(m["train"] or m["role"] != "assistant" for m in row["messages"]))
    names = rows["instance_id"]
    rows = rows.select_columns(columns).map(lambda row: {"messages": [as_sent(m) for m in row["messages"]]})
    arguments = SFTConfig(
        output_dir=str(inputs / "trl"), max_length=4096, assistant_only_loss=True, max_steps=1, shuffle_dataset=False,
        per_device_train_batch_size=len(rows), use_cpu=True, report_to="none", save_strategy="no", bf16=False,
        activation_checkpointing=False,
    )  # fmt: skip
    trainer = SFTTrainer(model=tiny_model(), args=arguments, train_dataset=rows, processing_class=tokenizer)
    loss = trainer.train().training_loss
    prepared = list(trainer.train_dataset)
    results[format] = {
        "rows": len(prepared),
        "lossIsFinite": bool(torch.isfinite(torch.tensor(loss))),
        "trained": {
            name: {
                "tokens": len(row["input_ids"]),
                "ids": [label for label in row["labels"] if label != -100],
            }
            for name, row in zip(names, prepared, strict=True)
        },
    }
versions = {name: version(name) for name in ["trl", "transformers", "torch", "datasets"]}
output.write_text(json.dumps({"versions": versions, "results": results}) + "\n")
