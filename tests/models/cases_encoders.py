"""The encoders' cases of contract.py."""

TASKS = ("body", "sequence_classification", "token_classification", "question_answering")

BERT = dict(vocab_size=67, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=16)
DISTILBERT = dict(vocab_size=67, dim=16, hidden_dim=24, n_layers=2, n_heads=4, max_position_embeddings=16)
VIT = dict(model_type="vit", hidden_size=16, intermediate_size=24, num_hidden_layers=2,
           num_attention_heads=4, image_size=8, patch_size=4)


def of_all_tasks(model_type, sizes):
    return {f"{model_type.replace('-', '_')}_{task}": dict(sizes, task=task, model_type=model_type) for task in TASKS}


CASES = {
    **of_all_tasks("bert", BERT),
    "bert_relu": dict(BERT, task="body", model_type="bert", hidden_act="relu", type_vocab_size=3, layer_norm_eps=1e-3,
                      pad_token_id=None),
    "bert_labels": dict(BERT, task="sequence_classification", model_type="bert", hidden_act="gelu_new",
                        id2label={str(i): name for i, name in enumerate("abcde")}, pad_token_id=2),
    "bert_regression": dict(BERT, task="sequence_classification", model_type="bert", num_labels=1, type_vocab_size=1),
    **of_all_tasks("roberta", dict(BERT, type_vocab_size=1, layer_norm_eps=1e-5)),
    "roberta_padding": dict(BERT, task="token_classification", model_type="roberta", num_labels=3, pad_token_id=0,
                            hidden_act="silu"),
    "xlm_roberta_classes": dict(BERT, task="sequence_classification", model_type="xlm-roberta", num_labels=3),
    "camembert_answers": dict(BERT, task="question_answering", model_type="camembert", type_vocab_size=1),
    **of_all_tasks("distilbert", DISTILBERT),
    "distilbert_sinusoids": dict(DISTILBERT, task="sequence_classification", model_type="distilbert", num_labels=4,
                                 sinusoidal_pos_embds=True, activation="relu"),
    "vit_body": dict(VIT, task="body", pooler_act="relu", pooler_output_size=12),
    "vit_classes": dict(VIT, task="image_classification", num_labels=5),
    "vit_no_bias": dict(VIT, task="image_classification", qkv_bias=False, hidden_act="quick_gelu", num_channels=1, patch_size=2),
}
