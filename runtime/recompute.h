// --recompute: which layers of a stage keep what backward reads, and which are computed again.
//
//     WAY or NAME=WAY, by commas     WAY: none, selective, full, block:N, auto
//
// A way without a name is that of all repeats that no other names; NAME is a repeat's dim. The
// program has its functions of a repeat once a variant (nmdrv_recompute); block:N takes `full` for
// the first N layers of each virtual stage and `selective` for the rest. What is computed is the
// same in each, in f32 on the host to the bit; where else it is: docs/passes.md, recompute.
#ifndef NMRT_RECOMPUTE_H
#define NMRT_RECOMPUTE_H

#include "runtime/actions.h"

typedef enum {
    NMRT_WAY_NONE, // the variants, by their numbers
    NMRT_WAY_SELECTIVE,
    NMRT_WAY_FULL,
    NMRT_WAY_BLOCK,
    NMRT_WAY_AUTO, // the least that is computed again with which the plan fits; never in a setup
} nmrt_way_kind;

typedef struct nmrt_way {
    const char *name; // of the repeats' dim, n_name characters: points into the flag's text
    size_t n_name;    // 0: of all that no other names
    nmrt_way_kind kind;
    int64_t layers; // of a block
} nmrt_way;

enum { NMRT_MAX_WAYS = 8 };
typedef struct nmrt_recompute {
    int n;
    nmrt_way way[NMRT_MAX_WAYS]; // the first has no name
} nmrt_recompute;

// The flag's text, which has to outlive *r; NULL: what a run does that does not ask. What is wrong
// goes into `problems`, a line each.
void nmrt_recompute_parse(nmrt_recompute *r, const nmdrv_program *program, const char *text,
                          nmrt_text *problems);
void nmrt_recompute_print(const nmrt_recompute *r, nmrt_text *out); // as one would write the flag
bool nmrt_recompute_has(const nmdrv_program *program, nmdrv_recompute variant);
const char *nmrt_recompute_name(nmdrv_recompute variant);
bool nmrt_recompute_any(const nmdrv_program *program);        // has it a variant at all?
bool nmrt_recompute_has_blocks(const nmdrv_program *program); // both variants of one, in chunks

typedef struct nmrt_chunk { // turns of a part that run as one text
    nmrt_stage_part part;
    nmdrv_recompute variant;
    nmdrv_products products; // islands.h
} nmrt_chunk;
// Of s->part[part], of virtual stage v, in order: one chunk, or two of a block. Returns how many.
int nmrt_recompute_chunks(const nmrt_recompute *r, const nmrt_stages *s, int v, int part,
                          nmrt_chunk chunk[2]);

// --- how much ------------------------------------------------------------------------------------

bool nmrt_recompute_is_auto(const nmrt_recompute *r);
// *r with another way where it says auto.
nmrt_recompute nmrt_recompute_with(const nmrt_recompute *r, nmrt_way_kind kind, int64_t layers);
// The most layers that a virtual stage has: block:N of more is no other.
int64_t nmrt_recompute_most(const nmrt_stages *s);

typedef struct nmrt_fitting { // who says which fits
    nmrt_status (*fits)(void *of, const nmrt_recompute *r, bool *fit, nmrt_error *e);
    void *of;
} nmrt_fitting;
// Of a request that says auto: the least that is computed again and fits, or *fit false and that
// which needs least. A block of more layers never needs more memory.
nmrt_status nmrt_recompute_least(const nmrt_recompute *asked, const nmrt_stages *s,
                                 const nmdrv_program *program, const nmrt_fitting *fitting,
                                 nmrt_recompute *least, bool *fit, nmrt_error *e);

#endif
