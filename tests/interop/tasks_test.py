"""Adapters of models with heads go both ways, labels and embeddings are Python's.

A third argument names the folder of a whole `./quickstart --task classify`, whose adapter is then
scored instead: python tasks_test.py PROGRAM WORK runs/quickstart-classify"""

import json
import sys
from pathlib import Path

import support
import torch
from peft import (LoraConfig, MultitaskPromptTuningConfig, PeftModel, PrefixTuningConfig, PromptTuningConfig,
                  get_peft_model)
from peft.utils import load_peft_weights
from support import ROOT, expect_close, peft, randomise, run_cases, word_tokenizer, write_rows
from transformers import (AutoModel, AutoModelForQuestionAnswering, AutoModelForSequenceClassification,
                          AutoModelForTokenClassification, AutoTokenizer, T5Config, T5ForConditionalGeneration)

MINILM = ROOT / ".deps" / "minilm"
DATA = ROOT / "data" / "classify"
STEPS = {"max_steps": 3, "learning_rate": 1e-2, "save_strategy": "no", "logging_steps": 1}
RUN = Path(sys.argv.pop()) if len(sys.argv) > 3 else None


def tokenizer():
    return AutoTokenizer.from_pretrained(MINILM)


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def labels_of(folder):
    names = json.loads((folder / "labels.json").read_text())["id2label"]
    return [names[str(i)] for i in range(len(names))]


def predictions(**flags):
    return [json.loads(line) for line in peft("predict", "--json", model_name_or_path=MINILM,
                                              dtype="float32", **flags).splitlines()]


def python_classes(adapter, labels, rows):
    base = AutoModelForSequenceClassification.from_pretrained(MINILM, num_labels=len(labels))
    model = PeftModel.from_pretrained(base, adapter).eval()
    batch = tokenizer()([row["text"] for row in rows], padding=True, return_tensors="pt")
    with torch.no_grad():
        return torch.softmax(model(**batch).logits, -1)


def expect_same_classes(adapter, labels, rows):
    path = write_rows(rows, "rows.jsonl")
    ours = predictions(input=path, adapter=adapter)
    python = python_classes(adapter, labels, rows)
    for answer, shares in zip(ours, python, strict=True):
        expect_close([answer["scores"][label] for label in labels], shares, 1e-4, "shares")
        assert answer["label"] == labels[int(shares.argmax())]


def sequences_here():
    """Trained here, read by Python: no key is missing and the answers are the same."""
    out = support.WORK / "out"
    peft("train", model_name_or_path=MINILM, dataset_name=DATA, output_dir=out, task_type="SEQ_CLS",
         lora_dropout=0, dtype="float32", **STEPS)
    labels = labels_of(out)
    assert labels == sorted({row["label"] for row in lines_of(DATA / "train.jsonl")})
    expect_same_classes(out, labels, lines_of(DATA / "heldout.jsonl")[:12])
    history = json.loads((out / "trainer_state.json").read_text())["log_history"]
    assert all(entry["grad_norm"] > 0 for entry in history if "grad_norm" in entry)


def sequences_there(make_config):
    """Written by Python without labels.json: the head of the file tells how many labels there are."""
    torch.manual_seed(5)
    base = AutoModelForSequenceClassification.from_pretrained(MINILM, num_labels=4)
    model = get_peft_model(base, make_config(task_type="SEQ_CLS"))
    randomise(parameter for parameter in model.parameters() if parameter.requires_grad)
    out = support.WORK / "adapter"
    model.save_pretrained(out)
    expect_same_classes(out, [f"LABEL_{i}" for i in range(4)], lines_of(DATA / "heldout.jsonl")[:6])


WORDS = [(["Anna", "Berg", "lives", "in", "Oslo", "."], ["B-PER", "I-PER", "O", "O", "B-LOC", "O"]),
         (["Shipping", "to", "Graz", "takes", "days"], ["O", "O", "B-LOC", "O", "O"])] * 8


def tokens_here():
    rows = [{"tokens": words, "tags": tags} for words, tags in WORDS]
    data = support.WORK / "data"
    data.mkdir()
    for part in ("train", "valid"):
        write_rows(rows, f"data/{part}.jsonl")
    out = support.WORK / "out"
    peft("train", model_name_or_path=MINILM, dataset_name=data, output_dir=out, task_type="TOKEN_CLS",
         lora_dropout=0, dtype="float32", eval_strategy="steps", eval_steps=12,
         **{**STEPS, "max_steps": 24})
    history = json.loads((out / "trainer_state.json").read_text())["log_history"]
    last = [entry for entry in history if "eval_f1" in entry][-1]
    assert last["eval_f1"] == 1.0 and last["eval_accuracy"] == 1.0, last
    labels = labels_of(out)
    base = AutoModelForTokenClassification.from_pretrained(MINILM, num_labels=len(labels))
    model = PeftModel.from_pretrained(base, out).eval()
    answers = predictions(input=write_rows(rows[:2], "rows.jsonl"), adapter=out)
    for answer, row in zip(answers, rows):
        batch = tokenizer()(row["tokens"], is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            shares = torch.softmax(model(**batch).logits[0], -1)
        first = [batch.word_ids().index(i) for i in range(len(row["tokens"]))]
        assert [word["label"] for word in answer["words"]] == [labels[int(shares[i].argmax())] for i in first]
        expect_close([word["score"] for word in answer["words"]], shares[first].amax(-1), 1e-4, "shares")


def answers_here():
    context = "The parcel was sent from Lyon on Friday and reached Graz after four days."
    rows = []
    for question, answer in (("Where was it sent from?", "Lyon"), ("When was it sent?", "Friday"),
                             ("Which town did it reach?", "Graz")) * 6:
        rows.append({"question": question, "context": context,
                     "answers": {"text": [answer], "answer_start": [context.index(answer)]}})
    out = support.WORK / "out"
    path = write_rows(rows, "rows.jsonl")
    peft("train", model_name_or_path=MINILM, dataset_name=path, output_dir=out, lora_dropout=0,
         task_type="QUESTION_ANS", dtype="float32", **{**STEPS, "max_steps": 30})
    base = AutoModelForQuestionAnswering.from_pretrained(MINILM)
    model = PeftModel.from_pretrained(base, out).eval()
    answers = predictions(input=path, adapter=out)
    for answer, row in list(zip(answers, rows, strict=True))[:3]:
        batch = tokenizer()(row["question"], row["context"], return_tensors="pt")
        with torch.no_grad():
            scores = model(**batch)
        inside = torch.tensor([kind == 1 for kind in batch.sequence_ids()])
        start = torch.softmax(scores.start_logits[0].masked_fill(~inside, -1e30), -1)
        end = torch.softmax(scores.end_logits[0].masked_fill(~inside, -1e30), -1)
        expect_close(answer["score"], torch.triu(torch.outer(start, end)).max(), 1e-4, "score")
        assert answer["answer"] == row["answers"]["text"][0], answer
        assert context[answer["start"]:answer["end"]] == answer["answer"]


WORDS_OF_WRITER = "one two three four five six seven eight nine ten".split()


def several_tasks_there():
    """A prompt of three tasks, written by Python: every row is read with its own task."""
    torch.manual_seed(6)
    base = AutoModelForSequenceClassification.from_pretrained(MINILM, num_labels=4)
    model = get_peft_model(base, MultitaskPromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=4, num_tasks=3,
                                                             num_ranks=2)).eval()
    randomise(parameter for parameter in model.parameters() if parameter.requires_grad)
    out = support.WORK / "adapter"
    model.save_pretrained(out)
    rows = [{"text": row["text"], "task_id": i % 3} for i, row in enumerate(lines_of(DATA / "heldout.jsonl")[:6])]
    batch = tokenizer()([row["text"] for row in rows], padding=True, return_tensors="pt")
    with torch.no_grad():
        shares = torch.softmax(model(**batch, task_ids=torch.tensor([row["task_id"] for row in rows])).logits, -1)
    ours = predictions(input=write_rows(rows, "rows.jsonl"), adapter=out)
    for answer, python in zip(ours, shares, strict=True):
        expect_close([answer["scores"][f"LABEL_{i}"] for i in range(4)], python, 1e-4, "shares")


def long_contexts():
    """Python's windows and its best answer of all of them, for a head that learnt where a town is named."""
    filler = "The parcel went by road and by rail, and it was weighed again at every stop on the way."
    rows = []
    for place, town in enumerate(("Lyon", "Graz", "Oslo", "Bern")):
        parts = [filler] * 8
        parts[2 * place + 1] = f"Then it was left in {town} for a day."
        context = " ".join(parts)
        rows.append({"question": "Where was it left?", "context": context,
                     "answers": {"text": [town], "answer_start": [context.index(town)]}})
    out, path = support.WORK / "out", write_rows(rows, "rows.jsonl")
    sizes = {"max_length": 48, "doc_stride": 16}
    peft("train", model_name_or_path=MINILM, dataset_name=path, output_dir=out, task_type="QUESTION_ANS", lora_dropout=0,
         dtype="float32", **sizes, **{**STEPS, "max_steps": 30})
    model = PeftModel.from_pretrained(AutoModelForQuestionAnswering.from_pretrained(MINILM), out).eval()
    ours = predictions(input=path, adapter=out, **sizes)
    for row, answer in zip(rows, ours, strict=True):
        windows = tokenizer()(row["question"], row["context"], truncation="only_second", max_length=48, stride=16,
                              return_overflowing_tokens=True, return_offsets_mapping=True, padding=True,
                              return_tensors="pt")
        assert len(windows["input_ids"]) > 3
        with torch.no_grad():
            scores = model(input_ids=windows["input_ids"], attention_mask=windows["attention_mask"])
        best = (-float("inf"), None)
        for i, offsets in enumerate(windows["offset_mapping"].tolist()):
            inside = [j for j, kind in enumerate(windows.sequence_ids(i)) if kind == 1]
            for first in inside:
                for last in [j for j in inside if first <= j < first + 30]:
                    score = float(scores.start_logits[i, first] + scores.end_logits[i, last])
                    best = max(best, (score, (offsets[first][0], offsets[last][1])))
        assert (answer["start"], answer["end"]) == best[1], (answer, best)
        assert answer["answer"] == row["answers"]["text"][0], answer


def tiny_writer():
    """A T5 whose tokens are words, in a folder with its tokenizer."""
    torch.manual_seed(9)
    config = T5Config(vocab_size=len(WORDS_OF_WRITER) + 3, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
                      decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, dropout_rate=0.0)
    folder = support.WORK / "writer"
    T5ForConditionalGeneration(config).save_pretrained(folder)
    word_tokenizer(folder, WORDS_OF_WRITER)
    return folder


def targets_here():
    """An encoder-decoder learns to say words backwards; Python writes the same targets."""
    folder, out = tiny_writer(), support.WORK / "out"
    words = WORDS_OF_WRITER
    rows = [{"text": f"{a} {b}", "target": f"{b} {a}"} for a in words for b in words if a != b]
    path = write_rows(rows, "rows.jsonl")
    peft("train", model_name_or_path=folder, dataset_name=path, output_dir=out, task_type="SEQ_2_SEQ_LM",
         lora_target_modules="all-linear", lora_dropout=0, dtype="float32", per_device_train_batch_size=16,
         **{**STEPS, "max_steps": 40})
    ours = peft("predict", model_name_or_path=folder, adapter=out, input=path, dtype="float32",
                max_new_tokens=6).splitlines()
    model = PeftModel.from_pretrained(T5ForConditionalGeneration.from_pretrained(folder), out).eval()
    reader = AutoTokenizer.from_pretrained(folder)
    batch = reader([row["text"] for row in rows], return_tensors="pt", padding=True)
    python = reader.batch_decode(model.generate(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"],
                                                max_new_tokens=6, do_sample=False), skip_special_tokens=True)
    assert ours == python, [pair for pair in zip(ours, python) if pair[0] != pair[1]][:3]
    assert len(set(ours)) > 5, "all targets are alike"


def embeddings():
    """The vectors of texts, as the checkpoint's own files ask for them."""
    texts = [row["text"] for row in lines_of(DATA / "heldout.jsonl")[:20]]
    path = write_rows([{"text": text} for text in texts], "texts.jsonl")
    ours = torch.tensor([json.loads(line) for line in peft(
        "embed", model_name_or_path=MINILM, input=path, dtype="float32", batch_size=6).splitlines()])
    model = AutoModel.from_pretrained(MINILM).eval()
    batch = tokenizer()(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1).float()
    python = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1))
    cosine = torch.nn.functional.cosine_similarity(ours, python)
    assert cosine.min() >= 0.99999, cosine.min()
    expect_close(ours.norm(dim=1), torch.ones(len(texts)), 1e-5, "lengths")


def csv_data():
    """A CSV file with other names for its columns is the same data set."""
    rows = lines_of(DATA / "train.jsonl")[:40]
    path = support.WORK / "rows.csv"
    quoted = ['"' + row["text"].replace('"', '""') + f'",{row["label"]}' for row in rows]
    path.write_text("sentence,kind\r\n" + "\r\n".join(quoted) + "\r\n")
    adapters = []
    for name, flags in (("jsonl", {"dataset_name": write_rows(rows, "rows.jsonl")}),
                        ("csv", {"dataset_name": path, "text_column": "sentence", "label_column": "kind"})):
        out = support.WORK / name
        peft("train", model_name_or_path=MINILM, output_dir=out, task_type="SEQ_CLS", dtype="float32", **flags, **STEPS)
        adapters.append(load_peft_weights(out))
    assert all(torch.equal(adapters[0][key], adapters[1][key]) for key in adapters[0])


def whole_run():
    """Python PEFT gets the same accuracy from the adapter of a whole quickstart."""
    rows, report = lines_of(DATA / "heldout.jsonl"), json.loads((RUN / "report.json").read_text())
    labels = labels_of(RUN / "adapter")
    shares = python_classes(RUN / "adapter", labels, rows)
    right = sum(labels[int(share.argmax())] == row["label"] for share, row in zip(shares, rows, strict=True))
    print(f"accuracy: {report['accuracy_after']:.4f} here, {right / len(rows):.4f} in Python")
    assert right / len(rows) == report["accuracy_after"]


CASES = {
    "sequences, trained here": sequences_here,
    "sequences, LoRA written by Python": lambda: sequences_there(lambda **task: LoraConfig(r=4, **task)),
    "sequences, a prompt written by Python": lambda: sequences_there(
        lambda **task: PromptTuningConfig(num_virtual_tokens=4, **task)),
    "sequences, a prefix written by Python": lambda: sequences_there(
        lambda **task: PrefixTuningConfig(num_virtual_tokens=4, **task)),
    "tokens, trained here": tokens_here,
    "sequences, a prompt of several tasks": several_tasks_there,
    "answers, trained here": answers_here,
    "answers in long contexts": long_contexts,
    "targets, trained here": targets_here,
    "embeddings": embeddings,
    "a data set in CSV": csv_data,
}
run_cases({"whole run": whole_run} if RUN else CASES)
