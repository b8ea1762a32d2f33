"""`peft generate` writes what transformers writes, by the beams and for the settings that its flags name."""

import functools
import json

import support
import torch
from peft import LoraConfig, get_peft_model
from support import (VOCABULARY, expect_close, llama, peft, randomise, randomise_vectors, run_cases, saved,
                     word_tokenizer)
from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration

WORDS = [f"w{i}" for i in range(3, VOCABULARY)]
PROMPT = [5, 9, 11, 30]
SETTINGS = {
    "greedy": {},
    "beams": {"num_beams": 4},
    "long beams": {"num_beams": 3, "length_penalty": 3.0},
    "short beams": {"num_beams": 3, "length_penalty": -2.0},
    "an early end": {"num_beams": 3, "early_stopping": True},
    "no early end": {"num_beams": 3, "early_stopping": "never", "length_penalty": 0.5},
    "several beams": {"num_beams": 5, "num_return_sequences": 3},
    "no pair twice": {"num_beams": 2, "no_repeat_ngram_size": 2},
    "a greedy one without repetition": {"no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
}


def with_ends(model, factor):
    """Ends come often enough for beams to end one after the other."""
    model.lm_head.weight.data[1] *= factor
    return model


def t5():
    torch.manual_seed(21)
    return with_ends(T5ForConditionalGeneration(T5Config(
        vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=1, dropout_rate=0.0, initializer_factor=3.0, tie_word_embeddings=False)).eval(), 2.0)


def bart():
    torch.manual_seed(5)
    model = BartForConditionalGeneration(BartConfig(
        vocab_size=VOCABULARY, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=64, pad_token_id=0,
        eos_token_id=1, bos_token_id=2, decoder_start_token_id=1, forced_eos_token_id=1, init_std=0.1)).eval()
    model.final_logits_bias[0, 1] += 0.5
    return randomise_vectors(model)


def causal():
    return with_ends(llama(eos_token_id=1, pad_token_id=0, bos_token_id=2), 1.5)


def python_answers(model, prompt, settings):
    """New tokens and the score of each answer."""
    with torch.no_grad():
        done = model.generate(input_ids=torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                              max_new_tokens=10, do_sample=False, return_dict_in_generate=True, output_scores=True, **settings)
    begin = 1 if model.config.is_encoder_decoder else len(prompt)
    answers = []
    for row in done.sequences.tolist():
        tokens = row[begin:]
        answers.append(tokens[:tokens.index(1) + 1] if 1 in tokens else tokens)
    return answers, done.sequences_scores if settings.get("num_beams", 1) > 1 else None


def compare(make_model, with_adapter):
    model = make_model()
    folder = saved(model, "base")
    word_tokenizer(folder, WORDS)
    # A causal model goes on from the prompt, which its tokenizer ends as any text.
    prompt = [*PROMPT, 1]
    flags = {"model_name_or_path": folder, "dtype": "float32", "prompt": " ".join(f"w{i}" for i in PROMPT)}
    if with_adapter:
        task = "SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM"
        torch.manual_seed(4)
        model = get_peft_model(model, LoraConfig(task_type=task, r=4, target_modules="all-linear")).eval()
        randomise(parameter for parameter in model.parameters() if parameter.requires_grad)
        model.save_pretrained(support.WORK / "adapter")
        flags["adapter"] = support.WORK / "adapter"
    seen = set()
    for name, settings in SETTINGS.items():
        told = json.loads(peft("generate", "--json", max_new_tokens=10, **flags, **settings))
        ours = told if isinstance(told, list) else [told]
        answers, scores = python_answers(model, prompt, settings)
        assert [answer["tokens"] for answer in ours] == answers, f"{name}: {ours}, Python {answers}"
        if scores is not None:
            expect_close([answer["score"] for answer in ours], scores, 1e-4, f"{name}: scores")
        seen.add(str(answers))
    assert len(seen) > 3, f"the settings change little: {seen}"


CASES = {}
for name, make_model in {"a language model": causal, "T5": t5, "BART": bart}.items():
    CASES[name] = functools.partial(compare, make_model, False)
    CASES[f"{name}, with an adapter"] = functools.partial(compare, make_model, True)
run_cases(CASES)
