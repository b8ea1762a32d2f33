"""The encoder-decoders' cases of contract.py."""

T5 = dict(task="seq2seq_lm", vocab_size=43, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0, d_model=16,
          d_kv=6, d_ff=12, num_layers=2, num_heads=2, relative_attention_num_buckets=8,
          relative_attention_max_distance=12)
BART = dict(task="seq2seq_lm", vocab_size=43, pad_token_id=1, bos_token_id=0, eos_token_id=2,
            decoder_start_token_id=2, d_model=16, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=12,
            decoder_ffn_dim=12, encoder_attention_heads=4, decoder_attention_heads=4, max_position_embeddings=16)



def with_heads(sizes, name):
    """A body, its encoder alone, and the heads of a T5."""
    body, classes = dict(sizes, task="body", model_type=name), dict(sizes, model_type=name, num_labels=3)
    return {
        f"{name}_body": body,
        f"{name}_encoder": dict(body, architecture=f"{name.upper()}EncoderModel"),
        f"{name}_sequences": dict(classes, task="sequence_classification"),
        f"{name}_tokens": dict(classes, task="token_classification"),
        f"{name}_answers": dict(sizes, model_type=name, task="question_answering"),
    }


CASES = {
    "t5_relu_lm": dict(T5, model_type="t5"),
    "t5_gated_lm": dict(T5, model_type="t5", feed_forward_proj="gated-gelu", tie_word_embeddings=False,
                        num_decoder_layers=1),
    "t5_silu_lm": dict(T5, model_type="t5", feed_forward_proj="gated-silu", d_kv=8, relative_attention_num_buckets=4,
                       relative_attention_max_distance=5),
    "mt5_lm": dict(T5, model_type="mt5"),
    "bart_lm": dict(BART, model_type="bart"),
    "bart_scaled_lm": dict(BART, model_type="bart", scale_embedding=True, activation_function="relu",
                           decoder_attention_heads=2, decoder_ffn_dim=10, encoder_layers=1),
    **with_heads(T5, "t5"),
    **with_heads(dict(T5, num_decoder_layers=1), "mt5"),
    "bart_body": dict(BART, task="body", model_type="bart"),
    "bart_sequences": dict(BART, task="sequence_classification", model_type="bart", num_labels=3),
    "bart_answers": dict(BART, task="question_answering", model_type="bart", scale_embedding=True),
}
