"""Writes tests/front/golden_misuse.json: mistakes in a LoraConfig that Python PEFT refuses, or warns of.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0. Run: python tests/front/golden_misuse.py
Each case has a config as adapter_config.json has it, the words that our message is to have, and Python's own error or
warnings. The script fails where Python accepts a config in silence.
"""
import json
import pathlib
import warnings

import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers.pytorch_utils import Conv1D

OUT = pathlib.Path(__file__).parent / "golden_misuse.json"


class Kinds(nn.Module):
    """A layer of every kind that some option does not fit."""

    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(7, 6)
        self.lin = nn.Linear(6, 5)
        self.bare = nn.Linear(6, 5, bias=False)
        self.wide = nn.Linear(6, 5).to(torch.float64)
        self.conv = nn.Conv1d(4, 4, 3)
        self.grouped = nn.Conv1d(4, 4, 1, groups=2)
        self.turned = Conv1D(5, 6)
        self.attn = nn.MultiheadAttention(6, 2)
        self.mixed = nn.MultiheadAttention(6, 2, kdim=4, vdim=4)


def on(target, r=2, **options):
    return dict(r=r, target_modules=[target], **options)


ERRORS = [
    # Settings.
    (dict(target_modules="li.", layers_pattern="h"), ["layers_pattern"]),
    (dict(target_modules="li.", layers_to_transform=[0]), ["layers_to_transform"]),
    (dict(target_parameters="lin.weight"), ["target_parameters"]),
    (dict(), ["Please specify `target_modules`"]),
    (on("lin", lora_bias=True, init_lora_weights="gaussian"), ["lora_bias", "gaussian"]),
    (on("lin", velora_config=3), ["velora_config", "an object or null"]),
    (on("lin", arrow_config="x"), ["arrow_config", "an object or null"]),
    (on("lin", kasa_config=[1]), ["kasa_config", "an object or null"]),
    (on("lin", kasa_config=dict(beta=-0.1)), ["kasa_config.beta", "got -0.1"]),
    (on("lin", kasa_config=dict(gamma=-1)), ["kasa_config.gamma", "got -1"]),
    (on("lin", monteclora_config=dict(num_samples=0)), ["monteclora_config.num_samples", "got 0"]),
    (on("lin", monteclora_config=dict(dirichlet_prior=0.0)), ["monteclora_config.dirichlet_prior", "got 0.0"]),
    (on("lin", monteclora_config=dict(buffer_size=-3)), ["monteclora_config.buffer_size", "got -3"]),
    (on("lin", arrow_config=dict(top_k=0)), ["arrow_config.top_k", "got 0"]),
    (on("lin", arrow_config=dict(router_temperature=0.0)), ["arrow_config.router_temperature", "got 0.0"]),
    (on("lin", rank_pattern=dict(lin=0)), ["rank_pattern['lin']", "got 0"]),
    # Layers that an option does not fit.
    (on("emb", lora_bias=True), ["'emb'", "lora_bias"]),
    (on("mixed"), ["'mixed'", "query, key and value"]),
    (on("conv", alora_invocation_tokens=[1]), ["'conv'", "alora_invocation_tokens"]),
    (on("conv", velora_config={}), ["'conv'", "velora_config"]),
    (on("conv", kasa_config={}), ["'conv'", "kasa_config"]),
    (on("conv", arrow_config={}), ["'conv'", "arrow_config"]),
    (on("conv", use_bdlora={}), ["'conv'", "use_bdlora"]),
    (on("attn", velora_config={}), ["'attn'", "velora_config"]),
    (on("attn", kasa_config={}), ["'attn'", "kasa_config"]),
    (on("emb", monteclora_config={}), ["'emb'", "monteclora_config"]),
    (on("turned", kasa_config={}), ["'turned'", "kasa_config"]),
    (on("lin", r=5, kasa_config={}), ["'lin'", "below 5", "got 5"]),
    (on("lin", init_lora_weights="mica", use_dora=True), ["'mica'", "'use_dora'"]),
    (on("lin", r=4, use_bdlora=dict(nblocks=2, target_modules_bd_b=["lin"])), ["'lin'", "out_features = 5", "got 2"]),
    (on("lin", r=3, use_bdlora=dict(nblocks=2, target_modules_bd_a=["lin"], target_modules_bd_b=["x"])),
     ["'lin'", "the rank = 3"]),
    (on("lin", r=4, use_bdlora=dict(nblocks=2, target_modules_bd_a=["lin"], target_modules_bd_b=["li"])),
     ["'lin'", "both do"]),
    *[(on("wide", init_lora_weights=word), ["'wide'", word, "float32, float16 or bfloat16"])
      for word in ("pissa", "olora", "mica")],
    # Parameters that are targeted by themselves.
    *[(dict(r=2, target_modules=[], target_parameters=["lin.weight"], **{field: value}), ["lin.weight", field])
      for field, value in dict(fan_in_fan_out=True, lora_bias=True, velora_config={}, kasa_config={},
                               monteclora_config={}, use_bdlora={}, arrow_config={}, alora_invocation_tokens=[1],
                               init_lora_weights="mica").items()],
]
WARNINGS = [
    (on("grouped"), ["groups > 1"]),
    (on("bare", lora_bias=True), ["has no bias"]),
    (on("lin", init_lora_weights="eva"), ["Using default EVA config"]),
    (on("lin", init_lora_weights="corda"), ["Using default CorDA config"]),
    (on("lin", use_rslora=True, rank_pattern=dict(lin=3), init_lora_weights="pissa"),
     ["path_initial_model_for_weight_conversion"]),
    (on("lin", use_rslora=True, alpha_pattern=dict(lin=3), init_lora_weights="olora"),
     ["path_initial_model_for_weight_conversion"]),
    (on("lin", rank_pattern=dict(nothing=3)), ["rank_pattern keys did not match"]),
    (on("lin", alora_invocation_tokens=[1]), ["only supported for CAUSAL_LM"]),
]


def answer(options):
    """Python's error, or its warnings, but for what the standard library says."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        error = None
        try:
            get_peft_model(Kinds(), LoraConfig(**json.loads(json.dumps(options))))
        except Exception as exception:  # whatever class it is of is written down
            error = f"{type(exception).__name__}: {exception}"
    said = [str(each.message) for each in told if issubclass(each.category, (UserWarning, RuntimeWarning))]
    return error, said


def main():
    cases = {"errors": [], "warnings": []}
    for options, words in ERRORS:
        error, _ = answer(options)
        assert error, f"Python accepts {options}"
        cases["errors"].append({"config": options, "words": words, "python": error})
    for options, words in WARNINGS:
        _, said = answer(options)
        assert said, f"Python does not warn of {options}"
        cases["warnings"].append({"config": options, "words": words, "python": said})
    OUT.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
