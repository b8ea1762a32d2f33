"""Makes prefix/*.safetensors: encoders with a prefix of keys and values in front of their tokens, run by Python PEFT.

Each file holds the weights ("weight/<checkpoint key>"), the prefix as PEFT keeps it (prompt [N, 2 * layers * hidden]),
the inputs, the logits and the gradient of the prompt; its metadata holds config.json, the task and the versions.

Run: python tests/models/prefix.py        (torch 2.11.0, transformers 5.17.0, peft 0.21.2, safetensors)
"""

import json
import pathlib

import peft
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoModelForTokenClassification

FOLDER = pathlib.Path(__file__).parent / "prefix"
SEED = 20260301

SMALL = dict(vocab_size=67, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
             max_position_embeddings=24, num_labels=3)

# name: (model type, task, class)
CASES = {
    "bert_sequences": ("bert", "sequence_classification", AutoModelForSequenceClassification),
    "bert_tokens": ("bert", "token_classification", AutoModelForTokenClassification),
    "roberta_sequences": ("roberta", "sequence_classification", AutoModelForSequenceClassification),
}
TASK_TYPES = {"sequence_classification": "SEQ_CLS", "token_classification": "TOKEN_CLS"}


def build(model_type, factory):
    model = factory.from_config(AutoConfig.for_model(model_type, **SMALL), attn_implementation="sdpa")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(1.0 if "LayerNorm.weight" in name else 0.0, 0.25)
    return model


def run(model, task):
    weights = {f"weight/{key}": value.clone() for key, value in model.state_dict().items()}
    ids = torch.randint(3, SMALL["vocab_size"], (2, 7))
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    out = dict(weights, ids=ids, mask=mask)
    # What needs no prefix: positions and types that the caller gives.
    out["positions"] = torch.stack([torch.arange(7) + 5, torch.arange(7) * 2])
    out["types"] = (torch.arange(14).reshape(2, 7) > 8).long()
    out["positions_logits"] = model.eval()(input_ids=ids, position_ids=out["positions"],
                                           token_type_ids=out["types"]).logits
    config = peft.PrefixTuningConfig(task_type=TASK_TYPES[task], num_virtual_tokens=3)
    wrapped = peft.get_peft_model(model, config).eval()
    prompt = wrapped.prompt_encoder["default"].embedding.weight
    with torch.no_grad():
        prompt.normal_(0.0, 0.5)
    out["prompt"] = prompt
    embeds = model.get_input_embeddings()(ids).detach()
    out["logits"] = wrapped(input_ids=ids).logits
    out["embeds_logits"] = wrapped(inputs_embeds=embeds, attention_mask=mask).logits
    logits = wrapped(input_ids=ids, attention_mask=mask).logits
    out["mask_logits"] = logits
    out["probe"] = torch.randn_like(logits)
    (logits * out["probe"]).sum().backward()
    out["gradient"] = prompt.grad
    return {key: value.detach().clone().contiguous() for key, value in out.items()}


def main():
    FOLDER.mkdir(exist_ok=True)
    for number, (name, (model_type, task, factory)) in enumerate(CASES.items()):
        torch.manual_seed(SEED + number)
        model = build(model_type, factory)
        metadata = dict(config=json.dumps(dict(SMALL, model_type=model_type)), task=task, seed=str(SEED + number),
                        torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__)
        tensors = run(model, task)
        save_file(tensors, FOLDER / f"{name}.safetensors", metadata=metadata)
        print(name, float(tensors["logits"].abs().max()))


main()
