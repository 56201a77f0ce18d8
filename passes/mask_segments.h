// Segments of attentions, written out.
#ifndef NM_PASSES_MASK_SEGMENTS_H
#define NM_PASSES_MASK_SEGMENTS_H

#include "ir/ir.h"

// Where attentions in f (and the bodies in it) take segments, they take a mask: the query's segment
// is the key's. Then queries and keys may be split each for itself.
void nm_mask_segments(nm_func *f);

#endif
