"""The decoders' cases of contract.py."""

SIZES = dict(vocab_size=67, pad_token_id=0, bos_token_id=1, eos_token_id=2)
LLAMA = dict(SIZES, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=32)

CASES = {
    "llama_lm": dict(LLAMA, task="causal_lm", model_type="llama"),
    "qwen2_lm": dict(LLAMA, task="causal_lm", model_type="qwen2", tie_word_embeddings=True),
}
