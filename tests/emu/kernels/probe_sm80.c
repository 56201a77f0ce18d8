// Every primitive that sm_80 has, in a kernel that leaves its results in memory.
#include "tests/emu/kernels/probe.h"

KERNEL(probe_where, probe_where_params, g)
{
    u32 block = (ctaid_z() * nctaid_y() + ctaid_y()) * nctaid_x() + ctaid_x();
    u32 *out = g.out[block * ntid() + tid()];
    out[0] = tid(), out[1] = ntid(), out[2] = laneid();
    out[3] = ctaid_x(), out[4] = ctaid_y(), out[5] = ctaid_z();
    out[6] = nctaid_x(), out[7] = nctaid_y(), out[8] = nctaid_z();
}

// Words go through shared memory in one width and come back in another, from the other end.
KERNEL(probe_shared, probe_shared_params, g)
{
    u32 t = tid(), n = ntid(), other = n - 1 - t, v[4];
    smem at = smem_base(), mine = at + 16 * t, theirs = at + 16 * other;
    u32 word[4] = {4 * t, 4 * t + 1, 4 * t + 2, 4 * t + 3};
    st_shared_v4(mine, word);
    block_sync();
    u64 lo = ld_shared_u64(theirs), hi = ld_shared_u64(theirs + 8);
    block_sync();
    st_shared_u64(mine, lo);
    st_shared_u32(mine + 8, (u32)hi);
    st_shared_u16(mine + 12, (u16)(hi >> 32));
    st_shared_u8(mine + 14, (u8)(hi >> 48));
    st_shared_u8(mine + 15, (u8)(hi >> 56));
    block_sync();
    ld_shared_v4(v, mine);
    g.out[4 * t] = v[0], g.out[4 * t + 1] = ld_shared_u32(mine + 4);
    g.out[4 * t + 2] = ld_shared_u16(mine + 8) | (u32)ld_shared_u16(mine + 10) << 16;
    g.out[4 * t + 3] =
        (u32)ld_shared_u8(mine + 12) | (u32)ld_shared_u8(mine + 13) << 8 | v[3] >> 16 << 16;
    block_sync();
    st_shared_f32(mine, (float)v[0]);
    bar_sync(3, n);
    if (ld_shared_f32(theirs) != (float)(4 * t))
        g.out[4 * t] = ~0u;
}

KERNEL(probe_warp, probe_warp_params, g)
{
    u32 v = g.v[tid()], *out = g.out[tid()];
    float f = (float)v;
    out[0] = shfl_xor_u32(v, 5), out[1] = (u32)shfl_xor_f32(f, 16);
    out[2] = shfl_idx_u32(v, 7), out[3] = (u32)shfl_idx_f32(f, laneid() / 2);
    out[4] = shfl_up_u32(v, 3), out[5] = (u32)shfl_up_f32(f, 1);
    out[6] = shfl_down_u32(v, 3), out[7] = (u32)shfl_down_f32(f, 1);
    out[8] = vote_any(v % 64 == 1), out[9] = vote_all(v < 5000), out[10] = ballot(v & 1);
    out[11] = redux_add_u32(v), out[12] = redux_min_u32(v), out[13] = redux_max_u32(v);
    warp_sync();
    out[14] = vote_any(0), out[15] = vote_all(1);
}

KERNEL(probe_numbers, probe_numbers_params, g)
{
    u32 t = tid(), *u = g.u[t];
    float x = g.x[t], *f = g.f[t];
    f[0] = ex2(x), f[1] = lg2(x), f[2] = rcp(x), f[3] = rsqrt(x), f[4] = sqrt_fast(x),
    f[5] = tanh_fast(x);
    f[6] = from_bf16(to_bf16(x)), f[7] = from_f16(to_f16(x));
    u[0] = to_bf16(x), u[1] = to_f16(x), u[2] = bf16x2(x, -x), u[3] = f16x2(x, -x), u[4] = tf32(x);
    u[5] = u[6] = u[7] = 0;
}

KERNEL(probe_atomics, probe_atomics_params, g)
{
    u32 i = ctaid_x() * ntid() + tid(), v[4];
    g.ticket[i] = atom_add_u32(g.sum, 1);
    atom_add_u64(g.sum64, 1ul << 32);
    atom_inc_u32(g.ring, 6);
    atom_max_u32(g.max, i * 7 % 1000);
    atom_exch_u32(g.last, i);
    red_add_f32(g.sum_f32, 1);
    u64 old = *g.product64, seen;
    while ((seen = atom_cas_u64(g.product64, old, old * 3)) != old)
        old = seen;
    if (laneid() == 0) {
        while (atom_cas_u32(g.lock, 0, 1))
            sleep_ns(20);
        *g.plain += 1;
        threadfence();
        st_release_u32(g.lock, 0);
    }
    if (ctaid_x() == 0) {
        ld_nc_v4(v, g.in + 4 * tid());
        st_cs_v4(g.copy + 4 * tid(), v);
    }
    if (ld_acquire_u32(g.sum) == 0)
        g.ticket[i] = ~0u;
}

KERNEL(probe_matrix, probe_matrix_params, g)
{
    smem at = smem_base();
    u32 t = tid(), *out = g.out[t];
    for (u32 i = t; i < 128; i += 32)
        st_shared_u32(at + 4 * i, (u32)g.m[2 * i] | (u32)g.m[2 * i + 1] << 16);
    block_sync();
    ldmatrix_x1(out, at + t % 8 * 16);
    ldmatrix_x2(out + 1, at + t % 16 * 16);
    ldmatrix_x4(out + 3, at + t * 16);
    ldmatrix_x1_trans(out + 7, at + t % 8 * 16);
    ldmatrix_x2_trans(out + 8, at + t % 16 * 16);
    ldmatrix_x4_trans(out + 10, at + t * 16);
    out[14] = movmatrix(out[0]);
}

// The fragments as prims.h draws them.
INLINE void fragments_16(const u16 *a, const u16 *b, u32 fa[4], u32 fb[2])
{
    u32 row = tid() / 4, k = tid() % 4 * 2;
    for (u32 i = 0; i < 4; i++) {
        const u16 *at = a + (row + 8 * (i & 1)) * 16 + k + 8 * (i >> 1);
        fa[i] = (u32)at[0] | (u32)at[1] << 16;
    }
    for (u32 i = 0; i < 2; i++)
        fb[i] = (u32)b[(k + 8 * i) * 8 + row] | (u32)b[(k + 8 * i + 1) * 8 + row] << 16;
}

INLINE void put(float *to, const float d[4])
{
    UNROLL
    for (u32 i = 0; i < 4; i++)
        to[(tid() / 4 + 8 * (i >> 1)) * 8 + tid() % 4 * 2 + (i & 1)] = d[i];
}

KERNEL(probe_mma, probe_mma_params, g)
{
    u32 fa[4], fb[2], row = tid() / 4, k = tid() % 4;
    float d[4] = {0}, e[4] = {0}, f[4] = {0};
    fragments_16(g.a_bf16, g.b_bf16, fa, fb);
    mma_bf16(d, fa, fb[0], fb[1]);
    mma_bf16(d, fa, fb[0], fb[1]); // adds up
    put(g.d_bf16, d);
    fragments_16(g.a_f16, g.b_f16, fa, fb);
    mma_f16(e, fa, fb[0], fb[1]);
    put(g.d_f16, e);
    for (u32 i = 0; i < 4; i++)
        fa[i] = tf32(g.a_tf32[(row + 8 * (i & 1)) * 8 + k + 4 * (i >> 1)]);
    mma_tf32(f, fa, tf32(g.b_tf32[k * 8 + row]), tf32(g.b_tf32[(k + 4) * 8 + row]));
    put(g.d_tf32, f);
}

// Two groups: 16 bytes a thread, cut to 8 in every other one; then a word a thread, every third
// empty.
KERNEL(probe_cp_async, probe_copies_params, g)
{
    smem at = smem_base();
    u32 t = tid(), n = ntid(), v[4];
    cp_async16(at + 16 * t, g.in + 4 * t, t % 2 ? 8 : 16);
    cp_async_commit();
    cp_async4(at + 16 * n + 4 * t, g.in + t, t % 3 ? 4 : 0);
    cp_async_commit();
    cp_async_wait(1);
    block_sync();
    ld_shared_v4(v, at + 16 * (n - 1 - t));
    for (u32 i = 0; i < 4; i++)
        g.out[4 * t + i] = v[i];
    cp_async_wait(0);
    block_sync();
    g.out[4 * n + t] = ld_shared_u32(at + 16 * n + 4 * (n - 1 - t));
}
