// A growing text, names by their stems, and numbers as people and JSON want to read them.
#ifndef NMRT_TEXT_H
#define NMRT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct nmrt_text { // zero-initialised: empty
    char *at;              // always ends in a 0 once something was added; NULL before
    size_t n, cap;
    bool failed; // memory ran out: later additions are dropped, ask once at the end
} nmrt_text;

void nmrt_text_add(nmrt_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void nmrt_text_add_bytes(nmrt_text *t, const void *bytes, size_t n);
void nmrt_text_add_json(nmrt_text *t, const char *s); // "quoted", with escapes
void nmrt_text_add_real(nmrt_text *t,
                        double x); // shortest decimal that reads back; null if not finite
void nmrt_text_add_f32(nmrt_text *t, float x); // likewise, for a float
// Members of a JSON object, each with ", " behind it: "key": "value"
void nmrt_text_add_pair(nmrt_text *t, const char *key, const char *value);
void nmrt_text_add_count(nmrt_text *t, const char *key, int64_t value);
void nmrt_text_release(nmrt_text *t);

// How much of a name, up to a dot, says what it is of: 6 of "layers.o", which is made of layers; 3
// of "row.layer_norm.3", a kernel of the kind row.
int nmrt_stem(const char *name);
bool nmrt_same_stem(const char *a, const char *b);

typedef struct nmrt_human { // a short text by value: printf("%s", nmrt_bytes(n).s)
    char s[32];
} nmrt_human;

nmrt_human nmrt_bytes(int64_t n);         // 512 B, 1.5 KiB, 24.0 GiB
nmrt_human nmrt_count(double n);          // 950, 12.3 K, 1.24 M, 8.03 B
nmrt_human nmrt_duration(double seconds); // 4.2 s, 2 min 10 s, 3 h 05 min

#endif
