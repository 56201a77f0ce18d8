// Are two checkpoints the same numbers, whatever meshes wrote them?
//
//     compare [--prefix NAME] [--tolerance T] [--rounding R] FOLDER FOLDER
//
// Tensors whose names begin so have to differ by at most T of the second's norm. One that is zero
// but for rounding (both norms are below R, the last bit of an f32 if it is not said, of all
// tensors' together, as a key's bias has no gradient) is equal. The last line is the worst; exit 1
// where one differs by more, is missing, or is no number.
#include "runtime/checkpoint_format.h"
#include "runtime/safetensors.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tensor {
    int64_t shape[NMRT_MAX_RANK], n;
    int rank;
    double *at;
} tensor;

static void give_up(const nmrt_error *e)
{
    fprintf(stderr, "compare: %s\n", e->text);
    exit(2);
}

static void copy_piece(tensor *t, const char *folder, const nmrt_stored *piece)
{
    char path[NMRT_PATH];
    nmrt_error e;
    nmrt_map map;
    uint64_t header;
    int64_t origin[NMRT_MAX_RANK] = {0};
    if (nmrt_path_join(path, folder, piece->file, &e) || nmrt_map_open(&map, path, &e))
        give_up(&e);
    memcpy(&header, map.at, sizeof header);
    const unsigned char *data = map.at + 8 + header + piece->begin;
    nmrt_rows r = nmrt_rows_of(t->rank, piece->box.n, (nmrt_view){piece->box.n, origin},
                               (nmrt_view){t->shape, piece->box.from});
    while (nmrt_rows_next(&r))
        for (int64_t i = 0; i < r.n; i++) {
            float x;
            memcpy(&x, data + 4 * (r.a + i), sizeof x);
            t->at[r.b + i] = x;
        }
    nmrt_map_close(&map);
}

static tensor read_tensor(const nmrt_index *x, const char *folder, int node)
{
    tensor t = {.n = 1};
    nmrt_stored_list pieces = {0};
    nmrt_error e;
    int shape = nm_json_get(&x->doc, node, "shape");
    for (int i = nm_json_first(&x->doc, shape); i >= 0; i = x->doc.node[i].next) {
        nm_json_int(&x->doc, i, &t.shape[t.rank]);
        t.n *= t.shape[t.rank++];
    }
    nmrt_box whole = {.rank = t.rank};
    memcpy(whole.n, t.shape, sizeof t.shape);
    if (nmrt_stored_read(&pieces, &x->doc, nm_json_get(&x->doc, node, "pieces"),
                         nm_json_get(&x->doc, node, "checksum"), &whole, 4, &e))
        give_up(&e);
    t.at = calloc((size_t)t.n + 1, sizeof *t.at);
    for (int i = 0; i < pieces.n; i++)
        copy_piece(&t, folder, &pieces.at[i]);
    free(pieces.at);
    return t;
}

static double norm(const tensor *t)
{
    double n = 0;
    for (int64_t i = 0; i < t->n; i++)
        n += t->at[i] * t->at[i];
    return sqrt(n);
}

// ||a - b|| / ||b||; 0 where neither is above zero.
static double distance(const tensor *a, const tensor *b, double zero)
{
    double d = 0, n = norm(b);
    if (a->n != b->n)
        return INFINITY;
    if (n <= zero && norm(a) <= zero)
        return 0;
    for (int64_t i = 0; i < a->n; i++)
        d += (a->at[i] - b->at[i]) * (a->at[i] - b->at[i]);
    return sqrt(d) / n;
}

static int find_tensor(const nmrt_index *x, const char *name)
{
    char path[NMRT_MAX_TENSOR_NAME];
    int list = nm_json_get(&x->doc, 0, "tensors");
    for (int i = nm_json_first(&x->doc, list); i >= 0; i = x->doc.node[i].next)
        if (nm_json_string(&x->doc, nm_json_get(&x->doc, i, "path"), path, sizeof path) &&
            strcmp(path, name) == 0)
            return i;
    return -1;
}

static double compare(const nmrt_index x[2], char folder[2][NMRT_PATH], const char *name,
                      double zero)
{
    int node[2] = {find_tensor(&x[0], name), find_tensor(&x[1], name)};
    if (node[0] < 0 || node[1] < 0)
        return INFINITY;
    tensor a = read_tensor(&x[0], folder[0], node[0]), b = read_tensor(&x[1], folder[1], node[1]);
    double d = distance(&a, &b, zero);
    free(a.at);
    free(b.at);
    return d;
}

// The next tensor of the list, from `node` on, whose name begins so; its name. -1: none.
static int next_tensor(const nmrt_index *x, int node, const char *prefix,
                       char name[NMRT_MAX_TENSOR_NAME])
{
    for (; node >= 0; node = x->doc.node[node].next)
        if (nm_json_string(&x->doc, nm_json_get(&x->doc, node, "path"), name,
                           NMRT_MAX_TENSOR_NAME) &&
            strncmp(name, prefix, strlen(prefix)) == 0)
            break;
    return node;
}

static int first_tensor(const nmrt_index *x)
{
    return nm_json_first(&x->doc, nm_json_get(&x->doc, 0, "tensors"));
}

static double norm_of_all(const nmrt_index *x, const char *folder, const char *prefix)
{
    char name[NMRT_MAX_TENSOR_NAME];
    double all = 0;
    for (int i = first_tensor(x); (i = next_tensor(x, i, prefix, name)) >= 0;
         i = x->doc.node[i].next) {
        tensor t = read_tensor(x, folder, i);
        all = hypot(all, norm(&t));
        free(t.at);
    }
    return all;
}

static int compare_all(const nmrt_index x[2], char folder[2][NMRT_PATH], const char *prefix,
                       double tolerance, double rounding)
{
    char name[NMRT_MAX_TENSOR_NAME];
    double worst = 0, zero = rounding * norm_of_all(&x[1], folder[1], prefix);
    int n = 0, wrong = 0;
    for (int i = first_tensor(&x[1]); (i = next_tensor(&x[1], i, prefix, name)) >= 0;
         i = x[1].doc.node[i].next, n++) {
        double d = compare(x, folder, name, zero);
        if (!(d <= tolerance) && ++wrong <= 5)
            printf("%s differs by %g of its norm\n", name, d);
        worst = d > worst || isnan(d) ? d : worst;
    }
    printf("%d tensors, the worst differs by %g of its norm\n", n, worst);
    return n == 0 || wrong;
}

int main(int argc, char **argv)
{
    const char *prefix = "";
    double tolerance = 0, rounding = FLT_EPSILON;
    char folder[2][NMRT_PATH];
    nmrt_index x[2];
    nmrt_error e;
    for (; argc > 4; argc -= 2, argv += 2)
        if (strcmp(argv[1], "--prefix") == 0)
            prefix = argv[2];
        else if (strcmp(argv[1], "--tolerance") == 0)
            tolerance = atof(argv[2]);
        else if (strcmp(argv[1], "--rounding") == 0)
            rounding = atof(argv[2]);
    if (argc != 3) {
        fputs("usage: compare [--prefix NAME] [--tolerance T] [--rounding R] FOLDER FOLDER\n",
              stderr);
        return 2;
    }
    for (int i = 0; i < 2; i++)
        if (nmrt_path_join(folder[i], argv[1 + i], "latest", &e) ||
            nmrt_index_open(&x[i], folder[i], &e))
            give_up(&e);
    return compare_all(x, folder, prefix, tolerance, rounding);
}
