// The unigram language model's encoder (Kudo, 2018: arxiv.org/abs/1804.10959): of all ways to cut a
// text into pieces the one whose scores sum to most, by Viterbi's algorithm.
#ifndef NMRT_TOKENIZER_UNIGRAM_H
#define NMRT_TOKENIZER_UNIGRAM_H

#include "runtime/status.h"
#include "runtime/tokenizer/trie.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct nmrt_unigram {
    const nmrt_trie *trie; // of all pieces
    const double *score;   // of each; -INFINITY: no text is cut into it
    int32_t unknown;       // takes a character that is no piece; -1: there is none
    double unknown_score;  // of each
    bool singly;           // sums are kept in f32, as SentencePiece has them
} nmrt_unigram;

typedef struct nmrt_unigram_step { // the best way to cut a text up to some byte
    double sum;
    int32_t piece; // its last
    int32_t n;     // bytes of that; 0: there is no way
} nmrt_unigram_step;

typedef struct nmrt_unigram_path { // scratch; zero-initialised
    nmrt_unigram_step *step; // [n_step]: where the text's pieces end, in order; piece and from
    size_t n_step, cap;
} nmrt_unigram_path;

// Cuts a text of less than 2^31 bytes. Fails where a character is no piece and none is for that.
nmrt_status nmrt_unigram_cut(const nmrt_unigram *u, const char *text, size_t n,
                             nmrt_unigram_path *path, nmrt_error *e);
void nmrt_unigram_path_release(nmrt_unigram_path *path);

// How many bytes a character has whose first byte this is, as SentencePiece counts also in text
// that is no UTF-8: bytes 0x80 to 0xBF are characters of one.
static inline size_t nmrt_character_bytes(unsigned char first)
{
    return first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

#endif
