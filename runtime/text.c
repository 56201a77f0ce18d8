// A growing text, names by their stems, and numbers as people and JSON want to read them.
#include "runtime/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool grow(nmrt_text *t, size_t more)
{
    if (t->failed)
        return false;
    if (t->n + more + 1 <= t->cap)
        return true;
    size_t cap = t->cap ? t->cap * 2 : 256;
    while (cap < t->n + more + 1)
        cap *= 2;
    char *at = realloc(t->at, cap);
    if (!at) {
        t->failed = true;
        return false;
    }
    t->at = at;
    t->cap = cap;
    return true;
}

void nmrt_text_add_bytes(nmrt_text *t, const void *bytes, size_t n)
{
    if (!grow(t, n))
        return;
    if (n)
        memcpy(t->at + t->n, bytes, n);
    t->n += n;
    t->at[t->n] = 0;
}

void nmrt_text_add(nmrt_text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !grow(t, (size_t)n))
        return;
    va_start(ap, fmt);
    vsnprintf(t->at + t->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    t->n += (size_t)n;
}

void nmrt_text_add_json(nmrt_text *t, const char *s)
{
    nmrt_text_add_bytes(t, "\"", 1);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            nmrt_text_add(t, "\\%c", c);
        else if (c < 0x20)
            nmrt_text_add(t, "\\u%04x", c);
        else
            nmrt_text_add_bytes(t, s, 1);
    }
    nmrt_text_add_bytes(t, "\"", 1);
}

// "%.*g" goes over to exponents from 10^digits on: 2e+03. Up to 10^15 this writes 2000.
static void add_decimal(nmrt_text *t, double x, int digits)
{
    char s[40];
    snprintf(s, sizeof s, "%.*e", digits - 1, x);
    int exponent = atoi(strchr(s, 'e') + 1);
    if (exponent >= digits && exponent < 15)
        nmrt_text_add(t, "%.0f", x);
    else
        nmrt_text_add(t, "%.*g", digits, x);
}

void nmrt_text_add_real(nmrt_text *t, double x)
{
    char s[40];
    int digits = 0;
    if (!isfinite(x)) {
        nmrt_text_add(t, "null");
        return;
    }
    do
        snprintf(s, sizeof s, "%.*g", ++digits, x);
    while (digits < 17 && strtod(s, NULL) != x);
    add_decimal(t, x, digits);
}

void nmrt_text_add_f32(nmrt_text *t, float x)
{
    char s[40];
    int digits = 0;
    if (!isfinite(x)) {
        nmrt_text_add(t, "null");
        return;
    }
    do
        snprintf(s, sizeof s, "%.*g", ++digits, (double)x);
    while (digits < 9 && strtof(s, NULL) != x);
    add_decimal(t, (double)x, digits);
}

void nmrt_text_add_pair(nmrt_text *t, const char *key, const char *value)
{
    nmrt_text_add(t, "\"%s\": ", key);
    nmrt_text_add_json(t, value);
    nmrt_text_add(t, ", ");
}

void nmrt_text_add_count(nmrt_text *t, const char *key, int64_t value)
{
    nmrt_text_add(t, "\"%s\": %lld, ", key, (long long)value);
}

void nmrt_text_release(nmrt_text *t)
{
    free(t->at);
    *t = (nmrt_text){0};
}

int nmrt_stem(const char *name) { return (int)strcspn(name, "."); }

bool nmrt_same_stem(const char *a, const char *b)
{
    int n = nmrt_stem(a);
    return n == nmrt_stem(b) && strncmp(a, b, (size_t)n) == 0;
}

nmrt_human nmrt_bytes(int64_t n)
{
    static const char unit[][4] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    nmrt_human h;
    double x = (double)n;
    int u = 0;
    for (; x >= 1024 && u < 6; u++)
        x /= 1024;
    snprintf(h.s, sizeof h.s, u ? "%.1f %s" : "%.0f %s", x, unit[u]);
    return h;
}

nmrt_human nmrt_count(double n)
{
    static const char unit[] = " KMBT";
    nmrt_human h;
    int u = 0;
    for (; n >= 999.5 && u < 4; u++)
        n /= 1000;
    if (u)
        snprintf(h.s, sizeof h.s, "%.3g %c", n, unit[u]);
    else
        snprintf(h.s, sizeof h.s, "%.0f", n);
    return h;
}

nmrt_human nmrt_duration(double seconds)
{
    nmrt_human h;
    int64_t s = (int64_t)(seconds + 0.5);
    if (seconds < 9.95)
        snprintf(h.s, sizeof h.s, "%.1f s", seconds);
    else if (s < 60)
        snprintf(h.s, sizeof h.s, "%d s", (int)s);
    else if (s < 3600)
        snprintf(h.s, sizeof h.s, "%d min %02d s", (int)(s / 60), (int)(s % 60));
    else
        snprintf(h.s, sizeof h.s, "%lld h %02d min", (long long)(s / 3600), (int)(s % 3600 / 60));
    return h;
}
