"""Makes contract/<case>.safetensors: tiny random models of every family and task, run by Python.

contract_test.cpp runs each file of that folder. A file's metadata holds config.json, the task, the seed and the
versions; its tensors are the weights ("weight/<checkpoint key>", tied ones once), the inputs and what transformers
makes of them in float32. Weights are bfloat16 numbers, stored as such. The gradients are those of
`(logits under right_mask * probe).sum()`.

The cases lie in cases_*.py beside this file: CASES = {name: dict(task=..., model_type=..., options of the config)};
`architecture` names a class that is not the task's usual one. Encoder-decoders get decoder_ids in every task that takes
them. Those that look for end tokens have one in each row, and take no embeddings.

Run: python tests/models/contract.py [case ...]        (torch 2.11.0, transformers 5.17.0, safetensors)
"""

import importlib
import inspect
import json
import pathlib
import sys
import zlib

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, DynamicCache

# transformers asks CUDA, which a machine without its libraries cannot answer.
torch.cuda.is_current_stream_capturing = lambda: False

HERE = pathlib.Path(__file__).parent
SEED = 20260101
ROWS, TOKENS, PREFIX, NEW_TOKENS = 2, 9, 4, 6
END = 4  # a token that no mask hides

CLASSES = dict(
    body=transformers.AutoModel,
    causal_lm=transformers.AutoModelForCausalLM,
    seq2seq_lm=transformers.AutoModelForSeq2SeqLM,
    sequence_classification=transformers.AutoModelForSequenceClassification,
    token_classification=transformers.AutoModelForTokenClassification,
    question_answering=transformers.AutoModelForQuestionAnswering,
    image_classification=transformers.AutoModelForImageClassification,
)


def all_cases():
    cases = {}
    for path in sorted(HERE.glob("cases_*.py")):
        cases.update(importlib.import_module(path.stem).CASES)
    return cases


def without_dropout(config):
    """Training mode has to be as repeatable as evaluation."""
    for key, value in config.to_dict().items():
        if isinstance(value, float) and ("drop" in key):
            setattr(config, key, 0.0)
    return config


def model_of(task, config, architecture=None):
    """The model that a task or the name of a class asks for, with random weights."""
    if architecture:
        return getattr(transformers, architecture)._from_config(config, attn_implementation="sdpa")
    try:
        return CLASSES[task].from_config(config, attn_implementation="sdpa")
    except ValueError:
        return CLASSES[task].from_config(config, attn_implementation="eager")


def build(options):
    options = dict(options)
    task, model_type = options.pop("task"), options.pop("model_type")
    architecture = options.pop("architecture", None)
    config = without_dropout(AutoConfig.for_model(model_type, **options))
    model = model_of(task, config, architecture)
    config.architectures = [type(model).__name__]
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            parameter.normal_(0.0, 0.25 if parameter.dim() > 1 or "norm" in name.lower() else 0.5)
            if name.endswith("weight") and parameter.dim() == 1:
                parameter.add_(1.0)  # a norm's
            parameter.copy_(parameter.bfloat16())  # half the size on disk, without a loss
    return task, model.eval()


def scores(task, output):
    if task == "body":
        return output.last_hidden_state
    if task == "question_answering":
        return torch.stack([output.start_logits, output.end_logits], dim=-1)
    return output.logits


def reads_target(model):
    return "decoder_input_ids" in inspect.signature(model.forward).parameters


def looks_for_end(task, model):
    return task == "sequence_classification" and reads_target(model)


def text_inputs(task, model):
    config = model.config
    vocab, pad = config.vocab_size, config.pad_token_id
    out = dict(ids=torch.randint(3, vocab, (ROWS, TOKENS)),
               left_mask=torch.tensor([[1] * 9, [0] * 3 + [1] * 6]),
               right_mask=torch.tensor([[1] * 9, [1] * 5 + [0] * 4]))
    if looks_for_end(task, model):
        out["ids"][:, END] = config.eos_token_id
    if pad is not None:
        out["padded_ids"] = out["ids"].masked_fill(out["right_mask"] == 0, pad)
    if reads_target(model) and not looks_for_end(task, model):
        out["decoder_ids"] = torch.randint(3, vocab, (ROWS, 7))
        out["decoder_mask"] = torch.tensor([[1] * 7, [1] * 5 + [0] * 2])
    if task == "causal_lm":
        out["positions"] = torch.stack([torch.arange(9) + 4, torch.arange(9) + 1])
    return out


def has_token_types(task, model):
    takes = "token_type_ids" in inspect.signature(model.forward).parameters
    # GPT-2's types are tokens; others that take types without having any ignore them.
    knows = model.config.model_type == "gpt2" or getattr(model.config, "type_vocab_size", 1) > 1
    return task != "causal_lm" and takes and knows


def run_text(task, model, out):
    out.update(text_inputs(task, model))
    plain = dict(decoder_input_ids=out["decoder_ids"]) if "decoder_ids" in out else {}
    masked = dict(plain, decoder_attention_mask=out["decoder_mask"]) if plain else {}

    def call(**inputs):
        return scores(task, model(**inputs))

    with torch.no_grad():
        whole = model(input_ids=out["ids"], **plain)
        out["logits"] = scores(task, whole)
        if task == "body" and getattr(whole, "pooler_output", None) is not None:
            out["pooler_output"] = whole.pooler_output
        out["left_logits"] = call(input_ids=out["ids"], attention_mask=out["left_mask"], **masked)
        out["right_logits"] = call(input_ids=out["ids"], attention_mask=out["right_mask"], **masked)
        if "padded_ids" in out:
            out["padded_logits"] = call(input_ids=out["padded_ids"], attention_mask=out["right_mask"], **masked)
        if has_token_types(task, model):
            out["token_type_ids"] = torch.tensor([[0] * 4 + [1] * 5, [0] * 6 + [1] * 3])
            out["types_logits"] = call(input_ids=out["ids"], token_type_ids=out["token_type_ids"])
        if task == "causal_lm":
            run_causal(model, out)
        if reads_target(model) and task not in ("seq2seq_lm", "sequence_classification"):
            run_shifted(task, model, out)
    if looks_for_end(task, model):
        gradients(model, out, call(input_ids=out["ids"], attention_mask=out["right_mask"]))
        return
    embeds = model.get_input_embeddings()(out["ids"]).detach().requires_grad_(True)
    gradients(model, out, call(inputs_embeds=embeds, attention_mask=out["right_mask"], **masked))
    out["gradient/inputs_embeds"] = embeds.grad


def run_shifted(task, model, out):
    """What it does without decoder_input_ids: T5Model wants them."""
    try:
        out["shifted_logits"] = scores(task, model(input_ids=out["ids"]))
    except ValueError:
        pass


def run_causal(model, out):
    ids, left = out["ids"], out["left_mask"]
    out["positions_logits"] = model(input_ids=ids, position_ids=out["positions"],
                                    attention_mask=torch.ones_like(ids)).logits
    cache = DynamicCache()
    model(input_ids=ids[:, :PREFIX], attention_mask=left[:, :PREFIX], past_key_values=cache)
    out["cached_logits"] = model(input_ids=ids[:, PREFIX:], attention_mask=left, past_key_values=cache).logits
    model.generation_config.eos_token_id = None  # which would end a row
    tokens = model.generate(input_ids=ids, attention_mask=left, max_new_tokens=NEW_TOKENS, do_sample=False)
    out["generated"] = tokens[:, TOKENS:]


def run_images(task, model, out):
    size = getattr(model.config, "image_size", 32)
    channels = getattr(model.config, "num_channels", 3)
    out["pixel_values"] = torch.randn(ROWS, channels, size, size)
    with torch.no_grad():
        whole = model(pixel_values=out["pixel_values"])
        out["logits"] = scores(task, whole)
        if task == "body" and getattr(whole, "pooler_output", None) is not None:
            out["pooler_output"] = whole.pooler_output
        if "interpolate_pos_encoding" in inspect.signature(model.forward).parameters:
            out["large_pixel_values"] = torch.randn(ROWS, channels, 2 * size, size + size // 2)
            out["large_logits"] = scores(task, model(pixel_values=out["large_pixel_values"],
                                                     interpolate_pos_encoding=True))
    pixels = out["pixel_values"].clone().requires_grad_(True)
    gradients(model, out, scores(task, model(pixel_values=pixels)))
    out["gradient/pixel_values"] = pixels.grad


def gradients(model, out, logits):
    out["probe"] = torch.randn_like(logits)
    (logits * out["probe"]).sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            out["gradient/" + name] = parameter.grad


def weights(model):
    seen = set()
    for key, value in model.state_dict().items():
        if value.data_ptr() not in seen:
            yield "weight/" + key, value.bfloat16() if value.is_floating_point() else value
        seen.add(value.data_ptr())


def make(name, options):
    seed = SEED + zlib.crc32(name.encode()) % 10_000  # a new case leaves the others as they are
    torch.manual_seed(seed)
    task, model = build(options)
    out = {}
    (run_images if model.main_input_name == "pixel_values" else run_text)(task, model, out)
    out.update(weights(model))
    tensors = {key: value.detach().contiguous().clone() for key, value in out.items()}
    config = json.dumps(json.loads(model.config.to_json_string()))
    metadata = dict(config=config, task=task, seed=str(seed), torch=torch.__version__,
                    transformers=transformers.__version__)
    path = HERE / "contract" / f"{name}.safetensors"
    save_file(tensors, path, metadata=metadata)
    print(f"{name}: {type(model).__name__}, {path.stat().st_size // 1024} kB, "
          f"largest {float(out['logits'].abs().max()):.3g}")


def main():
    (HERE / "contract").mkdir(exist_ok=True)
    cases = all_cases()
    for name in sys.argv[1:] or cases:
        make(name, cases[name])


if __name__ == "__main__":
    main()
