#!/usr/bin/env bash
# nemocc-data: a corpus to the bytes that Megatron's preprocessing gives (tests/fixtures/corpus.py), from files and a
# pipe; what is wrong is told; a full disk and a signal lose nothing.
set -eu
here=tests/fixtures/corpus
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gpt2=(--tokenizer tests/fixtures/tokenizers/gpt2.json --append-eod --eod "<|endoftext|>")
same() { cmp "$1.bin" "$2.bin" && cmp "$1.idx" "$2.idx"; }
nothing() { # nothing FILES: none of them is there
    for file; do [ ! -e "$file" ] || { echo "left: $file" && return 1; }; done
}
fails() { # fails CODE PATTERN COMMAND...
    local want=$1 pattern=$2 code=0
    shift 2
    "$@" >"$work/log" 2>&1 || code=$?
    [ $code -eq "$want" ] && grep -qE -- "$pattern" "$work/log" && return
    echo "code $code, wanted $want and '$pattern', of: $*"
    cat "$work/log"
    return 1
}

# the bytes
nemocc-data tokenize "${gpt2[@]}" --out "$work/a" $here/nasty.jsonl | grep -q '8 documents, .* tokens, uint16'
same "$work/a" $here/nasty
nemocc-data tokenize "${gpt2[@]}" --eod 0 --workers 3 --out "$work/pipe" - <$here/nasty.jsonl >/dev/null
same "$work/pipe" $here/nasty
nemocc-data info "$work/a" | grep -q '^documents  8, 3 of them without a token'
nemocc-data info "$work/a" --tokenizer tests/fixtures/tokenizers/gpt2.json --tokens 4 --json | grep -q '"text": "Hello'
[ "$(ls "$work"/a.* | wc -l)" -eq 2 ]

# what is wrong
fails 1 'a.bin is there already' nemocc-data tokenize "${gpt2[@]}" --out "$work/a" $here/nasty.jsonl
fails 2 '--tokenizer PATH is missing' nemocc-data tokenize --out "$work/x" $here/nasty.jsonl
fails 2 'tokenize has no flag --worker; did you mean --workers' nemocc-data tokenize --worker 3
fails 2 "there is no verb 'tokenise'; did you mean 'tokenize'" nemocc-data tokenise
fails 2 '--dtype uint8 holds ids up to 255' nemocc-data tokenize "${gpt2[@]}" --dtype uint8 --out "$work/x" $here/nasty.jsonl
fails 2 'bytes does not say which token ends a document' nemocc-data tokenize --tokenizer bytes --append-eod --out "$work/x" README.md
fails 2 '--eod needs --append-eod' nemocc-data tokenize --tokenizer bytes --eod 0 --out "$work/x" README.md
fails 2 '--out .*x.bin: give the prefix alone: --out .*x$' nemocc-data tokenize "${gpt2[@]}" --out "$work/x.bin" $here/nasty.jsonl
: >"$work/empty.jsonl"
fails 0 'note: there was no document in what was read' nemocc-data tokenize "${gpt2[@]}" --out "$work/empty" "$work/empty.jsonl"
fails 1 'cannot open none.jsonl' nemocc-data tokenize "${gpt2[@]}" --out "$work/x" none.jsonl
printf '{"text": "a"}\n{"text": "b"\n{"text": "c"}\n{}\n' >"$work/bad.jsonl"
fails 1 "bad.jsonl:2: not JSON at byte 12.*--skip-bad" nemocc-data tokenize --tokenizer bytes --out "$work/x" "$work/bad.jsonl"
fails 1 'what a pipe gave must be given again' bash -c 'cd "$1" && : >- && exec nemocc-data tokenize --tokenizer bytes --out dash - <bad.jsonl' - "$work"
fails 0 'left out: .*bad.jsonl:2' nemocc-data tokenize --tokenizer bytes --out "$work/x" --skip-bad "$work/bad.jsonl"
grep -q '2 documents, 2 tokens' "$work/log"
grep -q '2 lines were left out' "$work/log"
fails 1 'x.idx cannot be read: it ends too early' env sh -c "truncate -s 40 '$work/x.idx'; nemocc-data info '$work/x'"

fails 1 'nasty.jsonl:1: "more" is an object, not a string' nemocc-data tokenize "${gpt2[@]}" --json-key more --out "$work/y" $here/nasty.jsonl

# text: what a document is
printf 'one\ntwo\n\n\nthree' >"$work/t.txt"
for rule in file:1 lines:3 paragraphs:2; do
    nemocc-data tokenize --tokenizer bytes --documents ${rule%:*} --out "$work/${rule%:*}" "$work/t.txt" | grep -q ": ${rule#*:} documents"
done

# a disk that is full, then not
for i in 1 2 3 4 5 6; do awk -f tests/text.awk; done >"$work/text"
lines=(--tokenizer bytes --documents lines --dtype int32)
nemocc-data tokenize "${lines[@]}" --out "$work/whole" "$work/text" "$work/text" "$work/text" >/dev/null
fails 1 'cannot write .*full.bin.part: File too large.*goes on from here' \
    bash -c 'ulimit -f 1500; exec nemocc-data tokenize "$@"' - "${lines[@]}" --out "$work/full" "$work/text" "$work/text" "$work/text"
[[ ! -e "$work/full.bin" && ! -e "$work/full.idx" ]]
fails 1 'input was 3 files .*and now it is 1 file .*--fresh' nemocc-data tokenize "${lines[@]}" --out "$work/full" "$work/text"
fails 1 'full.journal.part is of a tokenize that was interrupted' nemocc-data merge --out "$work/full" $here/nasty
fails 1 'full.journal.part is of a tokenize that was interrupted' nemocc-data tokenize "${lines[@]}" --out "$work/full" - <"$work/text"
for kind in bin idx; do cp $here/nasty.$kind "$work/full.$kind"; done
mv "$work/full.bin.part" "$work/full.kept"
fails 1 'full.bin is there already, and is not what .*full.journal.part tells of' nemocc-data tokenize "${lines[@]}" --out "$work/full" "$work/text" "$work/text" "$work/text"
rm "$work/full.bin" "$work/full.idx"
mv "$work/full.kept" "$work/full.bin.part"
fails 0 'going on after' nemocc-data tokenize "${lines[@]}" --out "$work/full" "$work/text" "$work/text" "$work/text"
same "$work/full" "$work/whole"
[ "$(ls "$work"/full.* | wc -l)" -eq 2 ]

# all files of a tokenizer count: another vocabulary does not go on
cp -r tests/fixtures/tokenizers/gpt2_added "$work/own"
own=(--tokenizer "$work/own" --documents lines --dtype int32 --out "$work/files" "$work/text" "$work/text" "$work/text")
fails 1 'goes on from here' bash -c 'ulimit -f 1000; exec nemocc-data tokenize "$@"' - "${own[@]}"
for change in vocab.json: merges.txt:#version tokenizer_config.json: special_tokens_map.json: added_tokens.json:; do
    file=${change%:*}
    echo "${change#*:}" >>"$work/own/$file"
    fails 1 'tokenizer was .*and now it is .*--fresh' nemocc-data tokenize "${own[@]}"
    cp "tests/fixtures/tokenizers/gpt2_added/$file" "$work/own/$file"
done
fails 0 'going on after' nemocc-data tokenize "${own[@]}"

# corpora as one
nemocc-data merge --out "$work/twice" $here/nasty.bin $here/nasty | grep -q '2 sets'
cat $here/nasty.bin $here/nasty.bin | cmp - "$work/twice.bin"
nemocc-data info "$work/twice.idx" --json | grep -q '"documents": 16, "documents_without_tokens": 6, "sequences": 12'
nemocc-data tokenize "${gpt2[@]}" --out "$work/both" $here/nasty.jsonl $here/nasty.jsonl >/dev/null
same "$work/both" "$work/twice"
fails 2 'is of uint16, and the set before it of int32' nemocc-data merge --out "$work/x2" "$work/whole" $here/nasty
fails 1 'File too large' bash -c 'ulimit -f 100; exec nemocc-data merge "$@"' - --out "$work/x2" "$work/whole"
nothing "$work"/x2.*
echo mine >"$work/x2.sequences.part"
fails 1 'x2.sequences.part is there already' nemocc-data merge --out "$work/x2" "$work/whole"
fails 1 'x2.sequences.part is there already' nemocc-data tokenize "${gpt2[@]}" --out "$work/x2" $here/nasty.jsonl
nothing "$work/x2.bin.part"
grep -q mine "$work/x2.sequences.part"
nemocc-data tokenize "${gpt2[@]}" --fresh --out "$work/x2" $here/nasty.jsonl >/dev/null
same "$work/x2" $here/nasty

# and it is trained on
"${NEMOCC_BUILD:-build}/runtime/fake" --data "$work/whole" --steps 2 --seq 16 --threads 1 | grep -q 'done at step 2 of 2'

# two at once: the second is refused
mkfifo "$work/slow"
nemocc-data tokenize --tokenizer bytes --documents lines --out "$work/two" "$work/slow" >/dev/null 2>&1 &
pid=$!
exec 3>"$work/slow"
fails 1 'another process writes .*two.bin.part' nemocc-data tokenize "${lines[@]}" --out "$work/two" "$work/text"
kill -TERM $pid # then whoever feeds the pipe ends, too: what came is not the corpus
exec 3>&-
code=0
wait $pid || code=$?
[ $code -eq 1 ]
nothing "$work"/two.*
