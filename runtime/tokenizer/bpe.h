// Byte-pair encoding (Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword
// Units"): a word's characters, joined pair by pair in the order of the merges.
#ifndef NMRT_TOKENIZER_BPE_H
#define NMRT_TOKENIZER_BPE_H

#include "runtime/tokenizer/model.h"
#include "runtime/tokenizer/pairs.h"

typedef struct nmrt_bpe {
    nmrt_word_model model;
    nmrt_pairs merges;     // ids of two neighbours -> x: the merge's rank, y: the id of both
    int32_t first[0x200];  // the ids of characters below U+0200, without prefix and suffix; or -1
    int32_t fallback[256]; // the ids of "<0x00>" ..., or -1
    bool fuse_unk, byte_fallback, ignore_merges;
    int64_t unk;      // -1: unknown characters are left out, or, if
    bool unk_lost;    // the file names a piece for them that it does not have, a failure
    nmrt_text prefix; // of all characters of a word but the first
    nmrt_text suffix; // of its last
    bool cuts;        // no piece goes on from another character to U+2581: words may be cut there
} nmrt_bpe;

// bpe.c: for nmrt_bpe_type, which is in bpe_merge.c.
nmrt_status nmrt_bpe_read(nmrt_word_model *m, const nm_json *doc, int node, nmrt_error *e);
void nmrt_bpe_release(nmrt_word_model *m);

#endif
