"""Writes golden/chat_template.json: what Python makes of chat templates, for chat_template_test.cpp.

The oracle is transformers' own compiled environment. Run with a Python that has transformers 5.17.0
and jinja2 3.1 (and, for the real template, gguf and the model that the set-up script fetches):
    python tests/tokenizers/chat_template_golden.py
"""

import json
import pathlib

import jinja2
import transformers
from transformers.utils import chat_template_utils

import chat_template_families as families
import chat_template_pieces as pieces

HERE = pathlib.Path(__file__).resolve().parent
MODEL = HERE.parents[1] / ".deps" / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"


def byte_ranges(text, ranges):
    """Python counts characters; C++ counts bytes."""
    return [[len(text[:a].encode()), len(text[:b].encode())] for a, b in ranges]


def run(source, messages, tools=None, add_generation_prompt=False, **variables):
    """What comes out: text and generation ranges, or the kind of the error."""
    try:
        compiled = chat_template_utils._compile_jinja_template(source)
    except (jinja2.exceptions.TemplateSyntaxError, SyntaxError):
        return {"error": "syntax"}
    try:
        text, ranges = chat_template_utils._render_with_assistant_indices(
            compiled, messages, tools, None, add_generation_prompt, **variables
        )
    except Exception:  # whatever Python raises, the C++ side must raise too
        return {"error": "run time"}
    return {"text": text, "generation": byte_ranges(text, ranges)}


def smollm2():
    from gguf import GGUFReader

    field = GGUFReader(MODEL).fields["tokenizer.chat_template"]
    return bytes(field.parts[field.data[0]]).decode()


def main():
    templates = dict(families.TEMPLATES, smollm2=smollm2())
    whole = [
        {"template": name, "conversation": index, "tools": tools is not None, "prompt": prompt}
        | run(source, messages, tools, prompt, **families.VARIABLES)
        for name, source in templates.items()
        for index, messages in enumerate(families.CONVERSATIONS)
        for tools in (None, families.TOOLS)
        for prompt in (False, True)
    ]
    small = [
        {"source": source} | run(source, pieces.MESSAGES, **pieces.VARIABLES)
        for source in pieces.PIECES
    ]
    golden = {
        "made_by": "tests/tokenizers/chat_template_golden.py",
        "versions": {"transformers": transformers.__version__, "jinja2": jinja2.__version__},
        "templates": {
            "sources": templates,
            "conversations": families.CONVERSATIONS,
            "tools": families.TOOLS,
            "variables": families.VARIABLES,
            "cases": whole,
        },
        "pieces": {"messages": pieces.MESSAGES, "variables": pieces.VARIABLES, "cases": small},
    }
    folder = HERE / "golden"
    folder.mkdir(exist_ok=True)
    text = json.dumps(golden, ensure_ascii=False, indent=0)
    (folder / "chat_template.json").write_text(text + "\n")
    for name in ("templates", "pieces"):
        cases = golden[name]["cases"]
        errors = sum("error" in case for case in cases)
        print(f"{name}: {len(cases)} cases, {errors} of them errors")


if __name__ == "__main__":
    main()
