"""Adapters that this program wrote load in Python PEFT, and those that Python wrote load here."""

import functools
import json
import subprocess
from pathlib import Path

import support
import torch
from peft import (LoraConfig, get_peft_model, get_peft_model_state_dict,
                  set_peft_model_state_dict)
from peft.tuners.lora.config import BdLoraConfig, KasaConfig, MontecloraConfig, VeloraConfig
from peft.utils import load_peft_weights
from support import (expect_same_scores, llama, peft, qwen2, randomise, run_cases, saved,
                     token_rows, write_rows)


def train_here(folder, **flags):
    """A few large steps, so that the adapter is far from where it started."""
    out = support.WORK / "trained"
    peft("train", model_name_or_path=folder, output_dir=out, dtype="float32",
         dataset_name=write_rows(token_rows(8, labels=True), "train.jsonl"), max_steps=3,
         learning_rate=0.02, save_strategy="no", per_device_train_batch_size=4, lora_dropout=0,
         **flags)
    return out


def load_in_python(base, adapter):
    """The loaded model; a missing or unexpected key of the adapter is an error."""
    model = get_peft_model(base, LoraConfig.from_pretrained(adapter))
    weights = load_peft_weights(adapter)
    different = set(weights) ^ set(get_peft_model_state_dict(model))
    assert not different, f"keys that only one side has: {sorted(different)}"
    result = set_peft_model_state_dict(model, weights)
    assert not result.unexpected_keys, f"unexpected keys: {result.unexpected_keys}"
    return model.eval()


def written_here(make_base, **flags):
    base = make_base()
    folder = saved(base, "base")
    adapter = train_here(folder, **flags)
    plain = [support.python_logprobs(base, row["input_ids"]) for row in token_rows(4)]
    model = load_in_python(base, adapter)
    adapted = [support.python_logprobs(model, row["input_ids"]) for row in token_rows(4)]
    moved = max((a - b).abs().max().item() for a, b in zip(adapted, plain))
    assert moved > 1e-2, f"the adapter changes nothing: {moved}"
    expect_same_scores(model, token_rows(4), "written here", model_name_or_path=folder,
                       adapter=adapter)


def pickled_here(source, target):
    program = Path(support.PEFT).with_name("rewrite_pickled")
    subprocess.run([program, source, target], check=True)


def pickled_dtypes():
    """Python's weights-only loader reads every dtype, and views of one storage, as we write them."""
    for name in ("torch_dtypes.bin", "torch_views.bin"):
        golden = support.ROOT / "tests/formats/golden" / name
        pickled_here(golden, support.WORK / name)
        expected = torch.load(golden, weights_only=True)
        actual = torch.load(support.WORK / name, weights_only=True)
        assert list(actual) == list(expected), f"{name}: names {list(actual)}"
        for key, tensor in expected.items():
            same = actual[key].dtype == tensor.dtype and actual[key].shape == tensor.shape
            left, right = (t.detach().contiguous().reshape(-1).view(torch.uint8) for t in (actual[key], tensor))
            assert same and torch.equal(left, right), f"{name}: {key} differs"


def pickled_adapter():
    """An adapter that only has adapter_model.bin, as this library writes it, loads in Python."""
    base = llama()
    folder = saved(base, "base")
    adapter = train_here(folder)
    safe, pickled = adapter / "adapter_model.safetensors", adapter / "adapter_model.bin"
    expected = load_peft_weights(adapter)
    pickled_here(safe, pickled)
    safe.unlink()
    weights = load_peft_weights(adapter)
    assert set(weights) == set(expected), sorted(set(weights) ^ set(expected))
    assert all(torch.equal(weights[key], expected[key]) for key in expected)
    expect_same_scores(load_in_python(base, adapter), token_rows(4), "pickled here",
                       model_name_or_path=folder, adapter=adapter)


def written_by_python(make_base, safe_serialization=True, **options):
    base = make_base()
    folder = saved(base, "base")
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **options)).eval()
    randomise(p for p in model.parameters() if p.requires_grad)
    model.save_pretrained(support.WORK / "adapter", safe_serialization=safe_serialization)
    expect_same_scores(model, token_rows(4), "written by Python", model_name_or_path=folder,
                       adapter=support.WORK / "adapter")


def named_adapters():
    base = llama()
    folder = saved(base, "base")
    model = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj"]), adapter_name="first")
    model.add_adapter("second", LoraConfig(r=2, lora_alpha=3, target_modules=["v_proj", "up_proj"]))
    randomise(p for n, p in model.named_parameters() if "lora_" in n)
    model.eval().save_pretrained(support.WORK / "adapters")
    for name in ("first", "second"):
        model.set_adapter(name)
        expect_same_scores(model, token_rows(4), name, model_name_or_path=folder,
                           adapter=support.WORK / "adapters" / name)


biased = functools.partial(llama, attention_bias=True, mlp_bias=True)
here = functools.partial(functools.partial, written_here)
python = functools.partial(functools.partial, written_by_python)
run_cases({
    "here: default targets": here(llama),
    "here: all-linear, rank 2": here(llama, lora_target_modules="all-linear", lora_r=2),
    "here: rsLoRA": here(llama, lora_target_modules=["k_proj", "o_proj"], use_rslora=True),
    "here: biases of all layers": here(biased, lora_bias="all"),
    "here: biases of targeted layers": here(biased, lora_bias="lora_only"),
    "here: modules_to_save": here(llama, lora_modules_to_save=["lm_head", "embed_tokens"]),
    "here: embeddings": here(llama, lora_target_modules=["embed_tokens", "q_proj"]),
    "here: tied model": here(qwen2, lora_target_modules="all-linear"),
    "here: tied model, the head": here(qwen2, lora_target_modules=["lm_head", "q_proj"]),
    "here: tied model, the embedding": here(qwen2, lora_target_modules=["embed_tokens"]),
    "here: tied model, a saved head": here(qwen2, lora_modules_to_save=["lm_head"]),
    "here: tied model, a saved embedding": here(qwen2, lora_modules_to_save=["embed_tokens"]),
    "here: tied model, both saved": here(qwen2, lora_modules_to_save=["lm_head", "embed_tokens"]),
    "here: tied adapters": here(qwen2, lora_target_modules=["lm_head", "q_proj"], ensure_weight_tying=True),
    "here: tied copies": here(qwen2, lora_modules_to_save=["embed_tokens"], ensure_weight_tying=True),
    "here: layers again": here(llama, layer_replication="[[0, 2], [0, 2]]"),
    "here: DoRA": here(llama, lora_target_modules="all-linear", use_dora=True),
    "here: DoRA on the embedding": here(llama, lora_target_modules=["embed_tokens", "v_proj"], use_dora=True),
    "here: trained tokens": here(llama, trainable_token_indices=[5, 9, 20]),
    "here: trained tokens of a tied model": here(qwen2, trainable_token_indices=[5, 9, 20]),
    "here: parameters": here(llama, lora_target_parameters=["gate_proj.weight", "up_proj.weight"]),
    "here: block-diagonal": here(llama, lora_target_modules=["q_proj", "down_proj"], use_bdlora=json.dumps(
        {"target_modules_bd_a": ["down_proj"], "target_modules_bd_b": ["q_proj"], "nblocks": 2})),
    "here: VeLoRA": here(llama, velora_config=json.dumps({"num_groups": 5})),
    "here: MonteCLoRA": here(llama, monteclora_config=json.dumps({"num_samples": 2, "buffer_size": 2})),
    "here: KaSA": here(llama, kasa_config="{}", lora_r=4),
    "here: LoRA+": here(llama, loraplus_lr_ratio=4),
    "python: DoRA": python(llama, target_modules="all-linear", use_dora=True),
    "python: DoRA on the embedding": python(llama, target_modules=["embed_tokens", "q_proj"], use_dora=True),
    "python: trained tokens": python(llama, trainable_token_indices=[5, 9, 20]),
    "python: trained tokens by name": python(llama, trainable_token_indices={"embed_tokens": [3, 4]}),
    "python: trained tokens of a tied model": python(qwen2, trainable_token_indices=[5, 9, 20]),
    "python: tied model, other tokens for the head": python(qwen2, trainable_token_indices={
        "embed_tokens": [3, 4], "lm_head": [7]}),
    "python: parameters": python(llama, target_modules=[], target_parameters=["q_proj.weight", "mlp.up_proj.weight"]),
    "python: block-diagonal": python(llama, target_modules=["q_proj", "down_proj"], use_bdlora=BdLoraConfig(
        target_modules_bd_a=["down_proj"], target_modules_bd_b=["q_proj"], nblocks=2)),
    "python: VeLoRA": python(llama, velora_config=VeloraConfig(num_groups=5)),
    "python: MonteCLoRA": python(llama, monteclora_config=MontecloraConfig(num_samples=2, buffer_size=2)),
    "python: KaSA": python(llama, kasa_config=KasaConfig()),
    "python: aLoRA": python(llama, alora_invocation_tokens=[40]),
    "here: pickled": pickled_adapter,
    "here: pickled, every dtype": pickled_dtypes,
    "python: default targets": python(llama),
    "python: pickled": python(llama, safe_serialization=False, target_modules="all-linear"),
    "python: pickled, tied model": python(qwen2, safe_serialization=False,
                                          target_modules=["lm_head", "embed_tokens"]),
    "python: all-linear": python(llama, target_modules="all-linear"),
    "python: a pattern": python(llama, target_modules=r".*layers\.1\.(self_attn\.q|mlp\.up)_proj"),
    "python: rank and alpha patterns": python(
        llama, target_modules=["q_proj", "v_proj"], r=4, rank_pattern={"layers.1.self_attn.q_proj": 2},
        alpha_pattern={"v_proj": 5}),
    "python: rsLoRA": python(llama, target_modules=["q_proj", "down_proj"], use_rslora=True),
    "python: embeddings": python(llama, target_modules=["embed_tokens", "v_proj"]),
    "python: modules_to_save": python(llama, target_modules=["q_proj"],
                                      modules_to_save=["lm_head", "embed_tokens"]),
    "python: biases of all layers": python(biased, target_modules=["q_proj"], bias="all"),
    "python: biases of targeted layers": python(biased, target_modules=["q_proj", "up_proj"],
                                                bias="lora_only"),
    "python: lora_bias": python(biased, target_modules=["q_proj"], lora_bias=True),
    "python: tied model, the head": python(qwen2, target_modules=["lm_head"]),
    "python: tied model, head and embedding": python(qwen2,
                                                     target_modules=["lm_head", "embed_tokens"]),
    "python: tied model, a saved head": python(qwen2, target_modules=["q_proj"],
                                               modules_to_save=["lm_head"]),
    "python: tied model, a saved embedding": python(qwen2, target_modules=["q_proj"],
                                                    modules_to_save=["embed_tokens"]),
    "python: tied model, both saved": python(qwen2, target_modules=["q_proj"],
                                             modules_to_save=["lm_head", "embed_tokens"]),
    "python: tied adapters": python(qwen2, target_modules=["embed_tokens", "v_proj"], ensure_weight_tying=True),
    "python: tied copies": python(qwen2, target_modules=["q_proj"], modules_to_save=["lm_head"],
                                  ensure_weight_tying=True),
    "python: layers again": python(llama, layer_replication=[[0, 2], [1, 2]]),
    "python: named adapters": named_adapters,
})
