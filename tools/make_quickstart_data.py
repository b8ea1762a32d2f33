#!/usr/bin/env python3
"""Make data/quickstart/{train,heldout}.jsonl, the data of `peft quickstart`.

usage: tools/make_quickstart_data.py [FOLDER]

The task: read one sentence about an appointment, a purchase or a journey and answer with a JSON
object of four fixed fields. Two are copied (who, what), two are normalised: "half past three in the
afternoon" becomes "15:30", "twelve euros fifty" becomes "12.50"; a field that the sentence does not
speak of is null.

Rows hold `prompt`, `completion` and `pattern`, the name of the sentence pattern. Half of the
held-out rows are other sentences of the patterns in train ("known"), half are of patterns that
train never has (their names begin with "new"). No held-out sentence occurs in train. The files are
a function of the seed alone.
"""

import json
import random
import sys
from pathlib import Path

SEED = 20
TRAIN_ROWS = 1056
HELDOUT_ROWS = 120  # of each kind: known patterns and new ones

NAMES = """Anna Ben Carla David Elena Felix Grace Hugo Irene Jonas Karin Leo Maria Nils Olga Paul
Rosa Simon Tara Victor Wanda Yusuf Zoe Amir Bruno Chloe Diego Emma Farid Greta Hana Ivan Julia Kenji
Laura Marco Nadia Omar Priya Rafael Sofia Tomas Uma Vera Lin Mei Aisha Oscar""".split()
VISITS = """dentist|doctor|hairdresser|optician|lawyer|tax adviser|vet|bank|driving instructor|
physiotherapist|estate agent|piano teacher|tailor|baker|notary|mechanic|eye doctor|swimming coach|
insurance agent|guitar teacher""".replace("\n", "").split("|")
GOODS = """suitcase|desk lamp|bicycle pump|coffee pot|school bag|chess board|rain coat|wool blanket|
frying pan|garden chair|phone cable|notebook|water bottle|table cloth|winter hat|tea kettle|travel
 guide|picture frame|wall clock|hand towel""".replace("\n", "").split("|")
CITIES = """Lisbon|Vienna|Oslo|Madrid|Prague|Dublin|Athens|Warsaw|Geneva|Hamburg|Milan|Porto|Cairo|
Kyoto|Boston|Lyon|Naples|Krakow|Helsinki|Toronto""".replace("\n", "").split("|")
NUMBERS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
           "fifteen sixteen seventeen eighteen nineteen twenty").split()
HOURS = [(hour, "in the morning") for hour in range(6, 12)]
HOURS += [(hour, "in the afternoon") for hour in range(13, 18)]
HOURS += [(hour, "in the evening") for hour in range(18, 22)]
MINUTES = [(0, "{} o'clock"), (15, "a quarter past {}"), (30, "half past {}")]

KNOWN = {
    "appointment": """{who} has an appointment with the {what} at {time}.
At {time}, {who} is going to see the {what}.
{who} will meet the {what} at {time}.
The {what} expects {who} at {time}.
Please remind {who} of the {what} at {time}.
{who} booked the {what} for {time}.
The {what} can see {who} at {time}.
Tomorrow at {time} {who} has to be at the {what}.
The meeting of {who} and the {what} starts at {time}.
It is with the {what} that {who} has an appointment, at {time}.
Put it down: {who}, {what}, {time}.
The {what} has moved the appointment of {who} to {time}.
{who} must not be late: the {what} is waiting at {time}.
An appointment at {time} was given to {who} by the {what}.
{who} called the {what} and got a place at {time}.
On Monday the {what} has time for {who} at {time}.""",
    "purchase": """{who} bought a new {what} for {price}.
For {price}, {who} got a {what} at the market.
{who} paid {price} for the {what}.
The {what} cost {who} {price}.
A {what} was sold to {who} for {price}.
{who} found a nice {what} and paid {price}.
The shop asked {price} for the {what}, and {who} took it.
{who} spent {price} on a {what}.
Yesterday {who} ordered a {what}, price {price}.
The bill for {who} says: one {what}, {price}.
{who} gave {price} in exchange for a {what}.
With {price} in hand, {who} went out and bought a {what}.
The price of the {what} was {price}, said {who}.
It took {who} only {price} to get the {what}.
At the flea market {who} picked up a {what} for {price}.
{who} wanted a {what} and was happy to pay {price}.""",
    "journey": """{who} takes the train to {what} at {time} and pays {price}.
The bus to {what} leaves at {time}; {who} has a ticket for {price}.
At {time} {who} leaves for {what}, the ticket was {price}.
{who} flies to {what} at {time} for {price}.
For {price}, {who} goes to {what} at {time}.
{who} is off to {what} at {time}; the fare is {price}.
A ticket to {what} for {price}, leaving at {time}, was booked by {who}.
The trip of {who} to {what} begins at {time} and costs {price}.
{who} paid {price} to travel to {what} at {time}.
It costs {who} {price} to go to {what} at {time}.
The ferry brings {who} to {what} at {time} for {price}.
To reach {what}, {who} sets out at {time} and spends {price}.
{who} will ride to {what}: departure at {time}, price {price}.
Next week {who} travels to {what} for {price}, starting at {time}.
The coach that {who} takes to {what} goes at {time} and costs {price}.
With a ticket for {price} {who} drives to {what} at {time}.""",
}
NEW = {
    "appointment": """{who} should go and see the {what}, who is free at {time}.
There is an appointment for {who} with the {what}: {time}.
Do not forget that {who} visits the {what} at {time}.""",
    "purchase": """{who} came home with a {what} that had cost {price}.
Somebody sold {who} a {what}; the price was {price}.
{price} was what {who} paid for a {what}.""",
    "journey": """{who} wants to be on the train to {what} at {time}, which costs {price}.
The journey to {what} costs {who} {price} and starts at {time}.""",
}


class Deck:
    """Deals every card once before it shuffles again, so that all of them are seen equally often."""

    def __init__(self, rng, cards):
        self.rng, self.cards, self.left = rng, list(cards), []

    def deal(self):
        if not self.left:
            self.left = self.cards[:]
            self.rng.shuffle(self.left)
        return self.left.pop()


def times():
    for hour, part in HOURS:
        for minute, words in MINUTES:
            spoken = words.format(NUMBERS[hour if hour <= 12 else hour - 12])
            yield f"{spoken} {part}", f"{hour:02d}:{minute:02d}"


def prices():
    for euros in range(2, 21):
        yield f"{NUMBERS[euros]} euros", f"{euros}.00"
        yield f"{NUMBERS[euros]} euros fifty", f"{euros}.50"


def named_patterns(families, prefix):
    return [(f"{prefix}-{kind}-{index + 1}", kind, line)
            for kind, lines in families.items() for index, line in enumerate(lines.split("\n"))]


class Writer:
    def __init__(self, seed):
        rng = random.Random(seed)
        self.rng = rng
        self.names = Deck(rng, NAMES)
        self.things = {"appointment": Deck(rng, VISITS), "purchase": Deck(rng, GOODS),
                       "journey": Deck(rng, CITIES)}
        self.times = Deck(rng, times())
        self.prices = Deck(rng, prices())
        self.seen = set()

    def row(self, name, kind, pattern):
        """A row whose sentence no earlier row has."""
        while True:
            fields = {"who": self.names.deal(), "what": self.things[kind].deal(),
                      "time": None, "price": None}
            words = {"who": fields["who"], "what": fields["what"]}
            if "{time}" in pattern:
                words["time"], fields["time"] = self.times.deal()
            if "{price}" in pattern:
                words["price"], fields["price"] = self.prices.deal()
            sentence = pattern.format(**words)
            sentence = sentence[0].upper() + sentence[1:]
            if sentence not in self.seen:
                self.seen.add(sentence)
                return {"prompt": f"{sentence}\nJSON:",
                        "completion": " " + json.dumps(fields, separators=(",", ":")),
                        "pattern": name}

    def rows(self, patterns, count):
        deck = Deck(self.rng, patterns)
        return [self.row(*deck.deal()) for _ in range(count)]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    print(f"{path}: {len(rows)} rows, {len({row['pattern'] for row in rows})} patterns")


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else
                  Path(__file__).resolve().parent.parent / "data" / "quickstart")
    writer = Writer(SEED)
    known = named_patterns(KNOWN, "known")
    write(folder / "train.jsonl", writer.rows(known, TRAIN_ROWS))
    heldout = writer.rows(known, HELDOUT_ROWS)
    heldout += writer.rows(named_patterns(NEW, "new"), HELDOUT_ROWS)
    writer.rng.shuffle(heldout)
    write(folder / "heldout.jsonl", heldout)


if __name__ == "__main__":
    main()
