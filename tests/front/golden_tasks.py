"""Writes tests/front/golden_tasks: adapters of models with heads, and what Python PEFT computes with them.

Made with torch 2.11.0, peft 0.21.2, transformers 5.17.0, safetensors; seed 11. Run: python tests/front/golden_tasks.py
`bases/<name>` are tiny models with the heads in their files. Each case is a folder: the adapter as save_pretrained
leaves it before training, and run.safetensors with
  input_ids, attention_mask, token_type_ids, task_ids, labels (or start, end)
  logits, loss, grad.<name> (of the loss), after.<name> (after three steps of AdamW), after_logits
`cases.json` names the base and the task of each.
"""
import json
import pathlib
import shutil

import torch
import transformers
from peft import (LoraConfig, MultitaskPromptTuningConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model)
from safetensors.torch import save_file
from transformers import (AutoModel, AutoModelForQuestionAnswering, AutoModelForSequenceClassification,
                          AutoModelForTokenClassification, BertConfig, DistilBertConfig, LlamaConfig, RobertaConfig)

torch.cuda.is_current_stream_capturing = lambda: False
transformers.utils.logging.disable_progress_bar()

OUT = pathlib.Path(__file__).parent / "golden_tasks"
SEED = 11
EPSILON = 1e-3  # a gradient that is zero but for rounding moves nothing
SMALL = dict(vocab_size=60, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
             max_position_embeddings=40, initializer_range=0.3, pad_token_id=0, hidden_dropout_prob=0.0,
             attention_probs_dropout_prob=0.0)
CONFIGS = {
    "bert": BertConfig(**SMALL, num_labels=3),
    "roberta": RobertaConfig(**{**SMALL, "pad_token_id": 1}, num_labels=3),
    "distilbert": DistilBertConfig(vocab_size=60, dim=16, hidden_dim=24, n_layers=2, n_heads=2, initializer_range=0.3,
                                   max_position_embeddings=40, dropout=0.0, attention_dropout=0.0,
                                   seq_classif_dropout=0.0, qa_dropout=0.0, num_labels=3),
    "llama": LlamaConfig(vocab_size=60, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                         num_attention_heads=2, max_position_embeddings=40, initializer_range=0.3, pad_token_id=0,
                         num_labels=3, classifier_dropout=0.0),
}
HEADS = {"SEQ_CLS": AutoModelForSequenceClassification, "TOKEN_CLS": AutoModelForTokenClassification,
         "QUESTION_ANS": AutoModelForQuestionAnswering, "FEATURE_EXTRACTION": AutoModel}
LORA = dict(r=4, lora_alpha=8, lora_dropout=0.0)
DISTIL = dict(**LORA, target_modules=["q_lin", "v_lin"])
PROMPT = dict(num_virtual_tokens=3)

# name: (base, task, class of the config, its arguments)
CASES = {
    "bert_lora_seq_cls": ("bert", "SEQ_CLS", LoraConfig, LORA),
    "bert_lora_token_cls": ("bert", "TOKEN_CLS", LoraConfig, LORA),
    "bert_lora_question_ans": ("bert", "QUESTION_ANS", LoraConfig, LORA),
    "bert_lora_features": ("bert", "FEATURE_EXTRACTION", LoraConfig, LORA),
    "bert_lora_regression": ("bert", "SEQ_CLS", LoraConfig, LORA),
    "bert_lora_many_labels": ("bert", "SEQ_CLS", LoraConfig, LORA),
    "bert_prompt_seq_cls": ("bert", "SEQ_CLS", PromptTuningConfig, PROMPT),
    "bert_prompt_question_ans": ("bert", "QUESTION_ANS", PromptTuningConfig, PROMPT),
    "bert_prompt_features": ("bert", "FEATURE_EXTRACTION", PromptTuningConfig, PROMPT),
    "bert_prefix_seq_cls": ("bert", "SEQ_CLS", PrefixTuningConfig, PROMPT),
    "bert_prefix_token_cls": ("bert", "TOKEN_CLS", PrefixTuningConfig, PROMPT),
    "bert_prefix_question_ans": ("bert", "QUESTION_ANS", PrefixTuningConfig, PROMPT),
    "bert_prefix_features": ("bert", "FEATURE_EXTRACTION", PrefixTuningConfig, PROMPT),
    "bert_multitask_seq_cls": ("bert", "SEQ_CLS", MultitaskPromptTuningConfig, dict(**PROMPT, num_tasks=2)),
    "roberta_lora_seq_cls": ("roberta", "SEQ_CLS", LoraConfig, LORA),
    "roberta_prompt_seq_cls": ("roberta", "SEQ_CLS", PromptTuningConfig, PROMPT),
    "roberta_prefix_seq_cls": ("roberta", "SEQ_CLS", PrefixTuningConfig, PROMPT),
    "roberta_lora_token_cls": ("roberta", "TOKEN_CLS", LoraConfig, LORA),
    "distilbert_lora_seq_cls": ("distilbert", "SEQ_CLS", LoraConfig, DISTIL),
    "distilbert_prompt_seq_cls": ("distilbert", "SEQ_CLS", PromptTuningConfig,
                               dict(**PROMPT, token_dim=16, num_layers=2, num_attention_heads=2)),
    "distilbert_lora_question_ans": ("distilbert", "QUESTION_ANS", LoraConfig, DISTIL),
    "llama_lora_seq_cls": ("llama", "SEQ_CLS", LoraConfig, LORA),
    "llama_prompt_seq_cls": ("llama", "SEQ_CLS", PromptTuningConfig, PROMPT),
    "llama_prefix_seq_cls": ("llama", "SEQ_CLS", PrefixTuningConfig, PROMPT),
    "llama_lora_token_cls": ("llama", "TOKEN_CLS", LoraConfig, LORA),
}


def base_folder(name, base, task):
    problem = {"bert_lora_regression": "regression", "bert_lora_many_labels": "multi_label_classification"}.get(name)
    folder = OUT / "bases" / f"{base}_{task.lower()}{'_' + problem if problem else ''}"
    if not folder.exists():
        config = CONFIGS[base].__class__.from_dict(CONFIGS[base].to_dict())
        if problem == "regression":
            config.num_labels = 1
        if task == "QUESTION_ANS":
            config.num_labels = 2
        if problem:
            config.problem_type = problem
        torch.manual_seed(SEED)
        HEADS[task].from_config(config).save_pretrained(folder)
    return folder


def inputs_of(base):
    low = 3
    batch = dict(input_ids=torch.randint(low, 60, (2, 7)),
                 attention_mask=torch.tensor([[1] * 7, [1] * 5 + [0] * 2]))
    if base == "bert":
        batch["token_type_ids"] = torch.tensor([[0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 0, 0]])
    return batch


def labels_of(name, task):
    if name == "bert_lora_regression":
        return dict(labels=torch.tensor([0.7, -1.2]))
    if name == "bert_lora_many_labels":
        return dict(labels=torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]))
    return {"SEQ_CLS": dict(labels=torch.tensor([2, 0])),
            "TOKEN_CLS": dict(labels=torch.tensor([[0, 1, -100, 2, 1, 0, 2], [1, -100, 0, 2, 2, -100, -100]])),
            "QUESTION_ANS": dict(start_positions=torch.tensor([2, 9]), end_positions=torch.tensor([4, 40])),
            "FEATURE_EXTRACTION": {}}[task]


def scores(out, task):
    if task == "QUESTION_ANS":
        return torch.stack([out.start_logits, out.end_logits], -1)
    return out.last_hidden_state if task == "FEATURE_EXTRACTION" else out.logits


def loss_of(out, task):
    return out.last_hidden_state.square().mean() if task == "FEATURE_EXTRACTION" else out.loss


def run(name):
    base, task, kind, arguments = CASES[name]
    torch.manual_seed(SEED)
    model = HEADS[task].from_pretrained(base_folder(name, base, task))
    config = kind(task_type=task, **arguments)
    model = get_peft_model(model, config)
    for key, parameter in model.named_parameters():
        if parameter.requires_grad and ("lora_B" in key or "prompt_encoder" in key):
            torch.nn.init.normal_(parameter, std=0.3)
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    settings = json.loads((folder / "adapter_config.json").read_text())
    settings["base_model_name_or_path"] = None
    (folder / "adapter_config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    batch = inputs_of(base)
    call = dict(batch)
    if kind is MultitaskPromptTuningConfig:
        call["task_ids"] = torch.tensor([1, 0])
    labels = labels_of(name, task)
    model.train()
    out = model(**call, **labels)
    found = {**call, **labels, "logits": scores(out, task), "loss": loss_of(out, task)}
    loss_of(out, task).backward()
    learning = {key: parameter for key, parameter in model.named_parameters() if parameter.requires_grad}
    for key, parameter in learning.items():
        found["grad." + key] = parameter.grad.clone()
    optimizer = torch.optim.AdamW(learning.values(), lr=0.01, weight_decay=0.0, eps=EPSILON)
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(model(**call, **labels), task).backward()
        optimizer.step()
    for key, parameter in learning.items():
        found["after." + key] = parameter
    found["after_logits"] = scores(model(**call, **labels), task)
    save_file({key: value.detach().contiguous().clone() for key, value in found.items()}, folder / "run.safetensors")
    return dict(base=base_folder(name, base, task).name, task=task)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    cases = {}
    for name in CASES:
        try:
            cases[name] = run(name)
        except Exception as error:  # what Python refuses is no case
            print(name, "refused:", error)
            raise
    (OUT / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")


main()
