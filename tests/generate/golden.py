"""Makes golden/*.safetensors: what transformers' logits processors and its generate() give.

Run: python tests/generate/golden.py        (torch 2.11.0, transformers 5.17.0, safetensors)
"""

import pathlib

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.generation import logits_process as steps

# transformers asks CUDA, which a machine without its libraries cannot answer.
torch.cuda.is_current_stream_capturing = lambda: False

SEED = 20260102
FOLDER = pathlib.Path(__file__).parent / "golden"
MODELS = pathlib.Path(__file__).parent.parent / "models" / "golden"
VERSIONS = dict(seed=str(SEED), torch=torch.__version__, transformers=transformers.__version__)


def processors():
    torch.manual_seed(SEED)
    scores = torch.randn(3, 40) * 3
    scores[0, 5] = scores[0, 9]  # a tie
    ids = torch.randint(0, 40, (3, 7))
    out = dict(scores=scores, ids=ids)
    out["repetition_1.3"] = steps.RepetitionPenaltyLogitsProcessor(1.3)(ids, scores)
    out["repetition_0.7"] = steps.RepetitionPenaltyLogitsProcessor(0.7)(ids, scores)
    out["forbidden_3_11"] = steps.MinNewTokensLengthLogitsProcessor(7, 2, [3, 11])(ids, scores)
    out["temperature_0.7"] = steps.TemperatureLogitsWarper(0.7)(ids, scores)
    for k in (1, 5, 100):
        out[f"top_k_{k}"] = steps.TopKLogitsWarper(k)(ids, scores)
    for p in (0.01, 0.5, 0.9, 0.999):
        out[f"top_p_{p}"] = steps.TopPLogitsWarper(p)(ids, scores)
    for p in (0.05, 0.5, 1.0):
        out[f"min_p_{p}"] = steps.MinPLogitsWarper(p)(ids, scores)
    chain = [steps.RepetitionPenaltyLogitsProcessor(1.3), steps.MinNewTokensLengthLogitsProcessor(7, 2, [3, 11]),
             steps.TemperatureLogitsWarper(0.7), steps.TopKLogitsWarper(20), steps.TopPLogitsWarper(0.9),
             steps.MinPLogitsWarper(0.1)]
    all_steps = scores
    for step in chain:
        all_steps = step(ids, all_steps)
    out["all_steps"] = all_steps
    more_processors(out)
    save_file({key: value.clone() for key, value in out.items()}, FOLDER / "processors.safetensors", metadata=VERSIONS)


def more_processors(out):
    """Those that look for sequences, and those that leave beams something to go on with."""
    scores = out["scores"]
    repeats = torch.tensor([[3, 4, 3, 4, 3, 7, 3], [1, 2, 1, 2, 8, 2, 1], [5, 5, 5, 5, 5, 5, 5]])
    out["repeats"] = repeats
    for size in (1, 2, 3, 8):
        out[f"ngrams_{size}"] = steps.NoRepeatNGramLogitsProcessor(size)(repeats, scores)
    words = [[7], [11], [3, 9], [2, 1, 8], [5, 5, 6], [1, 1, 1, 1, 1, 1, 1, 1]]
    out["bad_words"] = steps.NoBadWordsLogitsProcessor(words, [11])(repeats, scores)
    out["forced_3"] = steps.ForcedBOSTokenLogitsProcessor(3)(repeats[:, :1], scores)
    out["forced_3_11"] = steps.ForcedEOSTokenLogitsProcessor(8, [3, 11])(repeats, scores)
    out["top_p_0.01_keeps_3"] = steps.TopPLogitsWarper(0.01, min_tokens_to_keep=3)(repeats, scores)
    out["min_p_1.0_keeps_3"] = steps.MinPLogitsWarper(1.0, min_tokens_to_keep=3)(repeats, scores)


def load(name):
    import json
    path = MODELS / f"{name}.safetensors"
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["config"])
    config.pop("torch_dtype")
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(config.pop("model_type"), **config))
    weights = {k[len("weight/"):]: v for k, v in load_file(path).items() if k.startswith("weight/")}
    model.load_state_dict(weights, strict=False)
    return model.eval()


def tokens():
    out = {}
    for name in ("llama_plain", "llama_yarn", "llama_dynamic", "mistral_window", "qwen2_windows", "qwen3_norms"):
        model = load(name)
        torch.manual_seed(SEED)
        ids = torch.randint(3, model.config.vocab_size, (3, 6))
        mask = torch.tensor([[1] * 6, [0, 0] + [1] * 4, [0] * 5 + [1]])
        out[f"{name}/ids"], out[f"{name}/mask"] = ids, mask
        common = dict(input_ids=ids, attention_mask=mask, pad_token_id=0, eos_token_id=2, max_new_tokens=20)
        out[f"{name}/greedy"] = model.generate(**common, do_sample=False)[:, 6:].contiguous()
        first = [int(token) for token in out[f"{name}/greedy"][0, :3] if token != 0]
        common["eos_token_id"] = first[-1]
        out[f"{name}/stop"] = torch.tensor(common["eos_token_id"])
        out[f"{name}/stopped"] = model.generate(**common, do_sample=False)[:, 6:].contiguous()
        out[f"{name}/min_new"] = model.generate(**common, do_sample=False, min_new_tokens=8)[:, 6:].contiguous()
        single = dict(input_ids=ids[:1], attention_mask=mask[:1], pad_token_id=0, eos_token_id=2, max_new_tokens=20)
        out[f"{name}/penalty"] = model.generate(**single, do_sample=False, repetition_penalty=1.5)[:, 6:].contiguous()
        torch.manual_seed(SEED)
        out[f"{name}/sampled"] = model.generate(**single, do_sample=True, temperature=0.8, top_k=10,
                                                top_p=0.9)[:, 6:].contiguous()
    save_file(out, FOLDER / "tokens.safetensors", metadata=VERSIONS)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    processors()
    tokens()
