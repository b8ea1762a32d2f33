"""Writes tests/front/golden_kappa: what Python's KappaTuneSelector chooses of two small models.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, safetensors; seed 0. Run: python tests/front/golden_kappa.py
net.safetensors and llama.safetensors are the models; choices.json has their condition numbers, by name in the
order of the model, and the names that each choice takes.
"""
import json
import pathlib
import shutil

import torch
from peft import find_kappa_target_modules
from peft.helpers import KappaTuneSelector
from safetensors.torch import save_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.pytorch_utils import Conv1D

OUT = pathlib.Path(__file__).parent / "golden_kappa"
LLAMA = dict(vocab_size=24, hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=32, rms_norm_eps=1e-5, tie_word_embeddings=True)
CHOICES = [{}, {"top_p": 0.2}, {"top_p": 0.5}, {"top_p": 0.0}, {"top_p": 1.5}, {"num_modules": 2},
           {"num_modules": 0}, {"num_modules": 99}, {"threshold": 12.0}, {"threshold": 0.5},
           {"num_modules": 1, "top_p": 0.5, "threshold": 1.0}, {"top_p": 0.5, "threshold": 1.0}]


class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.randn(3, 4, 6))
        self.down_proj = nn.Parameter(torch.randn(3, 6, 4))
        self.up_proj = nn.Parameter(torch.randn(6, 4))
        self.mixing = nn.Parameter(torch.randn(3, 4, 4))


class Net(nn.Module):
    """Layers of which some are left out: no nn.Linear, too wide, or without a known name."""

    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(11, 8)
        self.lin1 = nn.Linear(8, 6)
        self.lin2 = nn.Linear(6, 6)
        self.attn = nn.MultiheadAttention(8, 2)
        self.c_fc = Conv1D(5, 6)
        self.wide = nn.Linear(8, 40)
        self.experts = Experts()
        self.head = nn.Linear(6, 3, bias=False)


def facts(model, **options):
    selector = KappaTuneSelector(model, show_progress=False, **options)
    chosen = [{"choice": choice, "modules": selector.get_best_targets(**choice),
               "parameters": selector.get_best_target_parameters(**choice)} for choice in CHOICES]
    return {"options": options, "modules": selector._condition_numbers,
            "parameters": selector._parameter_condition_numbers, "chosen": chosen,
            "found": find_kappa_target_modules(model, top_p=0.3, show_progress=False, **options)}


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    torch.manual_seed(0)
    net = Net()
    for p in net.parameters():
        p.data = torch.randn(p.shape)
    net.lin2.weight.data[0] = net.lin2.weight.data[1]  # of no full rank
    llama = LlamaForCausalLM(LlamaConfig(**LLAMA))
    for p in llama.parameters():
        p.data = torch.randn(p.shape)
    save_file(net.state_dict(), OUT / "net.safetensors")
    save_file({k: v for k, v in llama.state_dict().items() if k != "lm_head.weight"}, OUT / "llama.safetensors")
    models = {"net": facts(net, max_dim_size_to_analyze=32),
              "net, other stacks": facts(net, moe_param_suffixes=(".mixing", ".up_proj")),
              "llama": facts(llama)}
    choices = {"llama_config": LLAMA | {"model_type": "llama"}, "models": models}
    (OUT / "choices.json").write_text(json.dumps(choices, indent=1) + "\n")


if __name__ == "__main__":
    main()
