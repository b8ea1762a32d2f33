"""Checkpoints that `peft merge` wrote load in transformers and answer as the adapted model does."""

import functools

import support
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from support import expect_close, llama, peft, qwen2, randomise, run_cases, saved, token_rows
from transformers import AutoModelForCausalLM


def merged(make_base, both_change=False, **options):
    """`both_change`: a tied weight takes the change of one module, so the other's output differs from
    the adapted model's, here as in Python."""
    base = make_base()
    folder = saved(base, "base")
    adapted = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **options)).eval()
    randomise(p for p in adapted.parameters() if p.requires_grad)
    adapted.save_pretrained(support.WORK / "adapter")
    peft("merge", model_name_or_path=folder, adapter=support.WORK / "adapter",
         output_dir=support.WORK / "merged", dtype="float32")
    loaded, report = AutoModelForCausalLM.from_pretrained(
        support.WORK / "merged", dtype=torch.float32, output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not report[kind], f"{kind}: {report[kind]}"
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    expected_model = PeftModel.from_pretrained(plain, support.WORK / "adapter").merge_and_unload()
    for row in token_rows(4):
        ids = torch.tensor([row["input_ids"]])
        with torch.no_grad():
            logits = loaded.eval()(input_ids=ids).logits
            expect_close(logits, expected_model(input_ids=ids).logits, 1e-5, "merged in Python")
            if not both_change:
                expect_close(logits, adapted(input_ids=ids).logits, 1e-5, "adapted")


case = functools.partial(functools.partial, merged)
run_cases({
    "default targets": case(llama),
    "all-linear, rsLoRA": case(llama, target_modules="all-linear", use_rslora=True),
    "embeddings": case(llama, target_modules=["embed_tokens", "q_proj"]),
    "modules_to_save": case(llama, target_modules=["q_proj"], modules_to_save=["lm_head"]),
    "biases": case(functools.partial(llama, attention_bias=True), target_modules=["q_proj"],
                   bias="all"),
    "tied model": case(qwen2, target_modules="all-linear"),
    "tied model, the head": case(qwen2, both_change=True, target_modules=["lm_head", "q_proj"]),
    "tied model, a saved head": case(qwen2, target_modules=["q_proj"], modules_to_save=["lm_head"]),
    "tied model, a saved embedding": case(qwen2, target_modules=["q_proj"],
                                          modules_to_save=["embed_tokens"]),
    "tied model, both saved": case(qwen2, target_modules=["q_proj"],
                                   modules_to_save=["lm_head", "embed_tokens"]),
})
