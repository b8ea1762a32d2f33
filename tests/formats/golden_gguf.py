"""Makes the GGUF golden files: unpacked blocks of every type, a tiny Llama file, checksums of SmolLM2.

Run with gguf 0.17 or later, numpy, torch 2.11.0, transformers 5.17.0 and safetensors 0.8.0; seed 0.
usage: golden_gguf.py MODEL.gguf     (the model's tensors are summed as transformers loads them)
"""
import json
import pathlib
import sys
import zlib

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "golden"
KINDS = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
# Where the half-precision scales of a block lie: random bytes there would give infinities and NaN.
HALVES = {"F16": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
          "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def blocks_of_every_type(random):
    tensors = {}
    for kind in KINDS:
        number = gguf.GGMLQuantizationType[kind]
        elements, size = gguf.GGML_QUANT_SIZES[number]
        count = 4 if elements > 1 else 64
        raw = random.integers(0, 256, (count, size), dtype=np.uint8)
        if kind in ("F32", "BF16"):
            raw[:, -1] = random.integers(0x3C, 0x42, count)
        for place in HALVES.get(kind, []):
            raw[:, place + 1] &= 0xBB  # some large, some subnormal, none infinite
        values = gguf.dequantize(raw.reshape(-1), number)
        tensors[kind + ".blocks"] = torch.from_numpy(raw.copy())
        tensors[kind + ".values"] = torch.from_numpy(np.array(values, dtype=np.float32).reshape(-1).copy())
    save_file(tensors, OUT / "gguf_blocks.safetensors")


def interleave(weight, heads):
    """What llama.cpp's converter does to q and k."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def tiny_llama(random):
    hidden, heads, kv_heads, width, vocab = 64, 4, 2, 16, 12
    def normal(*shape):
        return random.standard_normal(shape).astype(np.float32)
    names = {
        "token_embd.weight": ("model.embed_tokens.weight", normal(vocab, hidden)),
        "blk.0.attn_norm.weight": ("model.layers.0.input_layernorm.weight", normal(hidden)),
        "blk.0.attn_q.weight": ("model.layers.0.self_attn.q_proj.weight", normal(heads * width, hidden)),
        "blk.0.attn_q.bias": ("model.layers.0.self_attn.q_proj.bias", normal(heads * width)),
        "blk.0.attn_k.weight": ("model.layers.0.self_attn.k_proj.weight", normal(kv_heads * width, hidden)),
        "blk.0.attn_output.weight": ("model.layers.0.self_attn.o_proj.weight", normal(hidden, hidden)),
        "blk.0.ffn_down.weight": ("model.layers.0.mlp.down_proj.weight", normal(hidden, 96)),
        "output_norm.weight": ("model.norm.weight", normal(hidden)),
        "output.weight": ("lm_head.weight", normal(vocab, hidden)),
    }
    writer = gguf.GGUFWriter(str(OUT / "tiny_llama.gguf"), "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(hidden)
    writer.add_block_count(1)
    writer.add_feed_forward_length(96)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(50000.0)
    writer.add_layer_norm_rms_eps(0.5)
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(2.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<s>", "</s>"] + [f"t{i}" for i in range(vocab - 2)])
    writer.add_token_scores([0.5] * vocab)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(True)
    writer.add_chat_template("{{ messages }}")
    for key, value in {"u8": (writer.add_uint8, 200), "i8": (writer.add_int8, -3), "u16": (writer.add_uint16, 60000),
                       "i16": (writer.add_int16, -300), "i32": (writer.add_int32, -70000),
                       "u64": (writer.add_uint64, 2**63), "i64": (writer.add_int64, -(2**40)),
                       "f64": (writer.add_float64, 0.1), "bool": (writer.add_bool, True)}.items():
        value[0]("general.test." + key, value[1])
    writer.add_array("general.test.list", [1, 2, 3])
    expected = {}
    kinds = {"blk.0.attn_q.weight": "Q8_0", "blk.0.attn_k.weight": "F16", "blk.0.ffn_down.weight": "Q4_0"}
    for name, (hf_name, value) in names.items():
        stored = interleave(value, heads if "attn_q" in name else kv_heads) if ".attn_q." in name or ".attn_k." in name else value
        if name in kinds:
            number = gguf.GGMLQuantizationType[kinds[name]]
            packed = gguf.quantize(stored, number)
            writer.add_tensor(name, packed, raw_dtype=number)
            back = gguf.dequantize(packed, number).reshape(value.shape)
            if ".attn_" in name:
                n = heads if "attn_q" in name else kv_heads
                back = back.reshape(n, width // 2, 2, -1).swapaxes(1, 2).reshape(value.shape)
            expected[hf_name] = torch.from_numpy(np.array(back, dtype=np.float32).copy())
        else:
            writer.add_tensor(name, stored)
            expected[hf_name] = torch.from_numpy(value.copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(expected, OUT / "tiny_llama.safetensors")


def checksums(model):
    from transformers import AutoModelForCausalLM
    path = pathlib.Path(model)
    net = AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.float32)
    sums = {name: zlib.crc32(t.contiguous().numpy().tobytes()) for name, t in net.state_dict().items()
            if name != "lm_head.weight"}
    keys = ["model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
            "head_dim", "intermediate_size", "rms_norm_eps", "max_position_embeddings", "vocab_size",
            "tie_word_embeddings", "bos_token_id", "eos_token_id", "pad_token_id"]
    config = {key: getattr(net.config, key) for key in keys}
    config["rope_theta"] = net.config.rope_parameters["rope_theta"]
    text = json.dumps({"config": config, "crc32": sums}, indent=0)
    (OUT / "smollm2_checksums.json").write_text(text + "\n")


def main():
    random = np.random.default_rng(0)
    OUT.mkdir(exist_ok=True)
    blocks_of_every_type(random)
    tiny_llama(random)
    checksums(sys.argv[1])


if __name__ == "__main__":
    main()
