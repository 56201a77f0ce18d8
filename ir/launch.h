// What is launched together stands side by side, all but the last saying {more = true}.
//
// Collectives, of one kind and axes: the device sends them together. A launch that a `wait` names
// goes on beside what stands in between: until then its operands are read and its results are
// written.
//
// Groups, in the flavour gpu: one kernel does them all, in any order or at once, so none reads or
// writes what another writes.
#ifndef NM_IR_LAUNCH_H
#define NM_IR_LAUNCH_H

#include "ir/ir.h"

// A launch of many collectives has so many elements, for nominal sizes: 16 MB of f32. What is less
// is mostly latency.
#define NM_BUCKET (4e6)

bool nm_is_sent(const nm_op *op);       // a collective that is more than a view
bool nm_gathers_param(const nm_op *op); // an all_gather of a function's parameter, cast or not
// The first and the last of what is launched together with op; op itself, if nothing is.
nm_op *nm_launch_first(const nm_op *op);
nm_op *nm_launch_last(const nm_op *op);
// The op that waits for op's launch: the collective blocks, if there is none. NULL: it does.
const nm_op *nm_launch_wait(const nm_op *op);
// Does op read what one of the ops from first to last gives, which stand side by side?
bool nm_launch_is_read(const nm_op *first, const nm_op *last, const nm_op *op);

// Elements of a value, and products of a group (multiplications), for nominal sizes of run-time
// dims. A local extent counts as its whole dim: both are for weighing one against the other.
double nm_nominal_elements(nm_module *m, const nm_type *t);
double nm_nominal_products(const nm_op *group);
double nm_sent_elements(const nm_op *op); // of the larger side
// What the launch that ends with `last` sends.
double nm_launch_elements(const nm_op *last);

#endif
