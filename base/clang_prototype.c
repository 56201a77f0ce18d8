// Prototypes of C functions, as libclang reads them. The library is loaded when it is needed: it
// is larger than all of nemocc, and few models have C of their own.
#include "base/clang.h"

#include <clang-c/Index.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

// Every function of libclang that is used here.
#define FUNCTIONS(F)                                                                               \
    F(clang_createIndex)                                                                           \
    F(clang_disposeIndex)                                                                          \
    F(clang_parseTranslationUnit)                                                                  \
    F(clang_disposeTranslationUnit)                                                                \
    F(clang_getNumDiagnostics)                                                                     \
    F(clang_getDiagnostic)                                                                         \
    F(clang_getDiagnosticSeverity)                                                                 \
    F(clang_getDiagnosticSpelling)                                                                 \
    F(clang_getDiagnosticLocation)                                                                 \
    F(clang_disposeDiagnostic)                                                                     \
    F(clang_getFile)                                                                               \
    F(clang_getFileLocation)                                                                       \
    F(clang_File_isEqual)                                                                          \
    F(clang_getTranslationUnitCursor)                                                              \
    F(clang_visitChildren)                                                                         \
    F(clang_getCursorKind)                                                                         \
    F(clang_getCursorSpelling)                                                                     \
    F(clang_getCursorLocation)                                                                     \
    F(clang_getCursorExtent)                                                                       \
    F(clang_getRangeStart)                                                                         \
    F(clang_getRangeEnd)                                                                           \
    F(clang_getCursorType)                                                                         \
    F(clang_getCursorResultType)                                                                   \
    F(clang_getCanonicalType)                                                                      \
    F(clang_getPointeeType)                                                                        \
    F(clang_getTypeSpelling)                                                                       \
    F(clang_isCursorDefinition)                                                                    \
    F(clang_Cursor_getNumArguments)                                                                \
    F(clang_Cursor_getArgument)                                                                    \
    F(clang_getCString)                                                                            \
    F(clang_disposeString)

typedef struct library {
#define MEMBER(name) __typeof__(name) *name;
    FUNCTIONS(MEMBER)
} library;

typedef struct reading {
    nm_arena *arena;
    nm_diag *diag;
    const nm_clang_job *job;
    library lib;
    CXTranslationUnit unit;
    CXFile file;
    unsigned head; // bytes of the file in front of the source
    const char *function;
    nm_c_function *out;
} reading;

// --- the library ---------------------------------------------------------------------------------

static void *open_library(void)
{
    const char *own = getenv("NEMOCC_LIBCLANG");
    if (own && *own)
        return dlopen(own, RTLD_NOW | RTLD_LOCAL);
    static const char *const names[] = {NM_LIBCLANG, "libclang-22.so.22", "libclang-22.so.1"};
    void *object = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !object; i++)
        object = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return object;
}

static bool load(reading *r)
{
    void *object = open_library();
    bool ok = object != NULL;
#define LOAD(name) ok = ok && (*(void **)&r->lib.name = dlsym(object, #name)) != NULL;
    FUNCTIONS(LOAD)
    if (ok)
        return true;
    const char *why = dlerror();
    nm_error(r->diag, r->job->loc,
             "%s cannot be compared with its declaration without libclang: %s",
             r->job->source->name, why ? why : "it is of another version");
    nm_help(r->diag, (nm_loc){0},
            "install it (apt-get install libclang1-22), or name it: NEMOCC_LIBCLANG");
    return false;
}

// --- places and texts ----------------------------------------------------------------------------

static const char *take(reading *r, CXString s)
{
    const char *c = r->lib.clang_getCString(s);
    c = nm_arena_fmt(r->arena, "%s", c ? c : "");
    r->lib.clang_disposeString(s);
    return c;
}

// The offset in the source; false: it is in another file.
static bool offset_of(reading *r, CXSourceLocation at, uint32_t *offset)
{
    CXFile file;
    unsigned line, column, all;
    r->lib.clang_getFileLocation(at, &file, &line, &column, &all);
    if (!file || !r->lib.clang_File_isEqual(file, r->file) || all < r->head ||
        all - r->head > r->job->source->len)
        return false;
    *offset = all - r->head;
    return true;
}

static nm_loc span_of(reading *r, CXSourceRange range)
{
    uint32_t from, to;
    if (!offset_of(r, r->lib.clang_getRangeStart(range), &from) ||
        !offset_of(r, r->lib.clang_getRangeEnd(range), &to) || to < from)
        return (nm_loc){0};
    return (nm_loc){.src = r->job->source, .off = from, .len = to - from};
}

// --- the function --------------------------------------------------------------------------------

// Without typedefs; of a pointer, without what is said of the pointer itself (restrict).
static const char *type_text(reading *r, CXType type)
{
    CXType canonical = r->lib.clang_getCanonicalType(type);
    CXType pointee = r->lib.clang_getPointeeType(canonical);
    if (pointee.kind == CXType_Invalid)
        return take(r, r->lib.clang_getTypeSpelling(canonical));
    return nm_arena_fmt(r->arena, "%s *", take(r, r->lib.clang_getTypeSpelling(pointee)));
}

static nm_c_param param_of(reading *r, CXCursor c)
{
    nm_loc loc = span_of(r, r->lib.clang_getCursorExtent(c));
    const char *text = loc.src ? nm_arena_strndup(r->arena, loc.src->text + loc.off, loc.len) : "?";
    return (nm_c_param){loc, text, type_text(r, r->lib.clang_getCursorType(c))};
}

static enum CXChildVisitResult visit(CXCursor c, CXCursor parent, CXClientData user)
{
    (void)parent;
    reading *r = user;
    if (r->lib.clang_getCursorKind(c) != CXCursor_FunctionDecl ||
        !r->lib.clang_isCursorDefinition(c) ||
        strcmp(take(r, r->lib.clang_getCursorSpelling(c)), r->function) != 0)
        return CXChildVisit_Continue;
    nm_c_function *f = r->out;
    uint32_t at;
    f->loc = (nm_loc){.src = r->job->source, .len = (uint32_t)strlen(r->function)};
    if (offset_of(r, r->lib.clang_getCursorLocation(c), &at))
        f->loc.off = at;
    f->result = type_text(r, r->lib.clang_getCursorResultType(c));
    f->n = r->lib.clang_Cursor_getNumArguments(c);
    for (int i = 0; i < f->n && i < NM_MAX_C_PARAMS; i++)
        f->param[i] = param_of(r, r->lib.clang_Cursor_getArgument(c, (unsigned)i));
    return CXChildVisit_Break;
}

// --- the source ----------------------------------------------------------------------------------

static bool report(reading *r, CXDiagnostic d)
{
    uint32_t at;
    nm_loc loc = {.src = r->job->source, .len = 1};
    bool here = offset_of(r, r->lib.clang_getDiagnosticLocation(d), &at);
    const char *text = take(r, r->lib.clang_getDiagnosticSpelling(d));
    loc.off = here ? at : 0;
    return nm_error(r->diag, here ? loc : r->job->loc, "%s%s%s", here ? "" : r->job->source->name,
                    here ? "" : ": ", text);
}

static bool check_diagnostics(reading *r)
{
    bool ok = true;
    unsigned n = r->lib.clang_getNumDiagnostics(r->unit);
    for (unsigned i = 0; i < n && ok; i++) {
        CXDiagnostic d = r->lib.clang_getDiagnostic(r->unit, i);
        if (r->lib.clang_getDiagnosticSeverity(d) >= CXDiagnostic_Error)
            ok = report(r, d);
        r->lib.clang_disposeDiagnostic(d);
    }
    return ok;
}

static bool parse(reading *r, const nm_clang_folder *f, const nm_clang_words *w)
{
    CXIndex index = r->lib.clang_createIndex(0, 0);
    r->unit = r->lib.clang_parseTranslationUnit(index, f->source, w->word, w->n, NULL, 0, 0);
    bool ok = r->unit != NULL;
    if (ok) {
        r->file = r->lib.clang_getFile(r->unit, f->source);
        ok = check_diagnostics(r);
        if (ok)
            r->lib.clang_visitChildren(r->lib.clang_getTranslationUnitCursor(r->unit), visit, r);
        r->lib.clang_disposeTranslationUnit(r->unit);
    } else {
        nm_error(r->diag, r->job->loc, "libclang cannot read %s", r->job->source->name);
    }
    r->lib.clang_disposeIndex(index);
    return ok;
}

bool nm_clang_prototype(nm_arena *arena, nm_diag *diag, const nm_clang_job *job,
                        const char *function, nm_c_function *out)
{
    reading r = {.arena = arena, .diag = diag, .job = job, .function = function, .out = out};
    nm_clang_folder folder;
    nm_clang_words words = {0};
    *out = (nm_c_function){0};
    if (!load(&r))
        return false;
    bool ok = nm_clang_open(arena, diag, job, &folder, &words);
    r.head = (unsigned)strlen(nm_arena_fmt(arena, "# 1 \"%s\"\n", job->source->name));
    ok = ok && parse(&r, &folder, &words);
    nm_clang_close(&folder);
    return ok;
}
