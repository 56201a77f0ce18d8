// What a collective carries, for --explain-comm and for what a failed run says.
#ifndef NM_PASSES_COMM_SUBJECT_H
#define NM_PASSES_COMM_SUBJECT_H

#include "ir/ir.h"

typedef struct nm_comm_subject {
    const char *what;      // parameter, gradient of, state
    const nm_param *param; // NULL: it is none of these, what the model computes
    bool gradient;         // it is a gradient
} nm_comm_subject;

nm_comm_subject nm_comm_subject_of(const nm_op *collective);
// What carries a parameter, a state or a gradient has its name and its line from now on.
void nm_comm_name_all(nm_func *f);

#endif
