"""The decoders' cases of contract.py."""

SIZES = dict(vocab_size=67, pad_token_id=0, bos_token_id=1, eos_token_id=2)
LLAMA = dict(SIZES, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=32)
MISTRAL = dict(LLAMA, model_type="mistral", sliding_window=4)
GPT2 = dict(SIZES, model_type="gpt2", n_embd=16, n_layer=2, n_head=2, n_positions=16, n_inner=24)
OPT = dict(SIZES, model_type="opt", hidden_size=16, ffn_dim=24, num_hidden_layers=2, num_attention_heads=2,
           max_position_embeddings=16)
NEOX = dict(SIZES, model_type="gpt_neox", hidden_size=16, intermediate_size=24, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=16)
LABELS = dict(num_labels=3)

LM = dict(task="causal_lm")
BODY = dict(task="body")
SEQUENCES = dict(task="sequence_classification", **LABELS)
TOKENS = dict(task="token_classification", classifier_dropout=0.0, **LABELS)
ANSWERS = dict(task="question_answering")

CASES = {
    "llama_lm": dict(LLAMA, **LM, model_type="llama"),
    "llama_body": dict(LLAMA, **BODY, model_type="llama"),
    "llama_sequences": dict(LLAMA, **SEQUENCES, model_type="llama"),
    "llama_tokens": dict(LLAMA, **TOKENS, model_type="llama"),
    "llama_answers": dict(LLAMA, **ANSWERS, model_type="llama"),
    "mistral_sequences": dict(MISTRAL, **SEQUENCES),
    "mistral_answers": dict(MISTRAL, **ANSWERS),
    "qwen2_lm": dict(LLAMA, **LM, model_type="qwen2", tie_word_embeddings=True),
    "qwen2_answers": dict(LLAMA, **ANSWERS, model_type="qwen2"),
    "qwen3_tokens": dict(LLAMA, **TOKENS, model_type="qwen3", head_dim=4),
    "gpt2_lm": dict(GPT2, **LM),
    "gpt2_body": dict(GPT2, **BODY),
    "gpt2_scales": dict(GPT2, **LM, scale_attn_weights=False, scale_attn_by_inverse_layer_idx=True,
                        activation_function="relu", n_inner=None, n_layer=3, vocab_size=31),
    "gpt2_untied": dict(GPT2, **LM, tie_word_embeddings=False, activation_function="gelu",
                        layer_norm_epsilon=1e-2),
    "gpt2_sequences": dict(GPT2, **SEQUENCES),
    "gpt2_tokens": dict(GPT2, **TOKENS),
    "gpt2_answers": dict(GPT2, **ANSWERS),
    "opt_lm": dict(OPT, **LM),
    "opt_body": dict(OPT, **BODY),
    "opt_projections": dict(OPT, **LM, word_embed_proj_dim=12, do_layer_norm_before=False),
    "opt_no_biases": dict(OPT, **LM, enable_bias=False, layer_norm_elementwise_affine=False,
                          activation_function="gelu", tie_word_embeddings=False),
    "opt_no_final_norm": dict(OPT, **LM, _remove_final_layer_norm=True),
    "opt_sequences": dict(OPT, **SEQUENCES, word_embed_proj_dim=12),
    "opt_answers": dict(OPT, **ANSWERS),
    "gpt_neox_lm": dict(NEOX, **LM),
    "gpt_neox_body": dict(NEOX, **BODY),
    "gpt_neox_serial": dict(NEOX, **LM, use_parallel_residual=False, attention_bias=False, hidden_act="gelu_new",
                            rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=1.0)),
    "gpt_neox_tied": dict(NEOX, **LM, tie_word_embeddings=True,
                          rope_parameters=dict(rope_type="linear", factor=2.0, rope_theta=10000.0,
                                               partial_rotary_factor=0.5)),
    "gpt_neox_sequences": dict(NEOX, **SEQUENCES),
    "gpt_neox_tokens": dict(NEOX, **TOKENS),
    "gpt_neox_answers": dict(NEOX, **ANSWERS),
}
