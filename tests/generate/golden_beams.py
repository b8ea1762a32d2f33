"""Makes golden/beams_<model>.safetensors: what transformers' generate() gives with beams, and of encoder-decoders.

Each option set of a model is an entry: its options as JSON in the metadata, the tokens of each row behind the prompt
with their number, and the score of each sequence.

Run: python tests/generate/golden_beams.py [model ...]        (torch 2.11.0, transformers 5.17.0, safetensors)
"""

import json
import pathlib
import sys

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

# transformers asks CUDA, which a machine without its libraries cannot answer.
torch.cuda.is_current_stream_capturing = lambda: False

torch.set_num_threads(1)
SEED = 20260103
HERE = pathlib.Path(__file__).parent
NEW_TOKENS = 12

BEAMS = {
    "beams_2": dict(num_beams=2),
    "beams_3": dict(num_beams=3, num_return_sequences=3),
    "beams_4_early": dict(num_beams=4, early_stopping=True, num_return_sequences=2),
    "beams_4_never": dict(num_beams=4, early_stopping="never", num_return_sequences=4),
    "short": dict(num_beams=3, length_penalty=-1.0, num_return_sequences=2),
    "long": dict(num_beams=3, length_penalty=2.0, num_return_sequences=2),
    "long_never": dict(num_beams=3, length_penalty=2.0, early_stopping="never"),
    "no_penalty": dict(num_beams=3, length_penalty=0.0, early_stopping="never"),
    "two_stops": dict(num_beams=3, stops=2, num_return_sequences=3),
    "ngrams": dict(num_beams=3, no_repeat_ngram_size=2, num_return_sequences=2),
    "repetition": dict(num_beams=2, repetition_penalty=1.4),
    "min_new": dict(num_beams=3, min_new_tokens=5),
    "min_length": dict(num_beams=3, min_length=9),
    "forced_eos": dict(num_beams=3, forced_eos_token_id=[5], num_return_sequences=2),
    "bad_words": dict(num_beams=2, bad_words=True),
    "static": dict(num_beams=3, cache_implementation="static"),
}
PLAIN = {
    "greedy": dict(),
    "greedy_stops": dict(stops=2),
    "greedy_ngrams": dict(no_repeat_ngram_size=2),
    "greedy_min_length": dict(min_length=7),
    "greedy_forced": dict(forced_bos_token_id=9, forced_eos_token_id=[5, 6]),
    "greedy_bad_words": dict(bad_words=True),
    "greedy_static": dict(cache_implementation="static"),
}
# Drawn rows of one prompt: rows that end leave the batch, and then draw other numbers than Python's.
SAMPLED = {
    "sampled": dict(do_sample=True, temperature=1.3, top_k=12),
    "sampled_twice": dict(do_sample=True, num_return_sequences=2, stops=0),
    "sampled_beams": dict(do_sample=True, num_beams=3, num_return_sequences=2, temperature=1.5),
    "sampled_beams_narrow": dict(do_sample=True, num_beams=3, top_k=2, top_p=0.4, min_p=0.3, stops=2),
}
MODELS = {
    "llama_plain": ("golden", AutoModelForCausalLM),
    "qwen3_norms": ("golden", AutoModelForCausalLM),
    "t5_relu_lm": ("contract", AutoModelForSeq2SeqLM),
    "t5_gated_lm": ("contract", AutoModelForSeq2SeqLM),
    "bart_lm": ("contract", AutoModelForSeq2SeqLM),
}


def load(name):
    folder, auto = MODELS[name]
    path = HERE.parent / "models" / folder / f"{name}.safetensors"
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["config"])
    config.pop("torch_dtype", None)
    model = auto.from_config(AutoConfig.for_model(config.pop("model_type"), **config))
    weights = {k[len("weight/"):]: v for k, v in load_file(path).items() if k.startswith("weight/")}
    model.load_state_dict(weights, strict=False)
    model.tie_weights()
    model.generation_config = transformers.GenerationConfig(decoder_start_token_id=config.get("decoder_start_token_id"))
    return model.float().eval()


def frequent(model, ids, mask, count):
    """Tokens that the model likes, so that a stop token is met."""
    if count == 0:
        return None
    tokens = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=NEW_TOKENS, do_sample=True, num_beams=1,
                            pad_token_id=0, num_return_sequences=8)
    start = 1 if model.config.is_encoder_decoder else ids.shape[1]
    counts = torch.bincount(tokens[:, start:].flatten(), minlength=model.config.vocab_size)
    return counts.topk(count).indices.tolist()


def run(model, options, ids, mask):
    options = dict(options)
    stops = frequent(model, ids, mask, options.pop("stops", 1))
    if options.pop("bad_words", False):
        first = model.generate(input_ids=ids[:1], attention_mask=mask[:1], max_new_tokens=4, pad_token_id=0)[0, -4:]
        options["bad_words_ids"] = [[int(first[0])], first[1:3].tolist(), first[2:4].tolist(), [stops[0]]]
    start = 1 if model.config.is_encoder_decoder else ids.shape[1]
    torch.manual_seed(SEED)
    out = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=NEW_TOKENS, pad_token_id=0,
                         eos_token_id=stops, return_dict_in_generate=True, output_scores=True, **options)
    rows = []
    for row in out.sequences[:, start:].tolist():
        ends = [i + 1 for i, token in enumerate(row) if token in (stops or [])]
        rows.append(row[:ends[0]] if ends else row)
    scores = out.sequences_scores.tolist() if options.get("num_beams", 1) > 1 else [0.0] * len(rows)
    return dict(options, eos_token_id=stops or []), rows, scores


def main():
    for name in sys.argv[1:] or MODELS:
        model = load(name)
        torch.manual_seed(SEED)
        ids = torch.randint(3, model.config.vocab_size, (3, 6))
        left, right = torch.ones(3, 6, dtype=torch.long), torch.ones(3, 6, dtype=torch.long)
        left[1, :2], right[1, -2:] = 0, 0
        mask = right if model.config.is_encoder_decoder else left
        whole = torch.ones_like(mask)
        out, described = dict(ids=ids, mask=mask), {}
        for label, options in {**BEAMS, **PLAIN, **SAMPLED}.items():
            sampled = label in SAMPLED
            # In Python padding is a token of the row where repetition is looked for.
            padded = model.config.is_encoder_decoder or not {"no_repeat_ngram_size", "repetition_penalty"} & set(options)
            use = (ids[:1], whole[:1]) if sampled else (ids, mask if padded else whole)
            described[label], rows, scores = run(model, options, *use)
            described[label]["padded"] = bool(padded and not sampled)
            width = max(map(len, rows))
            out[label + "/tokens"] = torch.tensor([row + [0] * (width - len(row)) for row in rows])
            out[label + "/lengths"] = torch.tensor([len(row) for row in rows])
            out[label + "/scores"] = torch.tensor(scores)
        path = HERE / "golden" / f"beams_{name}.safetensors"
        save_file(out, path, metadata=dict(options=json.dumps(described), seed=str(SEED), torch=torch.__version__,
                                           transformers=transformers.__version__))
        lengths = {label: out[label + "/lengths"].tolist() for label in described}
        print(name, path.stat().st_size // 1024, "kB", lengths)


main()
