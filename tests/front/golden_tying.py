"""Writes tests/front/golden_tying: adapters that Python PEFT tied on a model whose head is its embedding.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, safetensors; seed 0. Run:
python tests/front/golden_tying.py
The model is that of golden_tied.py. The folders are as those of golden_tied.py, and run.safetensors also
holds `adam.<key>`: the adapter after three steps of AdamW from its file.
"""
import pathlib
import shutil

import torch
from golden import parameters, run
from golden_tied import Logits, make_base, prepared
from peft import LoraConfig, PeftModel
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "golden_tying"
CASES = {
    "save_head": dict(target_modules=["q_proj"], modules_to_save=["lm_head"]),
    "save_embedding": dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"]),
    "save_both": dict(target_modules=["q_proj"], modules_to_save=["lm_head", "embed_tokens"]),
    "lora_head": dict(target_modules=["lm_head", "q_proj"]),
    "lora_embedding": dict(target_modules=["embed_tokens", "v_proj"]),
    "lora_both": dict(target_modules=["lm_head", "embed_tokens"]),
    "lora_pattern": dict(target_modules=r"(lm_head|.*up_proj)"),
    "lora_ranks": dict(target_modules=["lm_head"], rank_pattern={"lm_head": 2}, alpha_pattern={"embed_tokens": 7}),
    "lora_excluded": dict(target_modules=["embed_tokens"], exclude_modules=["lm_head"]),
    "lora_dora": dict(target_modules=["lm_head"], use_dora=True),
    "tokens": dict(target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [7, 2], "lm_head": [7, 2]}),
}


@torch.no_grad()
def randomise(model):
    """In place, so that what is tied stays tied; small, since training must not run away."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.copy_(torch.randn(parameter.shape) * 0.2)


def after_adamw(base, folder, ids):
    model = PeftModel.from_pretrained(base, folder, is_trainable=True)
    learning = [p for p in model.parameters() if p.requires_grad]
    adamw = torch.optim.AdamW(learning, lr=0.01, eps=1e-3, weight_decay=0.01)
    for _ in range(3):
        adamw.zero_grad()
        model(input_ids=ids).logits.square().sum().backward()
        adamw.step()
    return {f"adam.{key}": value.contiguous() for key, value in parameters(model).items()}


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    for name, options in CASES.items():
        config = LoraConfig(task_type="CAUSAL_LM", r=3, lora_alpha=5, ensure_weight_tying=True, **options)
        folder = OUT / name
        model, ids = prepared(make_base(), config, folder, randomise)
        unloaded = PeftModel.from_pretrained(make_base(), folder).merge_and_unload()
        tensors = {"unloaded": unloaded(input_ids=ids).logits.detach(),
                   "unloaded_tied": torch.tensor(int(unloaded.config.tie_word_embeddings))}
        tensors |= run(Logits(model), ids, merge=False)
        tensors |= after_adamw(make_base(), folder, ids)
        save_file(tensors, folder / "run.safetensors")


if __name__ == "__main__":
    main()
