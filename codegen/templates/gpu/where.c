// Where a thread is, for kernels that nemocc generates.
#include "codegen/templates/gpu/gpu.h"

NMG_ENTRY int64_t nmg_block(void) { return ctaid_x(); }
NMG_ENTRY int64_t nmg_lane(void) { return tid(); }
