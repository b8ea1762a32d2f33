"""Writes tests/cli/tiny_bert: the reader that the program's tests train, with random numbers.

Made with torch 2.11.0, transformers 5.17.0, safetensors; seed 11. Run: python tests/cli/tiny_bert.py
"""
import pathlib

import torch
from transformers import AutoModel, BertConfig

OUT = pathlib.Path(__file__).parent / "tiny_bert"


def main():
    config = BertConfig(vocab_size=60, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                        max_position_embeddings=40, initializer_range=0.3, pad_token_id=0, hidden_dropout_prob=0.0,
                        attention_probs_dropout_prob=0.0, num_labels=3)
    torch.manual_seed(11)
    AutoModel.from_config(config).save_pretrained(OUT)


if __name__ == "__main__":
    main()
