// minimize's ema: a running mean of the parameters that it trains.
#ifndef NM_ELAB_EMA_H
#define NM_ELAB_EMA_H

#include "frontend/elab_internal.h"

// Behind the update of p: the state ema.PATH, which begins as p does, moves towards what p is now
// by 1 - decay, a hyperparameter, of the way.
void nm_elab_ema(nm_elab *e, nm_pvar *p, nm_sym decay, nm_loc loc);

#endif
