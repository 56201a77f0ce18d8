#!/usr/bin/env bash
# nemocc-data train-tokenizer: what it trains tokenises a corpus with far fewer tokens than bytes, and reads them back;
# flags are checked; a signal leaves no file. The merges themselves: tests/runtime/train_tokenizer_test.c.
set -eu
corpus=tests/fixtures/trained/corpus.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fails() { # fails CODE PATTERN COMMAND...
    local want=$1 pattern=$2 code=0
    shift 2
    "$@" >"$work/log" 2>&1 || code=$?
    [ $code -eq "$want" ] && grep -qE -- "$pattern" "$work/log" && return
    echo "code $code, wanted $want and '$pattern', of: $*"
    cat "$work/log"
    return 1
}

nemocc-data train-tokenizer --vocab-size 500 --out "$work/t.json" $corpus | grep -q '500 pieces, 243 merges'
nemocc-data tokenize --tokenizer "$work/t.json" --append-eod --eod '<|endoftext|>' --out "$work/c" $corpus >/dev/null
nemocc-data info "$work/c" --tokenizer "$work/t.json" --json | grep -q '"text": "The boats of the harbour leave'
[ "$(stat -c %s "$work/c.bin")" -lt "$(stat -c %s $corpus)" ] # two bytes a token

# a pipe, other special tokens, several files and threads
cat $corpus | nemocc-data train-tokenizer --vocab-size 400 --documents lines --special '<s>' --special '</s>' --workers 2 --out "$work/p.json" - >/dev/null
grep -q '"id": 1, .*"content": "</s>"' "$work/p.json"
nemocc-data train-tokenizer --vocab-size 400 --special '<s>' --special '</s>' --workers 1 --out "$work/f.json" $corpus >/dev/null
cmp "$work/p.json" "$work/f.json"
fails 0 'fewer than 9000 pieces' nemocc-data train-tokenizer --vocab-size 9000 --min-frequency 3 --out "$work/g.json" $corpus $corpus
fails 0 'more words than --max-words 20' nemocc-data train-tokenizer --vocab-size 300 --max-words 20 --out "$work/h.json" $corpus

# what is wrong
fails 2 't.json is there already' nemocc-data train-tokenizer --vocab-size 500 --out "$work/t.json" $corpus
fails 2 '--vocab-size N is missing' nemocc-data train-tokenizer --out "$work/x.json" $corpus
fails 2 'no room for 257' nemocc-data train-tokenizer --vocab-size 256 --out "$work/x.json" $corpus
fails 2 '--regex' nemocc-data train-tokenizer --vocab-size 500 --regex llama4 --out "$work/x.json" $corpus
fails 2 'no text in UTF-8' nemocc-data train-tokenizer --vocab-size 500 --special "$(printf '\377')" --out "$work/x.json" $corpus
fails 1 'none.txt' nemocc-data train-tokenizer --vocab-size 500 --out "$work/x.json" none.txt
fails 1 'nowhere' nemocc-data train-tokenizer --vocab-size 300 --out "$work/nowhere/x.json" $corpus

# a signal, while it waits for more text
mkfifo "$work/pipe"
nemocc-data train-tokenizer --vocab-size 500 --documents lines --out "$work/x.json" "$work/pipe" >"$work/log" 2>&1 &
pid=$!
exec 3>"$work/pipe"
cat $corpus >&3
kill -TERM $pid
cat $corpus >&3 2>/dev/null || true
exec 3>&-
code=0
wait $pid || code=$?
[[ $code -ne 0 && ! -e "$work/x.json" && ! -e "$work/x.json.part" ]]
