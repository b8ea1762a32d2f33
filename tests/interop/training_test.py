"""Twenty optimiser steps here and in the Hugging Face Trainer: the same losses, the same adapter."""

import functools
import itertools
import json

import support
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from support import expect_close, llama, peft, randomise, run_cases, saved, token_rows, write_rows
from transformers import Trainer, TrainerState, TrainingArguments

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


def in_python(base, adapter, rows, options, valid=None):
    model = PeftModel.from_pretrained(base, adapter, is_trainable=True)
    arguments = TrainingArguments(
        output_dir=str(support.WORK / "trainer"), max_steps=STEPS, logging_steps=1,
        per_device_train_batch_size=BATCH, save_strategy="no", report_to=[], use_cpu=True,
        disable_tqdm=True, remove_unused_columns=False, label_names=["labels"], **options)
    trainer = InOrder(model=model, args=arguments, train_dataset=rows, eval_dataset=valid,
                      data_collator=collate)
    trainer.train()
    model.save_pretrained(support.WORK / "python")
    return trainer.state


TOLERANCES = {"loss": 1e-4, "eval_loss": 1e-4, "train_loss": 1e-4, "grad_norm": 1e-3,
              "learning_rate": 1e-9, "epoch": 1e-9, "step": 0}


def compare_logs(ours, theirs):
    assert len(ours) == len(theirs), f"{len(ours)} entries, expected {len(theirs)}"
    for a, b in zip(ours, theirs):
        assert set(a) == set(b), f"step {b['step']}: keys {sorted(a)}, expected {sorted(b)}"
        for key, tolerance in TOLERANCES.items():
            if key in b:
                worst = abs(a[key] - b[key])
                assert worst <= tolerance * max(abs(b[key]), 1e-12), \
                    f"step {b['step']}: {key} {a[key]}, expected {b[key]}"
    losses = [entry["loss"] for entry in theirs if "loss" in entry]
    assert len(losses) == STEPS and losses[-1] != losses[0]


def compare_states(theirs):
    """trainer_state.json has the Trainer's keys, and the Trainer reads it."""
    path = support.WORK / "here" / "trainer_state.json"
    theirs.save_to_json(support.WORK / "trainer_state.json")
    expected = json.loads((support.WORK / "trainer_state.json").read_text())
    ours = json.loads(path.read_text())
    assert set(ours) == set(expected), set(ours) ^ set(expected)
    for key in ("epoch", "global_step", "max_steps", "num_train_epochs", "logging_steps",
                "eval_steps", "train_batch_size", "best_metric", "best_global_step"):
        assert ours[key] == expected[key], f"{key}: {ours[key]}, expected {expected[key]}"
    assert TrainerState.load_from_json(path).log_history == ours["log_history"]
    compare_logs(ours["log_history"], expected["log_history"])


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


def same_training(adapter=None, base=None, valid=None, **options):
    model = llama(**(base or {}))
    folder = saved(model, "base")
    config = LoraConfig(**{"task_type": "CAUSAL_LM", "r": 4, "lora_dropout": 0.0,
                           "target_modules": ["q_proj", "v_proj", "down_proj"], **(adapter or {})})
    adapted = get_peft_model(model, config)
    randomise(p for n, p in adapted.named_parameters() if "lora_" in n)
    adapted.save_pretrained(support.WORK / "start")
    rows = token_rows(66, seed=5, labels=True)
    data = write_rows(rows, "train.jsonl")
    if valid:
        write_rows(valid, "valid.jsonl")
        data = support.WORK
    options = {"learning_rate": 5e-3, "max_grad_norm": 0.0, "lr_scheduler_type": "constant",
               **options}
    peft("train", model_name_or_path=folder, adapter=support.WORK / "start", dtype="float32",
         dataset_name=data, output_dir=support.WORK / "here",
         max_steps=STEPS, logging_steps=1, shuffle=False, save_strategy="no",
         per_device_train_batch_size=BATCH, **options)
    theirs = in_python(type(model).from_pretrained(folder), support.WORK / "start", rows, options,
                       valid)
    compare_states(theirs)
    compare_adapters()


def pairwise(factors):
    """Few rows in which every two values of two factors meet (greedy covering)."""
    names = list(factors)
    missing = {((a, x), (b, y)) for a, b in itertools.combinations(names, 2)
               for x in range(len(factors[a])) for y in range(len(factors[b]))}
    every = [dict(zip(names, choice))
             for choice in itertools.product(*(range(len(factors[name])) for name in names))]
    while missing:
        def covered(row):
            return {pair for pair in itertools.combinations(row.items(), 2) if pair in missing}
        best = max(every, key=lambda row: len(covered(row)))
        missing -= covered(best)
        yield {name: factors[name][index] for name, index in best.items()}


def crossed():
    """Every schedule with every warm-up, accumulation, clipping and so on, two by two."""
    factors = {
        "lr_scheduler_type": ["constant", "constant_with_warmup", "linear", "cosine"],
        "warmup_steps": [0, 4, 0.2],
        "gradient_accumulation_steps": [1, 3, 4],  # 22 batches an epoch: the last step has fewer
        "max_grad_norm": [0.0, 0.5],
        "weight_decay": [0.0, 0.2],
        "bias": ["none", "all", "lora_only"],
        "modules_to_save": [None, ["lm_head"], ["lm_head", "embed_tokens"]],
        "use_rslora": [False, True]}
    for row in pairwise(factors):
        adapter = {key: row.pop(key) for key in ("bias", "modules_to_save", "use_rslora")}
        yield ("crossed: " + ", ".join(str(value) for value in [*row.values(), *adapter.values()]),
               case(adapter=adapter, base=biased, **row))


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
    "evaluation": case(valid=token_rows(11, seed=6, labels=True), eval_strategy="steps",
                       eval_steps=6, per_device_eval_batch_size=4),
    "evaluation at the end of epochs": case(valid=token_rows(7, seed=7, labels=True),
                                            eval_strategy="epoch", gradient_accumulation_steps=4),
    **dict(crossed()),
})
