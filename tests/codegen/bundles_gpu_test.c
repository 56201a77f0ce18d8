// Kernels that are launched together: an optimizer's updates and the sums of a norm, of tensors of
// many sizes (one element, none, several blocks), equal the interpreter in as many launches as have
// room for their words.
#include "tests/codegen/gpu.h"
#include "tests/codegen/programs.h"

enum { TENSORS = 72, MOST_BYTES = 4096 }; // of a kernel's parameter
static int launches, largest;             // in all calls; parameter, in bytes

static void count_launch(nmdrv_frame *f, int64_t kernel, int64_t count, void *const *arg)
{
    const host *h = f->device;
    const nmdrv_kernel *k = &h->p->kernel[kernel];
    int bytes = (int)(8 * (1 + k->n_args + 5 * k->n_syms));
    largest = bytes > largest ? bytes : largest;
    launches += count > 0;
    gpu_launch(f, kernel, count, arg);
}

// `none` has no elements (programs.h), `wide` makes two chunks of a sum and many blocks of a map.
static const char *type_of(int i)
{
    static const char *const type[] = {"f32[rows, d]", "f32[]",     "f32[none, d]",
                                       "f32[seq]",     "f32[none]", "f32[d]"};
    return i == TENSORS / 2 ? "f32[wide]" : type[i % 6];
}

static const char *over_of(int i)
{
    static const char *const over[] = {"rows, d", "", "none, d", "seq", "none", "d"};
    return i == TENSORS / 2 ? "wide" : over[i % 6];
}

// A momentum of each; with decay for some, so that there are two bodies.
static void write_update(FILE *f)
{
    fputs("func @update(", f);
    for (int i = 0; i < TENSORS; i++)
        fprintf(f, "param %%p%d: %s, state %%m%d: %s, acc %%g%d: %s, ", i, type_of(i), i,
                type_of(i), i, type_of(i));
    fputs("scalar %lr: f32[]) -> (", f);
    for (int i = 0; i < TENSORS; i++)
        fprintf(f, "%sparam p%d, state m%d", i ? ", " : "", i, i);
    fputs(") {\n", f);
    for (int i = 0; i < TENSORS; i++) {
        const char *t = type_of(i);
        fprintf(f, "  %%a%d = mul %%m%d, %%lr : %s\n  %%n%d = add %%a%d, %%g%d : %s\n", i, i, t, i,
                i, i, t);
        fprintf(f, "  %%b%d = mul %%n%d, %%lr : %s\n", i, i, t);
        fprintf(f, "  %%q%d = %s %%p%d, %%b%d : %s\n", i, i % 5 ? "sub" : "div", i, i, t);
    }
    fputs("  ret ", f);
    for (int i = 0; i < TENSORS; i++)
        fprintf(f, "%s%%q%d, %%n%d", i ? ", " : "", i, i);
    fputs("\n}\n", f);
}

static void write_norm(FILE *f)
{
    fputs("func @norms(%s0: f32[]", f);
    for (int i = 0; i < TENSORS; i++)
        fprintf(f, ", %%g%d: %s", i, type_of(i));
    fputs(") {\n", f);
    for (int i = 0; i < TENSORS; i++) {
        const char *t = type_of(i), *over = over_of(i);
        fprintf(f, "  %%q%d = mul %%g%d, %%g%d : %s\n", i, i, i, t);
        if (*over)
            fprintf(f, "  %%r%d = sum %%q%d {over = [%s]} : f32[]\n", i, i, over);
        fprintf(f, "  %%s%d = add %%s%d, %%%c%d : f32[]\n", i + 1, i, *over ? 'r' : 'q', i);
    }
    fprintf(f, "  ret %%s%d\n}\n", TENSORS);
}

static void expect(const char *what, int is, int least, int most)
{
    if (is >= least && is <= most)
        return;
    fprintf(stderr, "%s: %d, not from %d to %d\n", what, is, least, most);
    failures++;
}

// The function's launches; each call runs twice (gpu.h).
static int run(void (*write)(FILE *), const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f)
        return -1;
    fputs("dims rows = ?, seq = ?, none = ?, d = 3, wide = 40000\n", f);
    write(f);
    fclose(f);
    launches = 0;
    check_program(path, "native", NM_FLAVOUR_gpu);
    unlink(path);
    return launches / 2;
}

int main(void)
{
    char folder[] = "/tmp/bundles-XXXXXX", path[64];
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/p.nmir", folder);
    gpu_begin();
    host_calls.launch = count_launch;
    // 9 words a tensor, in bundles of 64 groups
    expect("launches of updates", run(write_update, path), 2, 4);
    expect("bytes of a parameter", largest, MOST_BYTES / 2, MOST_BYTES);
    expect("launches of a norm", run(write_norm, path), 3, 9);
    gpu_end();
    rmdir(folder);
    return failures != 0;
}
