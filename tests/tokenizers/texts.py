"""Texts for the tokenizer tests: a stream of mixed lines that is the same on every machine."""

import random

ENGLISH = """The quick brown fox jumps over the lazy dog. It's 12:45, we'll pay $12.50 (twelve euros
fifty) — isn't that what I'D said? YOU'RE late, they'Ve gone; the 3rd train left at half past three.
“Quotes” in a naïve café, a résumé and a déjà vu. Please book a table for the day after tomorrow, and
tell Anna that the journey from Lisbon to Porto takes about three hours by train.""".split()
CHINESE = "今天我们去公园散步，天气很好。机器学习模型需要大量数据！价格是一百二十三元（约合１８美元）。人工智能技术正在改变世界"
ARABIC = "مرحبا بالعالم، كيف حالك اليوم؟ السعر ١٢٣ ريال. اللغة العربية جميلة جدًّا ولها تاريخ طويل".split()
HINDI = "नमस्ते दुनिया, आज मौसम कैसा है? कीमत १२३ रुपये है। हिन्दी भाषा बहुत सुंदर है क्षत्रिय".split()
OTHER = """Ελληνικά Русский язык 日本語のテキスト、カタカナ 한국어 텍스트입니다 ไทยภาษา עברית Ünïcödé ﬁ ﬂ
½ ² Å Å ǅ ſ 'ſ İ ı ß ẞ ㍿ ﷺ ｶﾞ Ｆｕｌｌ ①②Ⅷ ٣ ৪ ጀ ᚁ""".split()
EMOJI = "😀😂🤷🏽‍♀️👩‍👩‍👧‍👦🇩🇪🏳️‍🌈❤️✈️🧑‍💻👍🏿🫠🪿"
CODE = """def forward(self, x):
    return F.linear(x, self.weight) + self.bias  # y = xWᵀ + b
for (int i = 0; i < n; ++i) { a[i] += b[i] * 0.5f; }
#include <vector>
template <typename T> auto operator<=>(const T&) -> int;
{"name": "Anna", "time": "15:30", "price": 12.50, "tags": ["a", "b"]}
<div class="row">&nbsp;</div>
SELECT * FROM users WHERE id != 42 AND name LIKE '%x_%';
if __name__ == "__main__":
\tmain(sys.argv[1:])""".split("\n")
SIGNS = ["'s", "'S", "'LL", "'ve", "don't", "''", '"', "->", "!=", "==>", "___", "...", "'tis", "\\n", "{}", "//"]
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ", "\u00a0", "\u3000", "\u2028", "\u0085", "\x0b",
          "\x0c", "\u200b", "      \n   x"]
SPECIALS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<s>", "</s>", "<unk>", "<0x41>", "<mask>",
            "<|extra|>", " <mask> "]
COMBINING = "Ae\u0301\u0323\u0308\xe9\u1e69\u0307\u1100\u1161\u11a8\uac00\u0915\u093c\u0958\u0334\u05b0\u05bc\u0345\u03b9\u1f80"


def _any_character(rng):
    while True:
        code_point = rng.randrange(0x110000)
        if not 0xD800 <= code_point <= 0xDFFF:
            return chr(code_point)


def _bytes(rng):
    return bytes(rng.randrange(256) for _ in range(rng.randint(1, 20)))


def _some(rng, words, most, glue=" "):
    return glue.join(rng.choice(words) for _ in range(rng.randint(1, most)))


def _chinese(rng):
    begin = rng.randrange(len(CHINESE))
    return CHINESE[begin : begin + rng.randint(1, 20)]


PIECES = [
    lambda rng: _some(rng, ENGLISH, 15),
    _chinese,
    lambda rng: _some(rng, ARABIC, 10),
    lambda rng: _some(rng, HINDI, 10),
    lambda rng: rng.choice(CODE),
    lambda rng: _some(rng, EMOJI, 6, ""),
    lambda rng: "".join(chr(rng.randrange(32)) for _ in range(rng.randint(1, 5))),
    lambda rng: _bytes(rng).decode("utf8", "replace"),
    lambda rng: _bytes(rng).decode("latin1"),
    lambda rng: rng.choice(SPACES),
    lambda rng: rng.choice(OTHER),
    lambda rng: str(rng.randrange(10 ** rng.randint(1, 12))),
    lambda rng: rng.choice(SPECIALS if rng.random() < 0.4 else SPACES),
    _any_character,
    lambda rng: _some(rng, COMBINING, 8, ""),
    lambda rng: rng.choice(SIGNS),
]


def lines(count, seed=0):
    """`count` texts, each of one to six pieces of different kinds."""
    rng = random.Random(seed)
    for _ in range(count):
        glue = rng.choice(["", " ", "", " ", "\n"])
        yield glue.join(rng.choice(PIECES)(rng) for _ in range(rng.randint(1, 6)))
