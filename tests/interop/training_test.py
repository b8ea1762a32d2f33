"""Twenty optimiser steps here and in the Hugging Face Trainer: the same losses, the same adapter."""

import functools
import json

import support
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from support import expect_close, llama, peft, randomise, run_cases, saved, token_rows, write_rows
from transformers import Trainer, TrainingArguments

STEPS = 20
BATCH = 3


class InOrder(Trainer):
    def _get_train_sampler(self, train_dataset=None):
        return torch.utils.data.SequentialSampler(self.train_dataset)


def collate(rows):
    width = max(len(row["input_ids"]) for row in rows)

    def padded(key, fill):
        return torch.tensor([row[key] + [fill] * (width - len(row[key])) for row in rows])
    return {"input_ids": padded("input_ids", 0), "labels": padded("labels", -100),
            "attention_mask": torch.tensor(
                [[1] * len(r["input_ids"]) + [0] * (width - len(r["input_ids"])) for r in rows])}


def in_python(base, adapter, rows, options):
    model = PeftModel.from_pretrained(base, adapter, is_trainable=True)
    arguments = TrainingArguments(
        output_dir=str(support.WORK / "trainer"), max_steps=STEPS, logging_steps=1,
        per_device_train_batch_size=BATCH, save_strategy="no", report_to=[], use_cpu=True,
        disable_tqdm=True, remove_unused_columns=False, label_names=["labels"], **options)
    trainer = InOrder(model=model, args=arguments, train_dataset=rows, data_collator=collate)
    trainer.train()
    model.save_pretrained(support.WORK / "python")
    return trainer.state.log_history


def compare_logs(ours, theirs):
    ours = [entry for entry in ours if "loss" in entry]
    theirs = [entry for entry in theirs if "loss" in entry]
    assert len(ours) == len(theirs) == STEPS, f"{len(ours)} and {len(theirs)} logged steps"
    for a, b in zip(ours, theirs):
        for key, tolerance in (("loss", 1e-4), ("grad_norm", 1e-3), ("learning_rate", 1e-9)):
            worst = abs(a[key] - b[key])
            assert worst <= tolerance * max(abs(b[key]), 1e-12), \
                f"step {b['step']}: {key} {a[key]}, expected {b[key]}"
    assert theirs[-1]["loss"] != theirs[0]["loss"]


def compare_adapters():
    ours = load_file(support.WORK / "here" / "adapter_model.safetensors")
    theirs = load_file(support.WORK / "python" / "adapter_model.safetensors")
    start = load_file(support.WORK / "start" / "adapter_model.safetensors")
    assert sorted(ours) == sorted(theirs), set(ours) ^ set(theirs)
    for name, expected in theirs.items():
        # Relative to how far the tensor moved: its start is the same on both sides.
        moved = (expected - start[name]).abs().max().item()
        assert moved > 0, f"{name} did not move"
        worst = (ours[name] - expected).abs().max().item()
        scale = max(expected.abs().max().item(), moved)
        assert worst <= 1e-3 * scale, f"{name}: off by {worst:.3e} of {scale:.3e}"


def same_training(adapter=None, base=None, **options):
    model = llama(**(base or {}))
    folder = saved(model, "base")
    config = LoraConfig(**{"task_type": "CAUSAL_LM", "r": 4, "lora_dropout": 0.0,
                           "target_modules": ["q_proj", "v_proj", "down_proj"], **(adapter or {})})
    adapted = get_peft_model(model, config)
    randomise(p for n, p in adapted.named_parameters() if "lora_" in n)
    adapted.save_pretrained(support.WORK / "start")
    rows = token_rows(66, seed=5, labels=True)
    options = {"learning_rate": 5e-3, "max_grad_norm": 0.0, "lr_scheduler_type": "constant",
               **options}
    peft("train", model_name_or_path=folder, adapter=support.WORK / "start", dtype="float32",
         dataset_name=write_rows(rows, "train.jsonl"), output_dir=support.WORK / "here",
         max_steps=STEPS, logging_steps=1, shuffle=False, save_strategy="no",
         per_device_train_batch_size=BATCH, **options)
    ours = json.loads((support.WORK / "here" / "trainer_state.json").read_text())["log_history"]
    theirs = in_python(type(model).from_pretrained(folder), support.WORK / "start", rows, options)
    compare_logs(ours, theirs)
    compare_adapters()


case = functools.partial(functools.partial, same_training)
biased = {"attention_bias": True, "mlp_bias": True}
run_cases({
    "constant": case(),
    "linear, warm-up": case(lr_scheduler_type="linear", warmup_steps=4),
    "cosine, warm-up as a share": case(lr_scheduler_type="cosine", warmup_steps=0.2),
    "constant with warm-up": case(lr_scheduler_type="constant_with_warmup", warmup_steps=5),
    "accumulation with unequal token counts": case(gradient_accumulation_steps=3),
    "accumulation past the end of an epoch": case(gradient_accumulation_steps=4,
                                                  lr_scheduler_type="linear"),
    "clipping": case(max_grad_norm=0.5),
    "weight decay": case(weight_decay=0.2),
    "betas": case(adam_beta1=0.8, adam_beta2=0.95, adam_epsilon=1e-6),
    "biases": case(adapter={"bias": "all"}, base=biased, weight_decay=0.2),
    "biases of targeted layers": case(adapter={"bias": "lora_only"}, base=biased),
    "modules_to_save": case(adapter={"modules_to_save": ["lm_head", "embed_tokens"]},
                            weight_decay=0.1),
    "rsLoRA": case(adapter={"use_rslora": True}),
    "all at once": case(adapter={"use_rslora": True, "bias": "all", "modules_to_save": ["lm_head"]},
                        base=biased, lr_scheduler_type="cosine", warmup_steps=3,
                        gradient_accumulation_steps=2, max_grad_norm=1.0, weight_decay=0.1),
})
