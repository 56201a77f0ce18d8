// The grammar of language.md, appendix B: LALR(1), without conflicts. Actions only build the tree.
// Recovery: a broken statement is dropped to the next line (`stmt: error`), a broken item of a file
// to the next keyword in the first column (`item: error`), so that one run shows several mistakes.
%code requires {
#include "frontend/parse.h"
}
%code {
#include <stdlib.h>

int nm_parse_lex(NM_PARSE_STYPE *value, NM_PARSE_LTYPE *loc, nm_parser *ps);
bool nm_parse_skip(nm_parser *ps, nm_skip skip, int lookahead);
static void yyerror(nm_loc *at, nm_parser *ps, const char *text);

#define LOC_DEFAULT(now, rhs, n)                                                                   \
    (now) = (n) ? nm_loc_join(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n))                                  \
                : (nm_loc){.src = ps->src, .off = ps->last.off}
#define YYLLOC_DEFAULT LOC_DEFAULT

#define PUSH(list, array, value) NM_PUSH(ps, (list).n, (list).array, (value))
#define STMT(kind)               nm_ast_stmt_new(ps, NM_STMT_##kind, yyloc)

// Go on after a mistake: at the lookahead if it is a good place, else at the next token that is.
#define SKIP(what)                                                                                 \
    do {                                                                                           \
        if (nm_parse_skip(ps, NM_SKIP_##what, yychar))                                             \
            yyclearin;                                                                             \
        if (ps->stop || ps->n_errors >= NM_MAX_SYNTAX_ERRORS)                                      \
            YYABORT;                                                                               \
    } while (0)
}

%define api.pure full
%define api.prefix {nm_parse_}
%define api.token.prefix {T_}
%define api.location.type {nm_loc}
%define parse.error custom
%define parse.lac full
%locations
%parse-param {nm_parser *ps}
%lex-param {nm_parser *ps}
%expect 0

%union {
    nm_ast_word word;
    nm_ast_words words;
    nm_ast_name name;
    nm_ast_names names;
    nm_ast_dim dim;
    nm_ast_dims dims;
    nm_ast_arrow arrow;
    nm_ast_axis axis;
    nm_ast_shape shape;
    nm_ast_type type;
    struct {
        int n;
        nm_ast_type *type;
    } types;
    nm_ast_expr *expr;
    nm_ast_exprs exprs;
    struct {
        nm_ast_expr *lo, *hi;
    } span;
    nm_ast_arg arg;
    nm_ast_args args;
    nm_ast_view view;
    nm_ast_views views;
    nm_ast_setting setting;
    nm_ast_settings settings;
    nm_ast_dimdecl dimdecl;
    struct {
        int n;
        nm_ast_dimdecl *decl;
    } dimdecls;
    nm_ast_require require;
    nm_ast_stmt *stmt;
    nm_ast_block block;
    nm_ast_min_item min_item;
    struct {
        int n;
        nm_ast_min_item *item;
    } min_items;
    nm_ast_par par;
    nm_ast_pars pars;
    nm_ast_def def;
    nm_ast_row row;
    nm_ast_rows rows;
    nm_ast_use use;
    nm_ast_step step;
    nm_ast_path path;
    nm_ast_paths paths;
    nm_ast_config config;
    nm_ast_configs configs;
    nm_ast_map map;
    struct {
        int n;
        nm_ast_map *map;
    } maps;
    nm_ast_part part;
    struct {
        int n;
        nm_ast_part *part;
    } parts;
    nm_ast_term term;
    nm_ast_terms terms;
    nm_ast_lay lay;
    struct {
        nm_loc loc;
        int n;
        nm_ast_lay *lay;
    } lays;
    int code;
}

%token END 0 "the end of the file"
%token <word> NAME "a name" WORD "a preset's name" STRING "a string" LABEL "a label"
%token <expr> INT "an int" REAL "a number"
%token USE "use" AS "as" DIMS "dims" CONST "const" REQUIRE "require" MESH "mesh" MODULE "module"
       MODEL "model" FN "fn" PARAM "param" STATE "state" EMIT "emit" REPEAT "repeat" SCAN "scan"
       FOR "for" IN "in" IF "if" THEN "then" ELSE "else" RETURN "return" TRAIN "train" EVAL "eval"
       INFER "infer" MINIMIZE "minimize" ON "on" PRESET "preset" WEIGHTS "weights" ADAPT "adapt"
       EXTERN "extern" AND "and" OR "or" NOT "not"
%token ARROW "->" NEXT ":=" REST "..." RANGE ".." MANY "**" IDIV "//" EQ "==" NE "!=" LE "<="
       GE ">="

%type <word> as opt_name flag preset_name
%type <words> word_list flags strings
%type <name> name label
%type <names> names names2 keys labels
%type <dim> dim
%type <dims> dims
%type <arrow> arrow
%type <axis> axis
%type <shape> shape axes
%type <type> type
%type <types> types
%type <expr> expr number postfix call opt_init opt_expr default dim_size
%type <exprs> exprs
%type <span> span range
%type <arg> arg value
%type <args> args arg_list
%type <view> view
%type <views> views view_list
%type <setting> setting use_setting
%type <settings> settings opt_settings use_settings use_setting_list consts preset_items
%type <dimdecl> dimdecl
%type <dimdecls> dimdecls
%type <require> require
%type <stmt> stmt if_stmt decl_stmt
%type <block> block stmts else
%type <min_item> min_item
%type <min_items> min_items
%type <par> par
%type <pars> pars par_list
%type <def> def_head
%type <row> row extern_row
%type <rows> rows row_list extern_rows extern_row_list
%type <use> used
%type <step> step
%type <path> path
%type <paths> paths opt_on
%type <config> config_row
%type <configs> config config_else
%type <map> map source
%type <maps> maps
%type <part> part part_path
%type <parts> parts
%type <term> term
%type <terms> terms
%type <lay> lay
%type <lays> layout lay_list
%type <code> def_kind entry_kind decl_kind

%precedence ELSE
%left OR
%left AND
%precedence NOT
%nonassoc EQ NE '<' LE '>' GE
%left '+' '-'
%left '*' '/' IDIV '%'
%precedence NEG
%right '^'

%%

file: items ;

items: %empty | items item ;

item:
    use
  | "dims" dimdecls             { for (int i = 0; i < $2.n; i++)
                                      NM_PUSH(ps, ps->file->n_dims, ps->file->dim, $2.decl[i]); }
  | consts                      { for (int i = 0; i < $1.n; i++)
                                      NM_PUSH(ps, ps->file->n_consts, ps->file->constant, $1.item[i]); }
  | require                     { NM_PUSH(ps, ps->file->n_requires, ps->file->require, $1); }
  | "mesh" rows                 { NM_PUSH(ps, ps->file->n_meshes, ps->file->mesh, $2); }
  | def
  | entry
  | preset
  | weights
  | adapt
  | extern
  | error                       { SKIP(item); }
  ;

// --- use, dims, const, require, mesh -------------------------------------------------------------------

use:
    "use" used as use_settings  { nm_ast_use u = $2;
                                  u.loc = @$;
                                  u.as = $3;
                                  u.settings = $4;
                                  NM_PUSH(ps, ps->file->n_uses, ps->file->use, u); }
  ;

used:
    NAME                        { $$ = (nm_ast_use){.module = $1}; }
  | NAME '.' preset_name        { $$ = (nm_ast_use){.module = $1, .preset = $3}; }
  | STRING                      { $$ = (nm_ast_use){.module = $1, .is_path = true}; }
  ;

preset_name: NAME | WORD ;

as:
    %empty                      { $$ = (nm_ast_word){0}; }
  | "as" NAME                   { $$ = $2; }
  ;

use_settings:
    %empty                      { $$ = (nm_ast_settings){0}; }
  | '(' use_setting_list ')'    { $$ = $2; }
  ;

use_setting_list:
    use_setting                 { $$ = (nm_ast_settings){0}; PUSH($$, item, $1); }
  | use_setting_list ',' use_setting { $$ = $1; PUSH($$, item, $3); }
  ;

use_setting:
    NAME                        { $$ = (nm_ast_setting){.loc = @$, .word = $1}; }
  | setting
  ;

setting:
    NAME '=' expr               { $$ = (nm_ast_setting){.loc = @$, .word = $1, .value = $3}; }
  ;

settings:
    setting                     { $$ = (nm_ast_settings){0}; PUSH($$, item, $1); }
  | settings ',' setting        { $$ = $1; PUSH($$, item, $3); }
  ;

opt_settings:
    %empty                      { $$ = (nm_ast_settings){0}; }
  | '(' settings ')'            { $$ = $2; }
  ;

dimdecls:
    dimdecl                     { $$.n = 0; $$.decl = NULL; PUSH($$, decl, $1); }
  | dimdecls ',' dimdecl        { $$ = $1; PUSH($$, decl, $3); }
  ;

dimdecl:
    NAME opt_settings           { $$ = (nm_ast_dimdecl){.loc = @$, .word = $1, .settings = $2}; }
  | NAME opt_settings '=' expr  { $$ = (nm_ast_dimdecl){.loc = @$, .word = $1, .settings = $2,
                                                        .size = $4}; }
  | NAME opt_settings '=' '?'   { $$ = (nm_ast_dimdecl){.loc = @$, .word = $1, .settings = $2,
                                                        .runtime = true}; }
  ;

consts: "const" settings        { $$ = $2; } ;

require:
    "require" expr              { $$ = (nm_ast_require){.loc = @$, .cond = $2}; }
  | "require" expr ',' STRING   { $$ = (nm_ast_require){.loc = @$, .cond = $2, .text = $4.sym}; }
  ;

rows: '{' row_list '}'          { $$ = $2; $$.loc = @$; } ;

row_list:
    %empty                      { $$ = (nm_ast_rows){0}; }
  | row_list row                { $$ = $1; PUSH($$, row, $2); }
  ;

row:
    LABEL names                 { $$ = (nm_ast_row){.loc = @$, .label = $1, .names = $2}; }
  | LABEL STRING                { $$ = (nm_ast_row){.loc = @$, .label = $1, .string = $2.sym}; }
  ;

// --- names, dims, arrows, shapes --------------------------------------------------------------------

name:
    NAME                        { $$ = nm_ast_name_of(ps, $1); }
  | name '.' NAME               { $$ = nm_ast_name_dot(ps, $1, $3); }
  ;

names:
    name                        { $$ = (nm_ast_names){.loc = @$}; PUSH($$, name, $1); }
  | names2
  ;

names2:
    name name                   { $$ = (nm_ast_names){.loc = @$};
                                  PUSH($$, name, $1);
                                  PUSH($$, name, $2); }
  | names2 name                 { $$ = $1; $$.loc = @$; PUSH($$, name, $2); }
  ;

dim:
    name                        { $$ = (nm_ast_dim){.loc = @$, .name = $1}; }
  | name '=' dim_size           { $$ = (nm_ast_dim){.loc = @$, .name = $1, .size = $3}; }
  ;

dim_size:
    INT
  | name                        { $$ = nm_ast_name_expr(ps, $1); }
  | '(' expr ')'                { $$ = $2; $$->loc = @$; }
  ;

dims:
    dim                         { $$ = (nm_ast_dims){.loc = @$}; PUSH($$, dim, $1); }
  | dims dim                    { $$ = $1; $$.loc = @$; PUSH($$, dim, $2); }
  ;

arrow: names "->" dims          { $$ = (nm_ast_arrow){.loc = @$, .from = $1, .to = $3}; } ;

shape:
    '[' ']'                     { $$ = (nm_ast_shape){.loc = @$, .present = true}; }
  | '[' axes ']'                { $$ = $2; $$.loc = @$; $$.present = true; }
  ;

axes:
    axis                        { $$ = (nm_ast_shape){0}; PUSH($$, axis, $1); }
  | axes ',' axis               { $$ = $1; PUSH($$, axis, $3); }
  ;

axis:
    "..."                       { $$ = (nm_ast_axis){.loc = @$, .kind = NM_AXIS_rest}; }
  | dim                         { $$ = (nm_ast_axis){.loc = @$, .kind = NM_AXIS_dim, .dim = $1}; }
  | arrow                       { $$ = (nm_ast_axis){.loc = @$, .kind = NM_AXIS_arrow, .arrow = $1}; }
  | call                        { $$ = (nm_ast_axis){.loc = @$, .kind = NM_AXIS_call, .call = $1}; }
  ;

type:
    shape                       { $$ = (nm_ast_type){.loc = @$, .shape = $1}; }
  | name shape                  { $$ = (nm_ast_type){.loc = @$, .elem = $1, .shape = $2}; }
  ;

types:
    type                        { $$.n = 0; $$.type = NULL; PUSH($$, type, $1); }
  | types ',' type              { $$ = $1; PUSH($$, type, $3); }
  ;

// --- expressions --------------------------------------------------------------------------------------

expr:
    "if" expr "then" expr "else" expr %prec ELSE { $$ = nm_ast_choose(ps, @1, $2, $4, $6); }
  | expr "or" expr              { $$ = nm_ast_binary(ps, NM_BIN_or, @2, $1, $3); }
  | expr "and" expr             { $$ = nm_ast_binary(ps, NM_BIN_and, @2, $1, $3); }
  | expr "==" expr              { $$ = nm_ast_binary(ps, NM_BIN_eq, @2, $1, $3); }
  | expr "!=" expr              { $$ = nm_ast_binary(ps, NM_BIN_ne, @2, $1, $3); }
  | expr '<' expr               { $$ = nm_ast_binary(ps, NM_BIN_lt, @2, $1, $3); }
  | expr "<=" expr              { $$ = nm_ast_binary(ps, NM_BIN_le, @2, $1, $3); }
  | expr '>' expr               { $$ = nm_ast_binary(ps, NM_BIN_gt, @2, $1, $3); }
  | expr ">=" expr              { $$ = nm_ast_binary(ps, NM_BIN_ge, @2, $1, $3); }
  | expr '+' expr               { $$ = nm_ast_binary(ps, NM_BIN_add, @2, $1, $3); }
  | expr '-' expr               { $$ = nm_ast_binary(ps, NM_BIN_sub, @2, $1, $3); }
  | expr '*' expr               { $$ = nm_ast_binary(ps, NM_BIN_mul, @2, $1, $3); }
  | expr '/' expr               { $$ = nm_ast_binary(ps, NM_BIN_div, @2, $1, $3); }
  | expr "//" expr              { $$ = nm_ast_binary(ps, NM_BIN_idiv, @2, $1, $3); }
  | expr '%' expr               { $$ = nm_ast_binary(ps, NM_BIN_mod, @2, $1, $3); }
  | expr '^' expr               { $$ = nm_ast_binary(ps, NM_BIN_pow, @2, $1, $3); }
  | '-' expr %prec NEG          { $$ = nm_ast_unary(ps, @1, NM_UN_neg, $2); }
  | "not" expr                  { $$ = nm_ast_unary(ps, @1, NM_UN_not, $2); }
  | postfix
  ;

number: INT | REAL ;

postfix:
    name                        { $$ = nm_ast_name_expr(ps, $1); }
  | number
  | STRING                      { $$ = nm_ast_string(ps, @$, $1.sym); }
  | '(' ')'                     { $$ = nm_ast_tuple(ps, @$, (nm_ast_exprs){0}); }
  | '(' expr ')'                { $$ = $2; $$->loc = @$; }
  | '(' expr ',' ')'            { nm_ast_exprs one = {0};
                                  PUSH(one, expr, $2);
                                  $$ = nm_ast_tuple(ps, @$, one); }
  | '(' expr ',' exprs ')'      { nm_ast_exprs all = {0};
                                  PUSH(all, expr, $2);
                                  for (int i = 0; i < $4.n; i++)
                                      PUSH(all, expr, $4.expr[i]);
                                  $$ = nm_ast_tuple(ps, @$, all); }
  | LABEL call                  { $$ = nm_ast_labelled($1, $2); }
  | postfix views               { $$ = nm_ast_view_expr(ps, $1, $2); }
  | postfix args                { $$ = nm_ast_call(ps, $1, $2); }
  ;

exprs:
    expr                        { $$ = (nm_ast_exprs){.loc = @$}; PUSH($$, expr, $1); }
  | exprs ',' expr              { $$ = $1; $$.loc = @$; PUSH($$, expr, $3); }
  ;

call: name args                 { $$ = nm_ast_call(ps, nm_ast_name_expr(ps, $1), $2); } ;

args:
    '(' ')'                     { $$ = (nm_ast_args){.close = @2}; }
  | '(' arg_list ')'            { $$ = $2; $$.close = @3; }
  | '(' arg_list ',' ')'        { $$ = $2; $$.close = @4; }
  ;

arg_list:
    arg                         { $$ = (nm_ast_args){0}; PUSH($$, arg, $1); }
  | arg_list ',' arg            { $$ = $1; PUSH($$, arg, $3); }
  ;

arg:
    "..."                       { $$ = (nm_ast_arg){.kind = NM_ARG_rest}; $$.loc = $$.value_loc = @$; }
  | value                       { $$ = $1; $$.loc = $$.value_loc = @$; }
  | NAME '=' value              { $$ = $3; $$.loc = @$; $$.word = $1; $$.value_loc = @3; }
  ;

value:
    expr                        { $$ = (nm_ast_arg){.kind = NM_ARG_expr, .expr = $1}; }
  | expr ".." expr              { $$ = (nm_ast_arg){.kind = NM_ARG_span, .expr = $1, .hi = $3}; }
  | names2                      { $$ = (nm_ast_arg){.kind = NM_ARG_dims, .dims = $1}; }
  | arrow                       { $$ = (nm_ast_arg){.kind = NM_ARG_arrow, .arrow = $1}; }
  ;

span:
    expr                        { $$.lo = $1; $$.hi = NULL; }
  | expr ".." expr              { $$.lo = $1; $$.hi = $3; }
  ;

views: '[' view_list ']'        { $$ = $2; $$.loc = @$; } ;

view_list:
    view                        { $$ = (nm_ast_views){0}; PUSH($$, view, $1); }
  | view_list ',' view          { $$ = $1; PUSH($$, view, $3); }
  ;

view:
    arrow                       { $$ = (nm_ast_view){.loc = @$, .kind = NM_VIEW_arrow, .arrow = $1}; }
  | name '=' expr               { $$ = (nm_ast_view){.loc = @$, .kind = NM_VIEW_pick, .dim = $1,
                                                     .index = $3}; }
  | name '=' range              { $$ = (nm_ast_view){.loc = @$, .kind = NM_VIEW_slice, .dim = $1,
                                                     .lo = $3.lo, .hi = $3.hi}; }
  | '+' dim                     { $$ = (nm_ast_view){.loc = @$, .kind = NM_VIEW_grow, .grown = $2}; }
  | '+' call                    { $$ = (nm_ast_view){.loc = @$, .kind = NM_VIEW_grow_call,
                                                     .call = $2}; }
  ;

range: opt_expr ".." opt_expr   { $$.lo = $1; $$.hi = $3; } ;

opt_expr: %empty { $$ = NULL; } | expr ;

// --- definitions, entries, externs ------------------------------------------------------------------

def:
    def_head pars '=' exprs     { nm_ast_def d = $1;
                                  d.loc = nm_loc_join(d.loc, $2.loc);
                                  d.pars = $2;
                                  d.is_short = true;
                                  d.value = $4;
                                  NM_PUSH(ps, ps->file->n_defs, ps->file->def, d); }
  | def_head pars block         { nm_ast_def d = $1;
                                  d.loc = nm_loc_join(d.loc, $2.loc);
                                  d.pars = $2;
                                  d.body = $3;
                                  NM_PUSH(ps, ps->file->n_defs, ps->file->def, d); }
  | def_head pars "->" types block {
                                  nm_ast_def d = $1;
                                  d.loc = nm_loc_join(d.loc, @4);
                                  d.pars = $2;
                                  d.n_types = $4.n;
                                  d.type = $4.type;
                                  d.body = $5;
                                  NM_PUSH(ps, ps->file->n_defs, ps->file->def, d); }
  ;

def_head:
    def_kind NAME               { $$ = (nm_ast_def){.loc = @$, .kind = (nm_ast_def_kind)$1,
                                                    .name = $2, .file = ps->file}; }
  ;

def_kind:
    "module"                    { $$ = NM_DEF_module; }
  | "model"                     { $$ = NM_DEF_model; }
  | "fn"                        { $$ = NM_DEF_fn; }
  ;

pars:
    '(' ')'                     { $$ = (nm_ast_pars){.loc = @$}; }
  | '(' par_list ')'            { $$ = $2; $$.loc = @$; }
  ;

par_list:
    par                         { $$ = (nm_ast_pars){0}; PUSH($$, par, $1); }
  | par_list ',' par            { $$ = $1; PUSH($$, par, $3); }
  ;

par:
    "..."                       { $$ = (nm_ast_par){.loc = @$, .kind = NM_PAR_rest}; }
  | NAME                        { $$ = (nm_ast_par){.loc = @$, .kind = NM_PAR_plain, .name = $1}; }
  | NAME shape                  { $$ = (nm_ast_par){.loc = @$, .kind = NM_PAR_plain, .name = $1,
                                                    .type = {.loc = @2, .shape = $2}}; }
  | NAME '=' expr               { $$ = (nm_ast_par){.loc = @$, .kind = NM_PAR_plain, .name = $1,
                                                    .otherwise = $3}; }
  | NAME "->" NAME              { $$ = (nm_ast_par){.loc = @$, .kind = NM_PAR_arrow, .name = $1,
                                                    .to = $3}; }
  | LABEL flag default          { $$ = (nm_ast_par){.loc = @$, .kind = NM_PAR_kind, .name = $1,
                                                    .of = $2, .otherwise = $3}; }
  | LABEL name shape default    { $$ = (nm_ast_par){.loc = @$, .kind = NM_PAR_typed, .name = $1,
                                                    .type = {.loc = nm_loc_join(@2, @3),
                                                             .elem = $2, .shape = $3},
                                                    .otherwise = $4}; }
  ;

flag:
    NAME
  | "dims"                      { $$ = (nm_ast_word){.loc = @$, .sym = nm_sym_get(ps->m, "dims")}; }
  | "fn"                        { $$ = (nm_ast_word){.loc = @$, .sym = nm_sym_get(ps->m, "fn")}; }
  | "module"                    { $$ = (nm_ast_word){.loc = @$, .sym = nm_sym_get(ps->m, "module")}; }
  ;

default:
    %empty                      { $$ = NULL; }
  | '=' expr                    { $$ = $2; }
  ;

entry:
    entry_kind opt_name pars block {
                                  nm_ast_entry e = {.loc = nm_loc_join(@1, @3),
                                                    .kind = (nm_ast_entry_kind)$1,
                                                    .name = $2,
                                                    .pars = $3,
                                                    .body = $4,
                                                    .file = ps->file};
                                  NM_PUSH(ps, ps->file->n_entries, ps->file->entry, e); }
  ;

entry_kind:
    "train"                     { $$ = NM_ENTRY_train; }
  | "eval"                      { $$ = NM_ENTRY_eval; }
  | "infer"                     { $$ = NM_ENTRY_infer; }
  ;

opt_name: %empty { $$ = (nm_ast_word){0}; } | NAME ;

extern:
    "extern" NAME pars "->" types extern_rows {
                                  nm_ast_extern e = {.loc = nm_loc_join(@1, @5),
                                                     .name = $2,
                                                     .pars = $3,
                                                     .n_types = $5.n,
                                                     .type = $5.type,
                                                     .rows = $6,
                                                     .file = ps->file};
                                  NM_PUSH(ps, ps->file->n_externs, ps->file->extern_, e); }
  ;

extern_rows: '{' extern_row_list '}' { $$ = $2; $$.loc = @$; } ;

extern_row_list:
    %empty                      { $$ = (nm_ast_rows){0}; }
  | extern_row_list extern_row  { $$ = $1; PUSH($$, row, $2); }
  ;

extern_row:
    row
  | LABEL type                  { $$ = (nm_ast_row){.loc = @$, .label = $1, .type = $2}; }
  ;

// --- statements -----------------------------------------------------------------------------------------

block: '{' stmts '}'            { $$ = nm_ast_block_of(ps, @$, $2); } ;

stmts:
    %empty                      { $$ = (nm_ast_block){0}; }
  | stmts stmt                  { $$ = $1; PUSH($$, stmt, $2); }
  | stmts error                 { $$ = $1; SKIP(line); }
  ;

stmt:
    word_list '=' exprs         { $$ = STMT(assign);
                                  $$->u.assign.names = $1;
                                  $$->u.assign.values = $3; }
  | NAME ":=" expr              { $$ = STMT(next);
                                  $$->u.next.name = $1;
                                  $$->u.next.value = $3; }
  | NAME shape '~' expr         { $$ = STMT(draw);
                                  $$->u.decl.name = $1;
                                  $$->u.decl.shape = $2;
                                  $$->u.decl.init = $4; }
  | decl_stmt
  | "emit" NAME '=' expr        { $$ = STMT(emit);
                                  $$->u.emit.name = $2;
                                  $$->u.emit.value = $4; }
  | "return" exprs              { $$ = STMT(return); $$->u.ret = $2; }
  | "repeat" name as block      { $$ = nm_ast_loop(STMT(repeat), $2, $3, $4); }
  | "scan" name as block        { $$ = nm_ast_loop(STMT(scan), $2, $3, $4); }
  | "for" word_list "in" span block { $$ = STMT(for);
                                  $$->u.for_.names = $2;
                                  $$->u.for_.over = $4.lo;
                                  $$->u.for_.hi = $4.hi;
                                  $$->u.for_.body = $5; }
  | if_stmt
  | "minimize" expr '{' min_items '}' { $$ = STMT(minimize);
                                  $$->u.minimize.loss = $2;
                                  $$->u.minimize.n = $4.n;
                                  $$->u.minimize.item = $4.item; }
  | "dims" dimdecls             { $$ = STMT(dims);
                                  $$->u.dims.n = $2.n;
                                  $$->u.dims.decl = $2.decl; }
  | consts                      { $$ = STMT(const); $$->u.consts = $1; }
  | require                     { $$ = STMT(require); $$->u.require = $1; }
  ;

word_list:
    NAME                        { $$ = (nm_ast_words){0}; PUSH($$, word, $1); }
  | word_list ',' NAME          { $$ = $1; PUSH($$, word, $3); }
  ;

decl_stmt:
    decl_kind NAME shape opt_init flags {
                                  $$ = nm_ast_stmt_new(ps, (nm_ast_stmt_kind)$1, @$);
                                  $$->u.decl.name = $2;
                                  $$->u.decl.shape = $3;
                                  $$->u.decl.init = $4;
                                  $$->u.decl.flags = $5; }
  | decl_kind LABEL NAME shape opt_init flags {
                                  $$ = nm_ast_stmt_new(ps, (nm_ast_stmt_kind)$1, @$);
                                  $$->u.decl.name = $2;
                                  $$->u.decl.dtype = $3;
                                  $$->u.decl.shape = $4;
                                  $$->u.decl.init = $5;
                                  $$->u.decl.flags = $6; }
  ;

decl_kind:
    "param"                     { $$ = NM_STMT_param; }
  | "state"                     { $$ = NM_STMT_state; }
  ;

opt_init:
    %empty                      { $$ = NULL; }
  | '~' expr                    { $$ = $2; }
  ;

flags:
    %empty                      { $$ = (nm_ast_words){0}; }
  | flags ',' NAME              { $$ = $1; PUSH($$, word, $3); }
  ;

if_stmt:
    "if" expr block else        { $$ = STMT(if);
                                  $$->u.if_.cond = $2;
                                  $$->u.if_.then = $3;
                                  $$->u.if_.other = $4;
                                  $$->u.if_.has_else = $4.n || $4.loc.len; }
  ;

else:
    %empty                      { $$ = (nm_ast_block){0}; }
  | "else" block                { $$ = $2; }
  | "else" if_stmt              { $$ = nm_ast_block_of_one(ps, $2); }
  ;

min_items:
    %empty                      { $$.n = 0; $$.item = NULL; }
  | min_items min_item          { $$ = $1; PUSH($$, item, $2); }
  | min_items error             { $$ = $1; SKIP(line); }
  ;

min_item:
    call opt_on                 { $$ = (nm_ast_min_item){.loc = @$, .optimizer = $1, .on = $2}; }
  | setting                     { $$ = (nm_ast_min_item){.loc = @$, .setting = $1}; }
  ;

// --- paths, adapt, preset -------------------------------------------------------------------------------

opt_on:
    %empty                      { $$ = (nm_ast_paths){0}; }
  | "on" paths                  { $$ = $2; }
  ;

paths:
    path                        { $$ = (nm_ast_paths){.loc = @$}; PUSH($$, path, $1); }
  | paths ',' path              { $$ = $1; $$.loc = @$; PUSH($$, path, $3); }
  ;

path:
    step                        { $$ = (nm_ast_path){.loc = @$}; PUSH($$, step, $1); }
  | path '.' step               { $$ = $1; $$.loc = @$; PUSH($$, step, $3); }
  ;

step:
    NAME                        { $$ = (nm_ast_step){.loc = @$, .kind = NM_STEP_name, .word = $1}; }
  | INT                         { $$ = (nm_ast_step){.loc = @$, .kind = NM_STEP_index,
                                                     .index = $1->u.number.i}; }
  | '*'                         { $$ = (nm_ast_step){.loc = @$, .kind = NM_STEP_any}; }
  | "**"                        { $$ = (nm_ast_step){.loc = @$, .kind = NM_STEP_many}; }
  | '{' word_list '}'           { $$ = (nm_ast_step){.loc = @$, .kind = NM_STEP_choice,
                                                     .choices = $2}; }
  | NAME '[' name '=' span ']'  { $$ = (nm_ast_step){.loc = @$, .kind = NM_STEP_turns, .word = $1,
                                                     .dim = $3, .lo = $5.lo, .hi = $5.hi}; }
  ;

adapt:
    "adapt" call "on" paths     { nm_ast_adapt a = {.loc = @$, .call = $2, .on = $4,
                                                    .file = ps->file};
                                  NM_PUSH(ps, ps->file->n_adapts, ps->file->adapt, a); }
  ;

preset:
    "preset" preset_name preset_items {
                                  nm_ast_preset p = {.loc = nm_loc_join(@1, @2), .name = $2,
                                                     .settings = $3, .file = ps->file};
                                  NM_PUSH(ps, ps->file->n_presets, ps->file->preset, p); }
  ;

preset_items:
    '{' '}'                     { $$ = (nm_ast_settings){0}; }
  | '{' settings '}'            { $$ = $2; }
  ;

// --- weights --------------------------------------------------------------------------------------------

weights:
    "weights" NAME opt_on '{' maps '}' {
                                  nm_ast_weights w = {.loc = nm_loc_join(@1, @3), .name = $2,
                                                      .on = $3, .n_maps = $5.n, .map = $5.map,
                                                      .file = ps->file};
                                  NM_PUSH(ps, ps->file->n_weights, ps->file->weights, w); }
  ;

maps:
    %empty                      { $$.n = 0; $$.map = NULL; }
  | maps map                    { $$ = $1; PUSH($$, map, $2); }
  | maps error                  { $$ = $1; SKIP(line); }
  ;

map:
    NAME '{' config '}'         { $$ = (nm_ast_map){.loc = @1, .kind = NM_MAP_config, .word = $1,
                                                    .config = $3}; }
  | "use" name STRING           { $$ = (nm_ast_map){.loc = @$, .kind = NM_MAP_use, .used = $2};
                                  PUSH($$.names, word, $3); }
  | parts '=' source '{' maps '}' { $$ = $3;
                                  $$.kind = NM_MAP_scope;
                                  $$.loc = @1;
                                  $$.n_parts = $1.n;
                                  $$.part = $1.part;
                                  $$.n_maps = $5.n;
                                  $$.map = $5.map; }
  | parts '=' source layout     { $$ = $3;
                                  $$.kind = NM_MAP_tensor;
                                  $$.loc = @1;
                                  $$.n_parts = $1.n;
                                  $$.part = $1.part;
                                  $$.layout_loc = $4.loc;
                                  $$.n_lays = $4.n;
                                  $$.lay = $4.lay; }
  ;

source:
    STRING                      { $$ = (nm_ast_map){0}; PUSH($$.names, word, $1); }
  | NAME '(' strings ')'        { $$ = (nm_ast_map){.word = $1, .names = $3}; }
  ;

strings:
    STRING                      { $$ = (nm_ast_words){0}; PUSH($$, word, $1); }
  | strings ',' STRING          { $$ = $1; PUSH($$, word, $3); }
  ;

config:
    %empty                      { $$ = (nm_ast_configs){0}; }
  | config config_row           { $$ = $1; PUSH($$, row, $2); }
  ;

config_row:
    labels expr default         { $$ = (nm_ast_config){.loc = @1, .kind = NM_CONFIG_row, .keys = $1,
                                                       .value = $2, .absent = $3}; }
  | keys '{' config '}'         { $$ = (nm_ast_config){.loc = @1, .kind = NM_CONFIG_object,
                                                       .keys = $1, .rows = $3}; }
  | "if" expr '{' config '}' config_else {
                                  $$ = (nm_ast_config){.loc = @1, .kind = NM_CONFIG_if, .cond = $2,
                                                       .rows = $4, .other = $6}; }
  ;

config_else:
    %empty                      { $$ = (nm_ast_configs){0}; }
  | "else" '{' config '}'       { $$ = $3; }
  ;

keys:
    name                        { $$ = (nm_ast_names){.loc = @$}; PUSH($$, name, $1); }
  | keys '|' name               { $$ = $1; $$.loc = @$; PUSH($$, name, $3); }
  ;

labels:
    label                       { $$ = (nm_ast_names){.loc = @$}; PUSH($$, name, $1); }
  | keys '|' label              { $$ = $1; $$.loc = @$; PUSH($$, name, $3); }
  ;

label:
    LABEL                       { $$ = nm_ast_name_of(ps, $1); }
  | name '.' LABEL              { $$ = nm_ast_name_dot(ps, $1, $3); }
  ;

parts:
    part                        { $$.n = 0; $$.part = NULL; PUSH($$, part, $1); }
  | parts '|' part              { $$ = $1; PUSH($$, part, $3); }
  ;

part:
    part_path
  | part_path views             { $$ = $1; $$.loc = @$; $$.n_views = $2.n; $$.view = $2.view; }
  ;

part_path:
    NAME                        { $$ = (nm_ast_part){.loc = @$, .path = $1.sym}; }
  | part_path '.' NAME          { $$ = $1;
                                  $$.loc = @$;
                                  $$.path = nm_sym_fmt(ps->m, "%s.%s", $1.path, $3.sym); }
  | part_path '.' INT           { $$ = $1;
                                  $$.loc = @$;
                                  $$.path = nm_sym_fmt(ps->m, "%s.%lld", $1.path,
                                                       (long long)$3->u.number.i); }
  ;

layout:
    %empty                      { $$.loc = (nm_loc){0}; $$.n = 0; $$.lay = NULL; }
  | '[' lay_list ']'            { $$ = $2; $$.loc = @$; }
  ;

lay_list:
    lay                         { $$.loc = @$; $$.n = 0; $$.lay = NULL; PUSH($$, lay, $1); }
  | lay_list ',' lay            { $$ = $1; PUSH($$, lay, $3); }
  ;

lay:
    terms                       { $$ = (nm_ast_lay){.loc = @$}; PUSH($$, part, $1); }
  | lay '|' terms               { $$ = $1; $$.loc = @$; PUSH($$, part, $3); }
  ;

terms:
    term                        { $$ = (nm_ast_terms){.loc = @$}; PUSH($$, term, $1); }
  | terms term                  { $$ = $1; $$.loc = @$; PUSH($$, term, $2); }
  ;

term:
    name                        { $$ = (nm_ast_term){.loc = @$, .name = $1}; }
  | INT                         { $$ = (nm_ast_term){.loc = @$, .number = $1->u.number.i}; }
  | '(' lay ')'                 { $$ = (nm_ast_term){.loc = @$,
                                                     .group = nm_new(ps->m->arena, nm_ast_lay)};
                                  *$$.group = $2; }
  ;

%%

static void yyerror(nm_loc *at, nm_parser *ps, const char *text)
{
    (void)text; // "memory exhausted" alone comes here
    nm_syntax_error(ps, *at, "this nests too deep");
    ps->stop = true;
}

static int yyreport_syntax_error(const yypcontext_t *context, nm_parser *ps)
{
    enum { MAX = YYNTOKENS };
    yysymbol_kind_t kind[MAX];
    const char *name[MAX];
    int n = yypcontext_expected_tokens(context, kind, MAX);
    for (int i = 0; i < n; i++)
        name[i] = yysymbol_name(kind[i]);
    nm_syntax_expected(ps, *yypcontext_location(context), n, name);
    return 0;
}
