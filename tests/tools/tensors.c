// Are the tensors of a safetensors file those of a reference?
//
//     tensors [--tolerance T] FILE REFERENCE [NAME ...]      all tensors, the same in both; or
//     these tensors --print FILE NAME                               its numbers, one a line
//
// Only the number of elements has to agree, not how they are cut into dims. No element may be
// further from the reference's than T (0 without the flag) of the largest one there; in a tensor
// that is zero but for rounding (of less than a millionth of all that are compared, as a key's bias
// has no gradient) of a millionth of that. The last line names the worst; exit 1 where one is
// further off, is missing, or is no number.
#include "runtime/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct file {
    const char *path;
    nmrt_map map;
    nmrt_safetensors st;
} file;

static void give_up(const char *path, const char *why)
{
    fprintf(stderr, "tensors: %s: %s\n", path, why);
    exit(2);
}

static file open_file(const char *path)
{
    file f = {.path = path};
    nmrt_error e;
    if (nmrt_map_open(&f.map, path, &e) || nmrt_safetensors_parse(&f.st, f.map.at, f.map.n, &e))
        give_up(path, e.text);
    return f;
}

static const nmrt_tensor *find(const file *f, const char *name)
{
    const nmrt_tensor *t = nmrt_safetensors_find(&f->st, name);
    if (t && strcmp(t->dtype, "F32") && strcmp(t->dtype, "I32"))
        give_up(f->path, "only F32 and I32 are compared");
    return t;
}

static int64_t elements(const nmrt_tensor *t) { return (t->end - t->begin) / 4; }

static double element(const file *f, const nmrt_tensor *t, int64_t i)
{
    const unsigned char *at = f->st.data + t->begin + 4 * i;
    int32_t n;
    float x;
    memcpy(&n, at, sizeof n);
    memcpy(&x, at, sizeof x);
    return t->dtype[0] == 'F' ? (double)x : n;
}

static double largest(const file *f, const nmrt_tensor *t)
{
    double most = 0;
    for (int64_t i = 0; i < elements(t); i++)
        most = fmax(most, fabs(element(f, t, i)));
    return most;
}

typedef struct comparison {
    file a, reference;
    double all; // the largest element that is compared
} comparison;

// The largest |a - b| of all elements, of the largest |b|.
static double distance(const comparison *c, const char *name)
{
    const nmrt_tensor *a = find(&c->a, name), *b = find(&c->reference, name);
    if (!a || !b || elements(a) != elements(b))
        return INFINITY;
    double most = 0, unit = largest(&c->reference, b);
    if (unit < 1e-6 * c->all)
        unit = c->all; // it is rounding
    for (int64_t i = 0; i < elements(a); i++) {
        double d = fabs(element(&c->a, a, i) - element(&c->reference, b, i));
        if (!(d <= most))
            most = isfinite(d) ? d : INFINITY;
    }
    return unit > 0 ? most / unit : most;
}

static int compare(comparison *c, int n, char **name, double tolerance)
{
    const char *worst = "";
    double most = 0;
    int bad = 0;
    for (int i = 0; i < n; i++) {
        const nmrt_tensor *t = find(&c->reference, name[i]);
        c->all = t ? fmax(c->all, largest(&c->reference, t)) : c->all;
    }
    for (int i = 0; i < n; i++) {
        double d = distance(c, name[i]);
        if (d > tolerance)
            printf("%s: %g\n", name[i], d);
        bad += d > tolerance;
        if (d >= most) {
            most = d;
            worst = name[i];
        }
    }
    printf("%d tensors, worst %g: %s\n", n, most, worst);
    return n == 0 || bad > 0;
}

static int print(const char *path, const char *name)
{
    file f = open_file(path);
    const nmrt_tensor *t = find(&f, name);
    if (!t)
        give_up(path, "no such tensor");
    for (int64_t i = 0; i < elements(t); i++)
        printf("%.9g\n", element(&f, t, i));
    return 0;
}

int main(int argc, char **argv)
{
    double tolerance = 0;
    int at = 1;
    if (argc == 4 && strcmp(argv[1], "--print") == 0)
        return print(argv[2], argv[3]);
    if (argc > 2 && strcmp(argv[1], "--tolerance") == 0) {
        tolerance = atof(argv[2]);
        at = 3;
    }
    if (argc < at + 2)
        give_up("usage", "tensors [--tolerance T] FILE REFERENCE [NAME ...], or --print FILE NAME");
    comparison c = {.a = open_file(argv[at]), .reference = open_file(argv[at + 1])};
    int n = argc - at - 2;
    char **name = argv + at + 2;
    if (n > 0)
        return compare(&c, n, name, tolerance);
    if (c.a.st.n != c.reference.st.n)
        give_up(argv[at], "another number of tensors than the reference has");
    name = calloc((size_t)c.a.st.n + 1, sizeof *name);
    for (n = 0; n < c.a.st.n; n++)
        name[n] = c.a.st.tensor[n].name;
    return compare(&c, n, name, tolerance);
}
