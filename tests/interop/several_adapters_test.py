"""Several adapters on one model: status, rows that name their adapter, and combinations, against Python PEFT."""

import dataclasses
import json

import support
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from support import expect_close, llama, peft, python_logprobs, randomise, run_cases, saved, token_rows, write_rows
from transformers import AutoModelForCausalLM

OPTIONS = {
    "first": dict(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj", "embed_tokens"]),
    "second": dict(r=3, target_modules=["q_proj", "down_proj"]),
    "third": dict(r=2, target_modules=["k_proj"], modules_to_save=["lm_head"]),
}


def prepared(*names):
    """The base's folder, `--adapter` words, and the model in Python with all adapters."""
    folder = saved(llama(), "base")
    for name in names:
        model = get_peft_model(llama(), LoraConfig(task_type="CAUSAL_LM", **OPTIONS[name]))
        torch.manual_seed(len(name))
        randomise(p for p in model.parameters() if p.requires_grad)
        model.save_pretrained(support.WORK / name)
    base = AutoModelForCausalLM.from_pretrained(folder)
    model = PeftModel.from_pretrained(base, support.WORK / names[0], adapter_name=names[0])
    for name in names[1:]:
        model.load_adapter(support.WORK / name, name)
    return folder, [f"{name}={support.WORK / name}" for name in names], model.eval()


def status():
    folder, adapters, model = prepared("first", "second")
    ours = json.loads(peft("info", "--json", model_name_or_path=folder, adapter=adapters))
    assert ours == {
        "layer_status": [dataclasses.asdict(layer) for layer in model.get_layer_status()],
        "model_status": dataclasses.asdict(model.get_model_status()),
    }, ours
    table = peft("info", model_name_or_path=folder, adapter=adapters)
    assert "model.model.layers.0.self_attn.q_proj" in table and "LoraModel" in table, table


def mixed_rows():
    folder, adapters, model = prepared("first", "second", "third")
    names = ["second", None, "__base__", "third", "first", "second", "third", "__base__", "first"]
    rows = [row | ({"adapter_name": name} if name else {}) for row, name in zip(token_rows(len(names)), names)]
    for batch_size in (1, 4):
        answers = support.scores(input=write_rows(rows, "rows.jsonl"), model_name_or_path=folder, adapter=adapters,
                                 dtype="float32", batch_size=batch_size)
        for row, answer in zip(rows, answers):
            name = row.get("adapter_name", "first")
            if name == "__base__":
                with model.disable_adapter():
                    expected = python_logprobs(model, row["input_ids"])
            else:
                model.set_adapter(name)
                expected = python_logprobs(model, row["input_ids"])
            expect_close(answer["logprobs"], expected, 2e-5, f"{name}, batches of {batch_size}")


def combined(kind, **options):
    folder, adapters, model = prepared("first", "second")
    out = support.WORK / "combined"
    peft("combine", model_name_or_path=folder, adapter=adapters, weights=[0.8, -0.3], combination_type=kind,
         output_dir=out, **options)
    model.add_weighted_adapter(["first", "second"], [0.8, -0.3], "both", combination_type=kind, **options)
    model.set_adapter("both")
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), out).eval()
    for row in token_rows(3):
        expect_close(python_logprobs(loaded, row["input_ids"]), python_logprobs(model, row["input_ids"]), 1e-4, kind)


run_cases({
    "status": status,
    "rows that name their adapter": mixed_rows,
    "combine: linear": lambda: combined("linear"),
    "combine: svd": lambda: combined("svd", svd_rank=6),
    "combine: cat": lambda: combined("cat"),
    "combine: ties": lambda: combined("ties", density=0.5, majority_sign_method="frequency"),
    "combine: magnitude_prune_svd": lambda: combined("magnitude_prune_svd", density=0.5),
})
