// Forms of kernels for sm_90a, and their tensor maps, as rows: nmdrv_form, nmdrv_map.
#include "codegen/tables.h"
#include "runtime/driver_abi.h"

_Static_assert(NM_MAP_RANK == NMDRV_MAP_RANK, "numbers of a row");

static LLVMValueRef number(nm_table *t, nm_number n)
{
    return NM_ROW(t, nm_word(t, n.arg), nm_word(t, n.value));
}

static LLVMValueRef numbers(nm_table *t, const nm_number n[NM_MAP_RANK])
{
    LLVMValueRef r[NM_MAP_RANK];
    for (int i = 0; i < NM_MAP_RANK; i++)
        r[i] = number(t, n[i]);
    return nm_row(t, NM_MAP_RANK, r);
}

static LLVMValueRef words(nm_table *t, const int64_t n[NM_MAP_RANK])
{
    LLVMValueRef r[NM_MAP_RANK];
    for (int i = 0; i < NM_MAP_RANK; i++)
        r[i] = nm_word(t, n[i]);
    return nm_row(t, NM_MAP_RANK, r);
}

static LLVMValueRef map_rows(nm_table *t, const nm_form *form)
{
    LLVMValueRef r[NM_MAX_MAPS];
    for (int i = 0; i < form->n_maps; i++) {
        const nm_map *m = &form->map[i];
        r[i] =
            NM_ROW(t, nm_word(t, m->arg), number(t, m->offset), nm_word(t, nm_abi_dtype(m->dtype)),
                   nm_word(t, m->rank), numbers(t, m->extent), numbers(t, m->stride),
                   words(t, m->box), nm_word(t, m->swizzle));
    }
    return nm_rows(t, form->n_maps, r, "maps");
}

LLVMValueRef nm_form_row(nm_table *t, LLVMValueRef block, const nm_form *form)
{
    LLVMValueRef row = NM_ROW(t, block, nm_word(t, form->threads), nm_word(t, form->per_block),
                              nm_word(t, form->shared), nm_word(t, form->count_at),
                              nm_word(t, form->n_maps), map_rows(t, form));
    return nm_rows(t, 1, &row, "form");
}
