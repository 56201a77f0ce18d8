# What bench/tokenize.sh needs of huggingface/tokenizers (and numpy): a tokenizer, a corpus, and the peer that encodes it.
#   train TEXT TOKENIZER SIZE | corpus TEXT JSONL MB | encode TOKENIZER JSONL OUT
import json
import random
import sys


def train(text, path, size):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train([text], trainers.BpeTrainer(vocab_size=int(size), special_tokens=["<|endoftext|>"], show_progress=False,
                                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.save(path)


def corpus(text, path, mb):
    """Documents of 2500 characters in the mean, parts of the text from anywhere; every second one with \\u escapes."""
    random.seed(7)
    text = open(text, encoding="utf-8").read()
    left, i = int(mb) * 10**6, 0
    with open(path, "w") as out:
        while left > 0:
            n = int(random.expovariate(1 / 2500)) + 20
            at = random.randrange(len(text) - n)
            line = json.dumps({"id": i, "text": text[at:at + n]}, ensure_ascii=i % 2 == 0) + "\n"
            left -= out.write(line)
            i += 1


def encode(tokenizer, path, out):
    import numpy
    from tokenizers import Tokenizer
    t = Tokenizer.from_file(tokenizer)
    eod = t.token_to_id("<|endoftext|>")

    def flush(batch, file):
        for e in t.encode_batch_fast(batch, add_special_tokens=False):
            numpy.array(e.ids + [eod], numpy.uint16).tofile(file)

    batch = []
    with open(path) as lines, open(out, "wb") as file:
        for line in lines:
            batch.append(json.loads(line)["text"])
            if len(batch) == 1000:
                flush(batch, file)
                batch = []
        flush(batch, file)


{"train": train, "corpus": corpus, "encode": encode}[sys.argv[1]](*sys.argv[2:])
