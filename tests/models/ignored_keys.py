"""Makes ignored_keys.json: what transformers reports of keys that old checkpoints have beside a model's weights.

For each case of contract/ named here: KEYS that from_pretrained calls unexpected. Copies of the embedding hold the
embedding.

Run: python tests/models/ignored_keys.py        (torch 2.11.0, transformers 5.17.0, safetensors)
"""

import json
import tempfile

import torch
import transformers
from contract import HERE
from safetensors import safe_open
from safetensors.torch import save_file

CASES = ("bert_sequence_classification", "bert_body", "roberta_token_classification", "xlm_roberta_classes",
         "camembert_answers", "distilbert_question_answering", "vit_classes", "gpt2_lm", "gpt2_body", "gpt2_tokens",
         "gpt_neox_lm", "gpt_neox_sequences", "opt_lm", "llama_tokens", "llama_lm", "mistral_sequences", "qwen2_lm",
         "qwen3_tokens", "t5_relu_lm", "t5_body", "t5_encoder", "t5_sequences", "t5_tokens", "t5_answers", "mt5_lm",
         "bart_lm", "bart_body", "bart_sequences")
KEYS = ("embeddings.position_ids", "vision.position_ids", "h.0.attn.bias", "h.0.attn.masked_bias",
        "h.0.crossattention.bias", "layers.0.attention.bias", "layers.0.attention.masked_bias",
        "layers.0.attention.rotary_emb.inv_freq", "layers.0.self_attn.rotary_emb.inv_freq", "encoder.version",
        "decoder.version", "something.else")
CROSS_BIAS = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")


def unexpected(name):
    with safe_open(HERE / "contract" / f"{name}.safetensors", "pt") as file:
        config = json.loads(file.metadata()["config"])
        weights = {key[len("weight/"):]: file.get_tensor(key) for key in file.keys() if key.startswith("weight/")}
    model_class = getattr(transformers, config["architectures"][0])
    extra = {key: torch.zeros(1) for key in KEYS + (CROSS_BIAS,) * ("t5" in name or "bart" in name)}
    if name.endswith("_lm"):
        embedding = next((key for key in weights if key.endswith(("shared.weight", "wte.weight", "embed_tokens.weight"))),
                         "gpt_neox.embed_in.weight")
        prefix = "model." if model_class.base_model_prefix == "model" else ""
        parts = COPIES[:2] if "shared" in embedding else ()
        extra.update({prefix + key: weights[embedding].clone() for key in parts})
        if config.get("tie_word_embeddings", True):
            extra["lm_head.weight"] = weights[embedding].clone()
    extra = {key: value for key, value in extra.items() if key not in weights}
    with tempfile.TemporaryDirectory() as folder:
        save_file({**weights, **extra}, f"{folder}/model.safetensors", metadata=dict(format="pt"))
        with open(f"{folder}/config.json", "w") as file:
            json.dump(config, file)
        info = model_class.from_pretrained(folder, output_loading_info=True)[1]
    assert not info["missing_keys"], (name, info["missing_keys"])
    return dict(given=sorted(extra), unexpected=sorted(info["unexpected_keys"]))


def main():
    found = {name: unexpected(name) for name in CASES}
    (HERE / "ignored_keys.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
