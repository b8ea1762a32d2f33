"""Python's huggingface_hub and `peft` on one Hub and in one cache.

usage: hub_test.py PEFT WORK FAKE_HUB      FAKE_HUB is the server of tests/hub
"""

import json
import os
import shutil
import subprocess
import sys
import traceback
from pathlib import Path

PEFT, WORK, FAKE_HUB = sys.argv[1], Path(sys.argv[2]).resolve(), sys.argv[3]
TOKEN = "hf_testtokentesttoken"
server = subprocess.Popen([FAKE_HUB], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
# Before the import: huggingface_hub reads its environment once.
os.environ.update(HF_ENDPOINT=server.stdout.readline().strip(), HF_HUB_DISABLE_XET="1",
                  HF_HUB_OFFLINE="0", TRANSFORMERS_OFFLINE="0", HF_TOKEN=TOKEN,
                  HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HOME=str(WORK / "home"))

import numpy as np  # noqa: E402
from huggingface_hub import (HfApi, get_cached_repo_tree, get_token, hf_hub_download,  # noqa: E402
                             scan_cache_dir, snapshot_download, try_to_load_from_cache)
from safetensors.numpy import save_file  # noqa: E402

WEIGHTS = bytes(range(256)) * 2000
FILES = {"adapter_config.json": b'{"peft_type": "LORA"}\n', "adapter_model.safetensors": WEIGHTS,
         "nested/notes \xe4.txt": b"text", "README.md": b"---\nlibrary_name: peft\n---\n# Adapter\n"}


def make_folder(name, files=None):
    folder = WORK / name
    for path, content in (files or FILES).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def peft(*arguments, **environment):
    done = subprocess.run([PEFT, *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, **environment})
    assert TOKEN not in done.stdout + done.stderr, "the token was printed"
    if done.returncode != 0:
        raise AssertionError(f"exit status {done.returncode}: {arguments}\n{done.stderr}")
    return done.stdout.strip()


def same_files(folder, files=None):
    for path, content in (files or FILES).items():
        assert (Path(folder) / path).read_bytes() == content, path


def pushed_here_pulled_there():
    url = peft("push", make_folder("source"), "org/ours")
    cache = WORK / "cache_of_python"
    folder = snapshot_download("org/ours", cache_dir=cache)
    same_files(folder)
    assert url.endswith("/commit/" + Path(folder).name), url
    assert HfApi().model_info("org/ours").sha == Path(folder).name


def pushed_there_pulled_here():
    info = HfApi()
    info.create_repo("org/theirs")
    commit = info.upload_folder(folder_path=make_folder("source"), repo_id="org/theirs")
    folder = peft("pull", "org/theirs", "--cache_dir", WORK / "cache_of_peft")
    same_files(folder)
    assert Path(folder).name == commit.oid


def our_cache_is_theirs():
    peft("push", make_folder("source"), "org/cached")
    cache = WORK / "cache"
    folder = Path(peft("pull", "org/cached", "--cache_dir", cache))
    found = scan_cache_dir(cache)
    assert not found.warnings, found.warnings
    assert not found.incomplete_files, found.incomplete_files
    (repo,) = found.repos
    assert repo.repo_id == "org/cached" and repo.repo_type == "model"
    (revision,) = repo.revisions
    assert revision.commit_hash == folder.name and set(revision.refs) == {"main"}
    assert {file.file_name for file in revision.files} >= {Path(path).name for path in FILES}
    assert all(file.blob_path.parent.name == "blobs" for file in revision.files)
    for path in FILES:
        assert Path(try_to_load_from_cache("org/cached", path, cache_dir=cache)) == folder / path
    assert set(FILES) <= {file.path for file in get_cached_repo_tree("org/cached", cache_dir=cache)}
    # Whole in Python's eyes: it asks nothing of the network for these.
    assert snapshot_download("org/cached", cache_dir=cache, local_files_only=True) == str(folder)
    assert snapshot_download("org/cached", cache_dir=cache, revision=folder.name) == str(folder)


def their_cache_is_ours():
    peft("push", make_folder("source"), "org/cached2")
    cache = WORK / "cache"
    folder = snapshot_download("org/cached2", cache_dir=cache)
    before = {path: path.lstat().st_mtime_ns for path in Path(folder).rglob("*")}
    assert peft("pull", "org/cached2", "--cache_dir", cache, HF_HUB_OFFLINE="1") == folder
    assert peft("pull", "org/cached2", "--cache_dir", cache) == folder
    assert before == {path: path.lstat().st_mtime_ns for path in Path(folder).rglob("*")}
    # One file that Python fetched is not fetched again, and the rest is completed.
    peft("push", make_folder("source"), "org/part")
    one = hf_hub_download("org/part", "adapter_model.safetensors", cache_dir=cache)
    inode = Path(one).stat().st_ino
    same_files(peft("pull", "org/part", "--cache_dir", cache))
    assert Path(one).stat().st_ino == inode


def both_at_once():
    peft("push", make_folder("source"), "org/both")
    cache = WORK / "cache"
    ours = subprocess.Popen([PEFT, "pull", "org/both", "--cache_dir", str(cache)],
                            stdout=subprocess.PIPE, text=True)
    theirs = snapshot_download("org/both", cache_dir=cache)
    assert ours.communicate()[0].strip() == theirs and ours.returncode == 0
    same_files(theirs)
    assert not scan_cache_dir(cache).incomplete_files


def pull_requests_and_branches():
    peft("push", make_folder("source"), "org/pr")
    changed = make_folder("changed", {**FILES, "adapter_config.json": b"{}"})
    peft("push", changed, "org/pr", "--create_pr")
    same_files(snapshot_download("org/pr", cache_dir=WORK / "cache"))
    same_files(snapshot_download("org/pr", revision="refs/pr/1", cache_dir=WORK / "cache"),
               {**FILES, "adapter_config.json": b"{}"})
    peft("push", changed, "org/pr", "--revision", "next")
    theirs = snapshot_download("org/pr", revision="next", cache_dir=WORK / "cache")
    assert peft("pull", "org/pr", "--revision", "next", "--cache_dir", WORK / "cache") == theirs


def filters_choose_the_same():
    peft("push", make_folder("source"), "org/filter")
    for include, exclude in ((["*.json", "*.md"], []), ([], ["*.safetensors"]), (["nested/"], []),
                             (["[a-b]*"], ["*config*"]), (["*"], ["?E*"])):
        ours = Path(peft("pull", "org/filter", "--cache_dir", WORK / "a",
                         *(["--include", *include] if include else []),
                         *(["--exclude", *exclude] if exclude else [])))
        theirs = Path(snapshot_download("org/filter", cache_dir=WORK / "b",
                                        allow_patterns=include or None,
                                        ignore_patterns=exclude or None))
        names = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*")
                        if path.is_file()) for folder in (ours, theirs)]
        assert names[0] == names[1], (include, exclude, names)
        shutil.rmtree(WORK / "a")
        shutil.rmtree(WORK / "b")


def a_login_serves_both():
    home = WORK / "login_home"
    environment = {"HF_HOME": str(home), "HF_TOKEN": ""}
    done = subprocess.run([PEFT, "login"], input=TOKEN + "\n", capture_output=True, text=True,
                          env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert json.loads(peft("whoami", "--json", **environment))["name"] == "tester"
    script = "import huggingface_hub as h; print(h.get_token(), h.utils._auth.get_stored_tokens())"
    python = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                            env={**os.environ, **environment})
    assert python.stdout.strip() == f"{TOKEN} {{'laptop': '{TOKEN}'}}", python.stdout + python.stderr
    assert get_token() == TOKEN


def tiny_llama(folder):
    """A checkpoint of one layer; this test has no need of torch."""
    random = np.random.default_rng(5)

    def weight(*shape):
        return (0.3 * random.standard_normal(shape)).astype(np.float32)

    layer = "model.layers.0."
    tensors = {"model.embed_tokens.weight": weight(32, 16), "lm_head.weight": weight(32, 16),
               "model.norm.weight": np.ones(16, np.float32),
               layer + "input_layernorm.weight": np.ones(16, np.float32),
               layer + "post_attention_layernorm.weight": np.ones(16, np.float32),
               layer + "mlp.gate_proj.weight": weight(24, 16),
               layer + "mlp.up_proj.weight": weight(24, 16),
               layer + "mlp.down_proj.weight": weight(16, 24)}
    for name in "qkvo":
        tensors[f"{layer}self_attn.{name}_proj.weight"] = weight(16, 16)
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 16,
        "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 2, "vocab_size": 32, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": False, "torch_dtype": "float32"}))
    return folder


def tiny_adapter(folder, seed):
    random = np.random.default_rng(seed)
    key = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    folder.mkdir(parents=True)
    save_file({key + "A.weight": random.standard_normal((2, 16)).astype(np.float32),
               key + "B.weight": random.standard_normal((16, 2)).astype(np.float32)},
              folder / "adapter_model.safetensors", {"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4,
        "target_modules": ["q_proj"]}))
    return folder


def names_in_place_of_folders():
    model = tiny_llama(WORK / "model")
    adapters = WORK / "adapters"
    tiny_adapter(adapters, 1)
    tiny_adapter(adapters / "second", 2)
    rows = WORK / "rows.jsonl"
    rows.write_text(json.dumps({"input_ids": [3, 1, 4, 1, 5, 9, 2, 6]}) + "\n")
    HfApi().create_repo("org/model")
    HfApi().upload_folder(folder_path=model, repo_id="org/model")
    peft("push", adapters, "org/adapters")
    peft("push", adapters / "second", "org/adapters", "--revision", "next")

    def scores(model, *adapter, **environment):
        return peft("score", "--model_name_or_path", model, "--input", rows,
                    *(["--adapter", *adapter] if adapter else []), **environment)

    plain, first, second = (scores(model), scores(model, adapters),
                            scores(model, adapters / "second"))
    assert len({plain, first, second}) == 3
    assert scores("org/model") == plain
    assert scores("org/model", "org/adapters") == first
    assert scores("org/model", "org/adapters/second") == second
    assert scores("hf://org/model@main", "org/adapters@next") == second
    assert scores("org/model", "org/adapters", HF_HUB_OFFLINE="1") == first
    wrong = subprocess.run([PEFT, "score", "--model_name_or_path", "org/model", "--input", rows,
                            "--adapter", "org/none"], capture_output=True, text=True)
    assert wrong.returncode == 1 and "no such repository" in wrong.stderr, wrong.stderr


failed = 0
for case in (pushed_here_pulled_there, pushed_there_pulled_here, our_cache_is_theirs,
             their_cache_is_ours, both_at_once, pull_requests_and_branches,
             filters_choose_the_same, a_login_serves_both, names_in_place_of_folders):
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    try:
        case()
        print(f"ok      {case.__name__}", flush=True)
    except Exception:
        failed += 1
        print(f"FAILED  {case.__name__}\n{traceback.format_exc()}", flush=True)
server.stdin.close()
server.wait()
sys.exit(1 if failed else 0)
