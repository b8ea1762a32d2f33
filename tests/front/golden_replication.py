"""Writes tests/front/golden_replication: adapters that Python PEFT put on a model whose layers it stacked again.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, safetensors; seed 0. Run:
python tests/front/golden_replication.py
The folders are as those of golden.py, and run.safetensors also holds `adam.<key>` as in golden_tying.py,
`generated`: the most likely tokens after the first row, found with a cache, and `parameters`: how many numbers
learn, and how many there are. base/ is the model before, a checkpoint's folder.
"""
import pathlib
import shutil

import torch
from golden import run
from golden_tied import Logits, prepared
from golden_tying import after_adamw, randomise
from peft import LoraConfig
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

OUT = pathlib.Path(__file__).parent / "golden_replication"
CONFIG = dict(vocab_size=19, hidden_size=8, intermediate_size=12, num_hidden_layers=3, num_attention_heads=2,
              num_key_value_heads=1, max_position_embeddings=32, bos_token_id=1, eos_token_id=2,
              initializer_range=0.3, tie_word_embeddings=False, attention_bias=True)
CASES = {
    "again": dict(layer_replication=[[0, 2], [1, 3]], target_modules=["q_proj", "down_proj"]),
    "biases": dict(layer_replication=[[0, 3], [0, 1]], target_modules=["v_proj"], bias="all"),
    "one_replica": dict(layer_replication=[[0, 2], [1, 3]], target_modules=["up_proj"], layers_to_transform=[2]),
    "turned": dict(layer_replication=[[1, 3], [0, 1]], target_modules=["gate_proj"],
                   modules_to_save=["lm_head", "input_layernorm"]),
}


def make_base():
    torch.manual_seed(0)
    base = LlamaForCausalLM(LlamaConfig(**CONFIG)).eval()
    with torch.no_grad():
        for name, parameter in base.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.3)
    return base


@torch.no_grad()
def most_likely(model, ids):
    found, cache, step = [], None, ids[:1]
    for _ in range(6):
        out = model(input_ids=step, past_key_values=cache, use_cache=True)
        cache, step = out.past_key_values, out.logits[:, -1:].argmax(-1)
        found.append(step)
    return torch.cat(found, 1)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    make_base().save_pretrained(OUT / "base")
    (OUT / "base" / "generation_config.json").unlink()
    for name, options in CASES.items():
        config = LoraConfig(task_type="CAUSAL_LM", r=3, lora_alpha=5, **options)
        folder = OUT / name
        model, ids = prepared(make_base(), config, folder, randomise)
        tensors = {"generated": most_likely(model, ids),
                   "parameters": torch.tensor(model.get_nb_trainable_parameters())}
        tensors |= run(Logits(model), ids, merge=False)
        tensors |= after_adamw(make_base(), folder, ids)
        save_file(tensors, folder / "run.safetensors")


if __name__ == "__main__":
    main()
