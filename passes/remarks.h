// What rules and fusions did, and what kept them from more: -Rfuse, and --explain=RULE@%VALUE. All
// functions take m->remarks, and do nothing where it is NULL: nobody asked.
#ifndef NM_PASSES_REMARKS_H
#define NM_PASSES_REMARKS_H

#include "ir/ir.h"

typedef struct nm_remark { // about a rule, in all texts of functions
    const char *rule;
    int matched;
    const char *miss, *why; // the nearest miss: the rest of the pattern, and the reason
    nm_loc at;
} nm_remark;

typedef struct nm_saying { // about a place, by a pass that has no rules
    const char *text;
    nm_loc at;
    int times;     // that it was said, in all texts of functions
    double missed; // elements that are loaded or stored for it; 0: it was done
} nm_saying;

typedef struct nm_remarks { // m->remarks
    nm_arena *arena;
    int n, n_said;
    nm_remark *row;  // in order of first trial
    nm_saying *said; // in order
    FILE *explain;   // of the rule that begins with explain_rule, at the value of this name or
    const char *explain_rule, *explain_value; // number; NULL: of none
    bool tried, met;                          // was that rule tried, and at that value?
} nm_remarks;

// text: RULE@%VALUE
void nm_remarks_explain(nm_remarks *r, FILE *out, const char *text);
// Why --explain had no answer; NULL: it had one, or nobody asked. In r->arena.
const char *nm_remarks_unanswered(const nm_remarks *r);
// What was fused, what was not, then rules: those that fired first.
void nm_remarks_print(FILE *out, const nm_remarks *r);

// A rule was tried: it matched, or this rest of its pattern did not, for a reason.
void nm_remark_rule(nm_remarks *r, const char *rule, const nm_op *root, bool matched,
                    const char *miss, const char *why);
// Something was fused at a place; or not, and so many elements (1 or more) are loaded or stored.
void nm_remark_done(nm_remarks *r, nm_loc at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void nm_remark_missed(nm_remarks *r, nm_loc at, double elements, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// Is v what --explain asks this rule, or pass, about? Then these lines are the answer.
bool nm_remark_asked(nm_remarks *r, const char *rule, const nm_value *v);
void nm_remark_answer(const nm_remarks *r, const nm_value *v, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
