// The alphabet of byte-level BPE (Radford et al. 2019, "Language Models are Unsupervised Multitask
// Learners"; GPT-2's encoder): each byte is a printable character of its own, U+0021 to U+0143.
#ifndef NMRT_TOKENIZER_BYTE_LEVEL_H
#define NMRT_TOKENIZER_BYTE_LEVEL_H

#include "runtime/text.h"

#include <stdint.h>

enum { NMRT_BYTE_LEVEL_END = 0x144 }; // all its characters are below

int32_t nmrt_byte_level_character(unsigned char byte);
int nmrt_byte_level_byte(int32_t character); // -1: the character is not of the alphabet
// Appends the characters of the bytes, as UTF-8.
void nmrt_byte_level_add(nmrt_text *out, const char *bytes, size_t n);

#endif
