"""What a trainer learns of a row, from the ids and labels it made."""


def pieces(tokenizer, ids, labels):
    """The row in pieces of trained and untrained tokens."""
    found = []
    for id, label in zip(ids, labels, strict=True):
        if not found or found[-1]["trained"] != (label != -100):
            found.append({"trained": label != -100, "ids": []})
        found[-1]["ids"].append(id)
    return [{"trained": piece["trained"], "text": tokenizer.decode(piece["ids"])} for piece in found]
