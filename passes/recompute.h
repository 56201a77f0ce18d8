// What may be asked of passes/recompute.c.
#ifndef NM_PASSES_RECOMPUTE_H
#define NM_PASSES_RECOMPUTE_H

// A list (none,selective,full) as the bits of nm_options.recompute; 0: one of them is no such name.
unsigned nm_recompute_bits(const char *list);

#endif
