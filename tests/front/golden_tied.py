"""Writes tests/front/golden_tied: adapters that Python PEFT put on a model whose head is its embedding.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, safetensors; seed 0. Run:
python tests/front/golden_tied.py
The folders are as those of golden.py, and run.safetensors also holds `unloaded`: the logits after
merge_and_unload, and `unloaded_tied`: whether the config still says tie_word_embeddings. base/ is the
model, a checkpoint's folder.
"""
import copy
import pathlib
import shutil

import torch
from golden import randomise, run
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

OUT = pathlib.Path(__file__).parent / "golden_tied"
CONFIG = dict(vocab_size=19, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2,
              num_key_value_heads=1, max_position_embeddings=16, bos_token_id=1, eos_token_id=2,
              initializer_range=0.3, tie_word_embeddings=True)
CASES = {
    "save_head": dict(target_modules=["q_proj"], modules_to_save=["lm_head"]),
    "save_embedding": dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"]),
    "save_both": dict(target_modules=["q_proj"], modules_to_save=["lm_head", "embed_tokens"]),
    "lora_head": dict(target_modules=["lm_head"]),
    "lora_embedding": dict(target_modules=["embed_tokens", "v_proj"]),
    "lora_both": dict(target_modules=["lm_head", "embed_tokens"]),
    "lora_embedding_save_head": dict(target_modules=["embed_tokens"], modules_to_save=["lm_head"]),
    "lora_pattern": dict(target_modules=r".*(embed_tokens|up_proj)"),
}


class Logits(torch.nn.Module):
    """A model as golden.run calls it: ids in, logits out; the rest is the adapted model's own."""

    def __init__(self, model):
        super().__init__()
        self.__dict__["model"] = model

    def __call__(self, ids):
        return self.__dict__["model"](input_ids=ids).logits

    def __getattr__(self, name):
        return getattr(self.__dict__["model"], name)

    def parameters(self):
        return self.__dict__["model"].parameters()

    def named_parameters(self, **options):
        return self.__dict__["model"].named_parameters(**options)

    def named_buffers(self):
        return self.__dict__["model"].named_buffers()

    def named_modules(self, **options):
        return self.__dict__["model"].named_modules(**options)

    def state_dict(self):
        return self.__dict__["model"].state_dict()

    def zero_grad(self):
        self.__dict__["model"].zero_grad()


def make_base():
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**CONFIG)).eval()


def prepared(base, config, folder, randomise=randomise):
    """The base with a random adapter, which is saved, and two rows of tokens."""
    model = get_peft_model(base, config)
    torch.manual_seed(1)
    randomise(model)
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    return model, torch.randint(0, CONFIG["vocab_size"], (2, 6))


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    make_base().save_pretrained(OUT / "base")
    (OUT / "base" / "generation_config.json").unlink()
    for name, options in CASES.items():
        config = LoraConfig(task_type="CAUSAL_LM", r=3, lora_alpha=5, **options)
        folder = OUT / name
        model, ids = prepared(make_base(), config, folder)
        unloaded = copy.deepcopy(model).merge_and_unload()
        tensors = {"unloaded": unloaded(input_ids=ids).logits.detach(),
                   "unloaded_tied": torch.tensor(int(unloaded.config.tie_word_embeddings))}
        # A merge of tied weights changes both modules, which merge_and_unload above shows.
        tensors |= run(Logits(model), ids, merge=False)
        save_file(tensors, folder / "run.safetensors")


if __name__ == "__main__":
    main()
