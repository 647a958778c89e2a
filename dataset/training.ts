/** Configurations of trainers that name the files of an export; each only for the formats its trainer reads whole. */

import type { DatasetManifest } from './manifest.ts';

/** Longest sequence, in tokens; the reference trains with it. */
export const MAX_TOKENS = 32_768;
/** A model the examples name; any of the family does. */
const MODEL = 'Qwen/Qwen3-8B';

/** Files by name. Nothing for what the scripted teacher made, which nobody shall train on. */
export function renderTraining(manifest: DatasetManifest): Record<string, string> {
  if (manifest.simulated) return {};
  const files = manifest.files.filter(({ rows, split }) => rows > 0 && split === 'train');
  switch (manifest.format) {
    case 'hermes':
    case 'xml':
      return {
        'axolotl.yaml': renderAxolotl(manifest, files, 'chatml'),
        'trl_sft.py': renderTrl(manifest, files),
        'unsloth_sft.py': renderUnsloth(manifest, files),
        ...renderLlamaFactory(files, FLAT_TAGS),
      };
    case 'openai':
      return {
        'axolotl.yaml': renderAxolotl(manifest, files, 'tokenizer_default'),
        // From typed files, objects of arguments would come with a null for each key that another call has.
        ...(manifest.fileType === 'jsonl' && { 'trl_sft.py': renderTrl(manifest, files) }),
        'unsloth_sft.py': renderUnsloth(manifest, files),
      };
    case 'sharegpt':
      return renderLlamaFactory(files, SHAREGPT_TAGS);
    case 'atif':
    case 'raw':
      return {};
  }
}

// --- internal ---

type File = DatasetManifest['files'][number];

/** JSON strings are YAML and Python strings too. */
const quoted = (text: string) => JSON.stringify(text);

function renderAxolotl(
  { fileType }: DatasetManifest,
  files: File[],
  chatTemplate: 'chatml' | 'tokenizer_default',
): string {
  const datasets = files.map(
    ({ name }) => `  - path: ${quoted(`./${name}`)}
    ds_type: ${fileType === 'jsonl' ? 'json' : 'parquet'}
    type: chat_template
    field_messages: messages
    message_field_training: train
`,
  );
  return `# axolotl train axolotl.yaml, run in this folder. Only messages with \`train: true\` are learned.
base_model: ${MODEL}
chat_template: ${chatTemplate}
datasets:
${datasets.join('')}sequence_len: ${MAX_TOKENS}
excess_length_strategy: drop
sample_packing: false
num_epochs: 3
micro_batch_size: 1
gradient_accumulation_steps: 2
learning_rate: 1.0e-5
lr_scheduler: cosine
warmup_ratio: 0.1875
weight_decay: 0.01
adam_beta1: 0.9
adam_beta2: 0.95
optimizer: adamw_torch_fused
bf16: true
gradient_checkpointing: true
output_dir: ./model
`;
}

function renderLoad({ fileType, format }: DatasetManifest, files: File[]): string {
  const names = files.map(({ name }) => quoted(name)).join(', ');
  return `rows = load_dataset("${fileType === 'jsonl' ? 'json' : 'parquet'}", data_files=[${names}], split="train")
# This trainer learns every assistant message: rows with one that shall not be learned are left out.
rows = rows.filter(
    lambda row: all(m["train"] or m["role"] != "assistant" for m in row["messages"])
)${format === 'openai' ? OPENAI_CLEANUP : ''}
`;
}

/** Readers add nulls where a message lacks a key, and typed files hold the arguments of calls as text. */
const OPENAI_CLEANUP = `


def as_sent(message):
    message = {key: value for key, value in message.items() if value is not None and key != "train"}
    for call in message.get("tool_calls", []):
        if isinstance(call["function"]["arguments"], str):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return message`;

function renderTrl(manifest: DatasetManifest, files: File[]): string {
  const isStructured = manifest.format === 'openai';
  const columns = isStructured ? '["messages", "tools"]' : '["messages"]';
  return `"""Fine-tunes a model with TRL, in this folder: python trl_sft.py [MODEL] [OUTPUT]"""

import json
import sys

from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

model = sys.argv[1] if len(sys.argv) > 1 else "${MODEL}"
output = sys.argv[2] if len(sys.argv) > 2 else "model"

${renderLoad(manifest, files)}
rows = rows.select_columns(${columns})${isStructured ? '\nrows = rows.map(lambda row: {"messages": [as_sent(m) for m in row["messages"]]})' : ''}
SFTTrainer(
    model=model,
    train_dataset=rows,
    args=SFTConfig(
        output_dir=output,
        max_length=${MAX_TOKENS},
        assistant_only_loss=True,
        num_train_epochs=3,
        learning_rate=1e-5,
        lr_scheduler_type="cosine",
        warmup_ratio=0.1875,
        weight_decay=0.01,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=2,
        gradient_checkpointing=True,
        bf16=True,
    ),
).train()
`.replace(isStructured ? '' : 'import json\n', '');
}

function renderUnsloth(manifest: DatasetManifest, files: File[]): string {
  const isStructured = manifest.format === 'openai';
  const render = isStructured
    ? 'tokenizer.apply_chat_template([as_sent(m) for m in row["messages"]], tools=json.loads(row["tools"]), tokenize=False)'
    : 'tokenizer.apply_chat_template(row["messages"], tokenize=False)';
  return `"""Fine-tunes a model of a ChatML family with Unsloth and LoRA, in this folder: python unsloth_sft.py [MODEL] [OUTPUT]"""

import json
import sys

from unsloth import FastLanguageModel
from unsloth.chat_templates import train_on_responses_only
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

name = sys.argv[1] if len(sys.argv) > 1 else "${MODEL}"
output = sys.argv[2] if len(sys.argv) > 2 else "model"

model, tokenizer = FastLanguageModel.from_pretrained(name, max_seq_length=${MAX_TOKENS}, load_in_4bit=True)
model = FastLanguageModel.get_peft_model(model, r=32, lora_alpha=128)

${renderLoad(manifest, files)}
rows = rows.map(lambda row: {"text": ${render}})
trainer = SFTTrainer(
    model=model,
    tokenizer=tokenizer,
    train_dataset=rows.select_columns(["text"]),
    args=SFTConfig(
        output_dir=output,
        dataset_text_field="text",
        max_length=${MAX_TOKENS},
        num_train_epochs=3,
        learning_rate=5e-5,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=4,
    ),
)
trainer = train_on_responses_only(
    trainer, instruction_part="<|im_start|>user\\n", response_part="<|im_start|>assistant\\n"
)
trainer.train()
`.replace(isStructured ? '' : 'import json\n', '');
}

const FLAT_TAGS = {
  columns: { messages: 'messages' },
  tags: {
    role_tag: 'role',
    content_tag: 'content',
    user_tag: 'user',
    assistant_tag: 'assistant',
    system_tag: 'system',
  },
};

const SHAREGPT_TAGS = {
  columns: { messages: 'conversations', system: 'system', tools: 'tools' },
  tags: {
    role_tag: 'from',
    content_tag: 'value',
    user_tag: 'human',
    assistant_tag: 'gpt',
    observation_tag: 'observation',
    function_tag: 'function_call',
  },
};

function renderLlamaFactory(files: File[], form: object): Record<string, string> {
  const nameOf = ({ name }: File) =>
    `twinpatch_${name.replace(/\.[a-z]+$/, '').replaceAll(/[^a-z0-9]+/g, '_')}`;
  const info = Object.fromEntries(
    files.map((file) => [nameOf(file), { file_name: file.name, formatting: 'sharegpt', ...form }]),
  );
  return {
    'dataset_info.json': `${JSON.stringify(info, null, 2)}\n`,
    'llama_factory.yaml': `# llamafactory-cli train llama_factory.yaml, run in this folder. Every reply of a row is learned: LLaMA-Factory knows no
# \`train\` flag, so export with --where 'untrained = 0' for it.
model_name_or_path: ${MODEL}
stage: sft
do_train: true
finetuning_type: full
dataset_dir: .
dataset: ${files.map(nameOf).join(',')}
template: qwen3
cutoff_len: ${MAX_TOKENS}
num_train_epochs: 3.0
learning_rate: 1.0e-5
lr_scheduler_type: cosine
warmup_ratio: 0.1875
weight_decay: 0.01
per_device_train_batch_size: 1
gradient_accumulation_steps: 2
bf16: true
output_dir: model
`,
  };
}
