// What a SentencePiece .model says (sentencepiece_model.proto of github.com/google/sentencepiece),
// read and checked: its pieces, and how texts are rewritten before they are cut into pieces.
#ifndef NMRT_TOKENIZER_SPM_MODEL_H
#define NMRT_TOKENIZER_SPM_MODEL_H

#include "runtime/status.h"
#include "runtime/tokenizer/charsmap.h"
#include "runtime/tokenizer/trie.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NMRT_SPM_SPACE "\xE2\x96\x81" // U+2581, which stands for a space in pieces

typedef enum { // as numbered in the file
    NMRT_SPM_NORMAL = 1,
    NMRT_SPM_UNKNOWN = 2, // what no piece is: one of them
    NMRT_SPM_CONTROL = 3, // <s>: no text is cut into it, and it has none
    NMRT_SPM_USER = 4,    // wherever it stands in a text, it is a piece
    NMRT_SPM_UNUSED = 5,  // may be merged to, and is taken apart again
    NMRT_SPM_BYTE = 6,    // <0x0A>: a byte of what no piece is
} nmrt_spm_type;

typedef struct nmrt_spm_piece {
    const char *text; // n bytes of nmrt_spm_model.bytes
    uint32_t n;
    nmrt_spm_type type;
    float score;
} nmrt_spm_piece;

typedef struct nmrt_spm_rewriting { // NormalizerSpec
    bool there;
    nmrt_charsmap charsmap;
    bool dummy_prefix;        // a space before the text
    bool remove_extra_spaces; // at both ends, and all but one elsewhere
    bool escape_spaces;       // written as NMRT_SPM_SPACE
    bool space_behind;        // the added space stands behind the text
} nmrt_spm_rewriting;

typedef struct nmrt_spm_name { // a piece by its text in the file's options
    const char *text;
    size_t n;
} nmrt_spm_name;

typedef struct nmrt_spm_model {
    char *bytes; // a copy of the file
    nmrt_spm_piece *piece;
    int32_t n;
    nmrt_trie trie; // of all pieces
    nmrt_trie user; // of those of NMRT_SPM_USER alone
    bool unigram;   // else byte pair encoding
    bool byte_fallback;
    bool has_unused;
    bool spaces_lead;  // no normal piece has a space behind another character, and none is unused
    int32_t byte[256]; // with byte_fallback: the piece of each
    int32_t unknown;
    nmrt_spm_name unknown_text, eos;  // unknown_text: what it is read as
    nmrt_spm_rewriting before, after; // encoding; decoding (denormalizer_spec)
    float least;                      // score of a normal piece
} nmrt_spm_model;

// `name` is what messages call the file. Any bytes are survived. Released also where it fails.
nmrt_status nmrt_spm_model_read(nmrt_spm_model *m, const void *bytes, size_t n, const char *name,
                                nmrt_error *e);
void nmrt_spm_model_release(nmrt_spm_model *m);
// For nmrt_spm_model_read: checks what has been read, and fills what is looked up.
nmrt_status nmrt_spm_model_check(nmrt_spm_model *m, const char *name, nmrt_error *e);

int nmrt_spm_byte_of(const nmrt_spm_piece *p); // of <0x0A>: 10; -1: it has another text
// The piece with this text, or -1.
int32_t nmrt_spm_model_find(const nmrt_spm_model *m, const char *text, size_t n);

#endif
