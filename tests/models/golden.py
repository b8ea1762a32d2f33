"""Makes golden/*.safetensors: tiny random models of every option of the Llama family, run by Python.

Each file holds the weights ("weight/<checkpoint key>"), the inputs and what transformers makes of
them; its metadata holds config.json in both published spellings, the versions and the seed.

Run: python tests/models/golden.py        (torch 2.11.0, transformers 5.17.0, safetensors)
"""

import json
import pathlib

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

# transformers asks CUDA, which a machine without its libraries cannot answer.
torch.cuda.is_current_stream_capturing = lambda: False

SEED = 20260101
FOLDER = pathlib.Path(__file__).parent / "golden"

SMALL = dict(vocab_size=67, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=16, rms_norm_eps=1e-5, bos_token_id=1,
             eos_token_id=2, pad_token_id=0)

# name: (config in the spelling of transformers 4)
CASES = {
    "llama_plain": dict(model_type="llama", num_key_value_heads=4, tie_word_embeddings=False),
    "llama_tied": dict(model_type="llama", tie_word_embeddings=True, rope_theta=100000.0),
    "llama_biases": dict(model_type="llama", attention_bias=True, mlp_bias=True, hidden_act="gelu"),
    "llama_wide_heads": dict(model_type="llama", head_dim=16, num_key_value_heads=1, hidden_act="gelu_pytorch_tanh"),
    "llama_linear": dict(model_type="llama", rope_scaling=dict(type="linear", factor=4.0)),
    "llama_dynamic": dict(model_type="llama", rope_scaling=dict(rope_type="dynamic", factor=2.0)),
    "llama_llama3": dict(model_type="llama", head_dim=16, rope_theta=500.0, max_position_embeddings=64,
                         rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                           original_max_position_embeddings=16)),
    "llama_yarn": dict(model_type="llama", head_dim=16, max_position_embeddings=64,
                       rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16)),
    "llama_yarn_scales": dict(model_type="llama", head_dim=16, max_position_embeddings=64,
                              rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16,
                                                mscale=0.8, mscale_all_dim=0.3, beta_fast=16, beta_slow=2,
                                                truncate=False)),
    "qwen2_yarn_factor": dict(model_type="qwen2", max_position_embeddings=64,
                              rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=16,
                                                attention_factor=1.25)),
    "mistral_window": dict(model_type="mistral", sliding_window=4),
    "mistral_no_window": dict(model_type="mistral", sliding_window=None, head_dim=8),
    "qwen2_plain": dict(model_type="qwen2", sliding_window=4, use_sliding_window=False, tie_word_embeddings=True),
    "qwen2_windows": dict(model_type="qwen2", num_hidden_layers=3, sliding_window=4, use_sliding_window=True,
                          max_window_layers=1),
    "qwen3_norms": dict(model_type="qwen3", head_dim=8, attention_bias=True),
    "qwen3_layer_types": dict(model_type="qwen3", num_hidden_layers=3, head_dim=8, sliding_window=3,
                              use_sliding_window=True,
                              layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
}


def old_spelling(options):
    return {**SMALL, "rope_theta": 10000.0, "torch_dtype": "float32", **options}


def build(options):
    plain = dict(old_spelling(options))
    plain.pop("torch_dtype")
    model_type = plain.pop("model_type")
    config = AutoConfig.for_model(model_type, **plain)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            spread = 0.5 if name.endswith("bias") else 0.25
            parameter.normal_(0.0, spread)
            if "norm" in name:
                parameter.add_(1.0)
    return model.eval()


def run(model):
    vocab = model.config.vocab_size
    ids = torch.randint(3, vocab, (2, 9))
    left = torch.tensor([[1] * 9, [0] * 3 + [1] * 6])
    right = torch.tensor([[1] * 9, [1] * 5 + [0] * 4])
    long_ids = torch.randint(3, vocab, (1, 40))
    positions = torch.stack([torch.arange(9) + 4, torch.arange(9) * 2])
    packed = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3, 4], [0, 1, 0, 1, 2, 3, 4, 5, 6]])
    out = dict(ids=ids, left_mask=left, right_mask=right, long_ids=long_ids, positions=positions, packed=packed)
    with torch.no_grad():
        # The dynamic rope type remembers the longest row, so its long row comes last.
        out["logits"] = model(input_ids=ids).logits
        out["left_logits"] = model(input_ids=ids, attention_mask=left).logits
        out["right_logits"] = model(input_ids=ids, attention_mask=right).logits
        out["positions_logits"] = model(input_ids=ids, position_ids=positions,
                                        attention_mask=torch.ones_like(ids)).logits
        out["packed_logits"] = model(input_ids=ids, position_ids=packed, use_cache=False).logits
        cache = DynamicCache()
        model(input_ids=ids[:, :4], attention_mask=left[:, :4], past_key_values=cache)
        out["cached_logits"] = model(input_ids=ids[:, 4:], attention_mask=left, past_key_values=cache).logits
        cache = DynamicCache()
        model(input_ids=ids[:, :8], attention_mask=left[:, :8], past_key_values=cache)
        out["step_logits"] = model(input_ids=ids[:, 8:], attention_mask=left, past_key_values=cache).logits
    gradients(model, out)
    with torch.no_grad():
        out["long_logits"] = model(input_ids=long_ids).logits
    half = build_copy(model).to(torch.bfloat16)
    with torch.no_grad():
        out["bfloat16_logits"] = half(input_ids=ids, attention_mask=right).logits
    return out


def build_copy(model):
    copy = AutoModelForCausalLM.from_config(model.config, attn_implementation="sdpa")
    copy.load_state_dict(model.state_dict())
    return copy.eval()


def gradients(model, out):
    embeds = model.get_input_embeddings()(out["ids"]).detach().requires_grad_(True)
    labels = out["ids"].masked_fill(out["right_mask"] == 0, -100)
    labels[:, :3] = -100
    logits = model(inputs_embeds=embeds, attention_mask=out["right_mask"]).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1),
                                             reduction="sum")
    loss.backward()
    out["labels"] = labels
    out["loss"] = loss.detach()
    out["gradient/inputs_embeds"] = embeds.grad
    for name, parameter in model.named_parameters():
        if any(part in name for part in ("layers.0.", "model.norm", "lm_head")) and parameter.grad is not None:
            out["gradient/" + name] = parameter.grad.clone()
    model.zero_grad()


def main():
    FOLDER.mkdir(exist_ok=True)
    for number, (name, options) in enumerate(CASES.items()):
        torch.manual_seed(SEED + number)
        model = build(options)
        out = run(model)
        tied = model.config.tie_word_embeddings
        for key, value in model.state_dict().items():
            if not (tied and key == "lm_head.weight"):
                out["weight/" + key] = value
        new = json.loads(model.config.to_json_string(use_diff=False))
        metadata = dict(config=json.dumps(old_spelling(options)), new_config=json.dumps(new), seed=str(SEED + number),
                        torch=torch.__version__, transformers=transformers.__version__)
        tensors = {key: value.detach().contiguous().clone() for key, value in out.items()}
        save_file(tensors, FOLDER / f"{name}.safetensors", metadata=metadata)
        print(name, float(out["logits"].abs().max()))


main()
