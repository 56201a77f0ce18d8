// The group that only copies, for layout (another order) and schedule (another place).
#include "passes/layout.h"

nm_value *nm_copy_group(nm_func *f, nm_op *before, nm_value *v, const nm_type *t)
{
    nm_loc loc = v->def ? v->def->loc : before->loc;
    nm_func *body = nm_body_new(f, loc);
    nm_value *in = nm_func_param(body, v->type, v->name, (nm_bind){0});
    nm_proto copy = {.code = NM_OP_broadcast, .loc = loc, .n_in = 1, .in = &in, .type = t};
    nm_value *out = nm_build(body, NULL, &copy);
    nm_func_ret(body, loc, 1, &out, NULL);
    nm_attr kind = nm_mk_sym(f->module, "kind", nm_sym_get(f->module, "map"));
    nm_proto group = {.code = NM_OP_group,
                      .loc = loc,
                      .n_in = 1,
                      .in = &v,
                      .n_attrs = 1,
                      .attr = &kind,
                      .body = body};
    return nm_build(f, before, &group);
}
