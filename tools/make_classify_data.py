#!/usr/bin/env python3
"""Writes data/classify: sentences that people write to a shop, with what they are about.

usage: tools/make_classify_data.py

`train.jsonl` and `heldout.jsonl` hold rows {"text", "label"}. The held-out sentences are made from
patterns that train never has. The same seed gives the same files.
"""

import json
import pathlib
import random

SEED, TRAIN_ROWS, HELD_OUT_ROWS = 7, 85, 21  # rows of each class
FOLDER = pathlib.Path(__file__).resolve().parent.parent / "data" / "classify"
GREETINGS = ["Hello, ", "Hi, ", "Good morning, ", "Dear team, "]
SLOTS = {
    "item": [
        "kettle", "desk lamp", "rucksack", "wall clock", "coffee grinder", "office chair", "tent", "bicycle pump",
        "keyboard", "blender", "winter jacket", "yoga mat", "bookshelf", "frying pan", "suitcase", "camera strap"],
    "when": [
        "on Monday", "last Tuesday", "on Wednesday", "two weeks ago", "on Friday evening",
        "yesterday", "on the 3rd of May", "three days ago", "at the weekend", "last month"],
    "since": ["Monday", "last Tuesday", "Wednesday", "the 3rd of May", "the weekend", "last month"],
    "city": [
        "Leeds", "Porto", "Graz", "Utrecht", "Aarhus", "Lyon", "Turin", "Gdansk", "Bristol", "Ghent"],
    "amount": [
        "12 euros", "39.90", "eighty pounds", "15 dollars", "4.99 a month", "120 euros", "twenty francs", "64.50"],
    "number": [
        "4471", "A-2093", "77105", "10-334", "B9921", "55083", "3127", "K-808"],
}
# class: sentence patterns to train, and others that are held out
PATTERNS = {
    "billing": ([
        "I was charged {amount} twice for order {number}.",
        "Why does my invoice say {amount} when the shop showed less?",
        "My card was debited {amount} {when} but I bought nothing.",
        "Please send me the invoice for order {number}.", "The receipt for the {item} has the wrong tax rate.",
        "There is a payment of {amount} on my statement that I do not know.",
        "Can I pay for the {item} in instalments?", "The discount code was not taken off the price of the {item}.",
        "My bank refused the payment for order {number}.",
        "You billed my old address {when}, can the invoice be changed?",
        "I think the sum of {amount} is wrong.",
        "An extra {amount} was taken from my credit card.",
        "The voucher did not work when I paid."],
        [
        "Two identical sums left my bank account for a single {item}.",
        "I need a bill with my company's name on it for {number}.", "What is this fee of {amount} about?",
        "The voucher did nothing, I still had to pay the full price.",
        "Money was taken although the order failed {when}.",
        "Could the amount on the invoice be corrected, please?", "Which ways of paying do you take for a {item}?"]),
    "delivery": ([
        "Where is my parcel with the {item}?", "Order {number} should have arrived {when}.",
        "The courier left my {item} with a neighbour I do not know.", "How long does shipping to {city} take?",
        "Tracking for {number} has not moved since {since}.", "Can you deliver the {item} to {city} on a Saturday?",
        "The driver says nobody was home {when}, but I was.", "My package is stuck at the depot in {city}.",
        "Please ship order {number} to my office instead.", "What does sending a {item} to {city} cost?",
        "My order has not been delivered yet.",
        "I am still waiting for the {item}.",
        "Can I pick the parcel up at a shop in {city}?",
        "The parcel service brought the box to the wrong address."],
        [
        "I have been waiting for my {item} since {since} and nothing came.",
        "The van never stopped at our house in {city}.", "When will {number} be at my door?",
        "The carrier's page shows the same status for days.",
        "Is it possible to have it brought to a pick-up point in {city}?",
        "Someone else seems to have received what I ordered.", "Do you send things to {city} at all?"]),
    "returns": ([
        "I want to send the {item} back.", "How do I return order {number}?",
        "The {item} does not fit, can I exchange it for a larger one?",
        "I sent the {item} back {when} and still have no refund.", "Please give me a return label for {number}.",
        "Is the return of a {item} free of charge?", "I would like to swap the {item} for another colour.",
        "Until when can I give back what I bought {when}?",
        "My refund of {amount} for the returned {item} is missing.",
        "The {item} is not what I expected, I would rather have my money back.",
        "I do not want to keep the {item}, how can I give it back?",
        "Did my return of order {number} reach you?",
        "I would like another size of the {item}.",
        "I decided against the {item} and want to return it unused."],
        [
        "It is the wrong size, what must I do to get a different one?",
        "I changed my mind about the {item} and packed it up again.",
        "Have you received the box that I posted to you {when}?",
        "The money for the goods I gave back has not come.", "Could I trade this {item} for the blue one?",
        "How many days do I have to bring something back?", "A sticker for sending {number} back to you would help."]),
    "account": ([
        "I cannot log in to my account.", "Please reset my password.",
        "The code for signing in never arrives by text message.", "How do I change the e-mail address of my account?",
        "My account has been locked since {since}.", "I forgot which user name I registered with.",
        "Someone else logged in to my profile from {city}.", "Please delete my account and all my data.",
        "The confirmation mail for my registration did not come.", "How can I turn on two-step sign-in?",
        "What data do you keep about me, and can it be erased?",
        "I want to change my password.",
        "I cannot sign in, it says that my data is wrong."],
        [
        "The site keeps telling me that my password is wrong.",
        "I am shut out of my profile after too many attempts.", "My e-mail changed, where do I enter the new one?",
        "There was a sign-in from {city} that was not me.", "I never got the mail to finish signing up.",
        "Remove everything you have stored about me, please.", "Which name did I sign up with? I can't remember."]),
    "fault": ([
        "The {item} stopped working {when}.", "My {item} arrived broken.",
        "The {item} makes a loud noise and smells burnt.", "A part of the {item} is missing in the box.",
        "The {item} does not switch on any more.", "The handle of the {item} came off after a week.",
        "There is a crack in the {item} that I bought {when}.", "My {item} gets very hot and turns itself off.",
        "The zip of the {item} is torn.", "The screen of the app stays black when I connect the {item}.",
        "The {item} is damaged.",
        "My new {item} is defective.",
        "Half of the parts of the {item} were not in the package."],
        [
        "After a few days the {item} simply died.", "It came out of the package in pieces.",
        "Something rattles inside and it will not start.",
        "The screws that should come with the {item} were not there.", "It overheats within minutes of use.",
        "One side of the {item} is bent and cracked.", "Nothing happens when I press the button on my {item}."]),
    "cancel": ([
        "Please cancel order {number}.", "I want to end my subscription of {amount}.",
        "Can I still stop the order of the {item} that I made {when}?", "Cancel my membership at the end of the month.",
        "I ordered the {item} by mistake, please do not send it.", "How do I unsubscribe from the newsletter?",
        "Stop my monthly box from next month on.", "I no longer need order {number}, please call it off.",
        "I would like to terminate my contract.", "Take the {item} out of my order before it ships.",
        "Do not send me the {item}, I cancel the order.",
        "Please end my membership.",
        "I want to get out of my contract."],
        [
        "I no longer wish to receive the box every month.",
        "Kindly withdraw what I ordered {when}, it was an accident.", "No more advertising mails, please.",
        "I'd like out of my plan as soon as possible.", "The {item} has not left yet, so please do not dispatch it.",
        "Discontinue {number}, I found it elsewhere.", "How can my membership be brought to an end?"]),
    "product": ([
        "Does the {item} come with a warranty?", "Which colours does the {item} come in?",
        "Is the {item} waterproof?", "How heavy is the {item}?", "Will the {item} be in stock again soon?",
        "Is the {item} suitable for children?", "What material is the {item} made of?",
        "Does the {item} fit into hand luggage?", "What is the difference between the two models of the {item}?",
        "Can the {item} go into the dishwasher?",
        "How big is the {item}?",
        "How long is the guarantee on the {item}?",
        "When will the {item} be available again?"],
        [
        "Before I buy the {item}: can it get wet?", "When do you expect more of the {item} to be available?",
        "Tell me the measurements of the {item}, please.", "Would a ten-year-old be able to use this {item}?",
        "Is it made of steel or of plastic?", "For how many years do you guarantee the {item}?",
        "How does the cheaper {item} differ from the dear one?"]),
    "praise": ([
        "Thank you, the {item} is wonderful!", "Your colleague in {city} was very kind on the phone.",
        "The best {item} I have ever had.", "Great service, my parcel came a day early.",
        "I am very happy with my {item}, well done.", "Just wanted to say thanks for solving my problem {when}.",
        "Five stars for the quick answer about order {number}.", "My daughter loves the {item}, thank you so much.",
        "I will recommend your shop to everyone in {city}.", "Super quality and friendly people, keep it up!",
        "I really like the {item}, thanks!",
        "Everything was perfect.",
        "You have a very friendly team."],
        [
        "What a lovely {item}, we enjoy it every day!", "You people are fantastic, I have told all my friends.",
        "Compliments to whoever packed this so carefully.", "I did not expect such friendly help, much appreciated.",
        "The {item} is even nicer than in the pictures.", "Everything went perfectly, thanks a lot.",
        "Delighted with how you handled it {when}."]),
}


def sentence(pattern):
    return pattern.format(**{slot: random.choice(words) for slot, words in SLOTS.items()})


def greeted(text):
    first = text.split()[0]
    return random.choice(GREETINGS) + (text if first in ("I", "I'd") else text[0].lower() + text[1:])


def rows(part, count):
    """Patterns take turns; where a class has no more sentences, they begin with a greeting."""
    made = []
    for label, patterns in PATTERNS.items():
        seen = set()
        for turn in range(100 * count):
            text = sentence(patterns[part][turn % len(patterns[part])])
            if text in seen:
                text = greeted(text)
            if text not in seen:
                seen.add(text)
                made.append({"text": text, "label": label})
            if len(seen) == count:
                break
        assert len(seen) == count, f"{label}: {len(seen)} of {count} sentences"
    random.shuffle(made)
    return made


def main():
    random.seed(SEED)
    FOLDER.mkdir(parents=True, exist_ok=True)
    train, heldout = rows(0, TRAIN_ROWS), rows(1, HELD_OUT_ROWS)
    assert not {row["text"] for row in train} & {row["text"] for row in heldout}
    for name, part in (("train", train), ("heldout", heldout)):
        lines = "".join(json.dumps(row) + "\n" for row in part)
        (FOLDER / f"{name}.jsonl").write_text(lines)


main()
