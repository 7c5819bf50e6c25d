/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include "py/effects-private.h"

static struct ak_effects *analyse(const char *source) {
    if (!Py_IsInitialized())
        Py_InitializeEx(0);
    PyCompilerFlags flags = {.cf_flags = PyCF_ALLOW_TOP_LEVEL_AWAIT,
                             .cf_feature_version = PY_MINOR_VERSION};
    AK_PYREF code = Py_CompileStringFlags(source, "cell", Py_file_input, &flags);
    assert(code);
    struct ak_effects *effects = NULL;
    assert(ak_effects_new(&effects, code, NULL) == 0);
    return effects;
}

static void check(const char *source, const char *expected,
                  const struct ak_names *(*get)(const struct ak_effects *)) {
    struct ak_effects *effects = analyse(source);
    const struct ak_names *names = get(effects);
    char joined[1024] = "";
    for (size_t i = 0; i < names->n_items; i++) {
        strcat(joined, i ? " " : "");
        strcat(joined, names->items[i]);
    }
    if (strcmp(joined, expected) != 0)
        fprintf(stderr, "%s: \"%s\", not \"%s\"\n", source, joined, expected);
    assert(strcmp(joined, expected) == 0);
    ak_effects_free(effects);
}

static void reads(void) {
    check("x", "x", ak_effects_reads_at_once);
    check("x = 1\nx", "", ak_effects_reads_at_once);
    check("x += 1", "x", ak_effects_reads_at_once);
    check("x = x + y", "x y", ak_effects_reads_at_once);
    check("import os\nos.getcwd()", "", ak_effects_reads_at_once);
    check("print(len(data))", "data len print", ak_effects_reads_at_once);
    check("await f(x)", "f x", ak_effects_reads_at_once);
    check("del x", "", ak_effects_binds);
    check("x = 1\ndel x\nx", "x", ak_effects_reads_at_once);
    check("del x", "x", ak_effects_reads_at_once);
    check("x = 1\ndel x", "", ak_effects_reads_at_once);
    check("if c: x = 1\ndel x", "c x", ak_effects_reads_at_once);
    check("class C:\n del x", "", ak_effects_reads_at_once);
    check("try: pass\nexcept E as e: pass", "", ak_effects_reads_at_once);
}

static void binds(void) {
    check("a = b, (c, d) = e", "a b c d", ak_effects_binds);
    check("import a.b, c as d\nfrom e import f as g", "a d g", ak_effects_binds);
    check("def f(): pass\nclass C: pass", "C f", ak_effects_binds);
    check("for i in r: pass", "i", ak_effects_binds);
    check("with o as h: pass", "h", ak_effects_binds);
    check("(w := 1)", "w", ak_effects_binds);
    check("[y := x for x in r]", "y", ak_effects_binds);
    check("def f():\n global g\n g = 1", "f", ak_effects_binds);
    check("def f():\n global g\n g = 1", "g", ak_effects_binds_later);
    check("try: f()\nexcept E as e: pass", "e", ak_effects_binds);
    check("del a", "a", ak_effects_deletes);
    struct ak_effects *star = analyse("from math import *");
    assert(ak_effects_binds_unknown(star));
    ak_effects_free(star);
}

static void scopes(void) {
    check("def f(a=d): return x + a", "d", ak_effects_reads_at_once);
    check("def f(a=d): return x + a", "x", ak_effects_reads_later);
    check("g = lambda: y", "y", ak_effects_reads_later);
    check("[x * k for x in r]", "k r", ak_effects_reads_at_once);
    check("class C(B):\n a = z\n b = a\n def m(self): return q", "B z",
          ak_effects_reads_at_once);
    check("class C:\n def m(self): return q", "q", ak_effects_reads_later);
    check("x = 1\nclass C:\n a = x", "", ak_effects_reads_at_once);
    check("class C:\n x = 1\n y = [x for i in r]", "r x", ak_effects_reads_at_once);
    check("class C:\n x = 1\n class D: y = x", "x", ak_effects_reads_at_once);
    check("x = 1\nclass C:\n y = [x for i in r]\n x = 2", "r",
          ak_effects_reads_at_once);
    check("y = 0\n[[(y := y + x) for x in r] for r in s]", "s",
          ak_effects_reads_at_once);
    check("@deco\ndef f(): pass", "deco", ak_effects_reads_at_once);
    check("async def f():\n await g()", "g", ak_effects_reads_later);
    check("def f():\n return [v for v in w]", "w", ak_effects_reads_later);
#if PY_VERSION_HEX >= 0x030c0000
    check("class C[T](B):\n a = z", "B z", ak_effects_reads_at_once);
    check("def f[T](a=d): return q", "q", ak_effects_reads_later);
#endif
}

/* A lambda that is called where it stands reads at once, whatever its arguments are;
 * one that is handed on does not. */
static void lambdas(void) {
    check("(lambda: x)()", "x", ak_effects_reads_at_once);
    check("(lambda: x)()", "", ak_effects_reads_later);
    check("x = 1\n(lambda: x)()", "", ak_effects_reads_at_once);
    check("v = (lambda a, b=d: a + x)(y, b=2)", "d x y", ak_effects_reads_at_once);
    check("(lambda *a, **k: x)(*y, **z)", "x y z", ak_effects_reads_at_once);
    check("(lambda *a: x)(*y)", "x y", ak_effects_reads_at_once);
    check("(lambda a: x)(1 if c else y)", "c x y", ak_effects_reads_at_once);
    check("(lambda a: x)(f(g(1), o.m(2)))", "f g o x", ak_effects_reads_at_once);
    check("(lambda: (lambda: x)())()", "x", ak_effects_reads_at_once);
    check("(lambda: lambda: x)()", "x", ak_effects_reads_later);
    check("@lambda f: f(x)\ndef g(): return y", "x", ak_effects_reads_at_once);
    check("@lambda f: f(x)\ndef g(): return y", "y", ak_effects_reads_later);
    check("f(lambda: x)", "x", ak_effects_reads_later);
    check("o.m(lambda: x, 1)()", "x", ak_effects_reads_later);
    check("f(key=lambda: x)", "x", ak_effects_reads_later);
    check("(lambda: x).run()", "x", ak_effects_reads_later);
}

static void branches(void) {
    check("if c: x = 1\nx", "c x", ak_effects_reads_at_once);
    check("if c: x = 1\nelse: x = 2\nx", "c", ak_effects_reads_at_once);
    check("for i in r: x = i\nx", "r x", ak_effects_reads_at_once);
    check("while True:\n x = 1\n break\nx", "", ak_effects_reads_at_once);
    check("try: x = f()\nexcept E: pass\nx", "E f x", ak_effects_reads_at_once);
    check("try: x = f()\nfinally: y = 1\nx, y", "f", ak_effects_reads_at_once);
    check("with m: x = 1\nx", "m x", ak_effects_reads_at_once);
    check("x = 1\nwhile c:\n del x\nx", "c x", ak_effects_reads_at_once);
}

static void bound_at(void) {
    struct ak_effects *effects = analyse("a = 1\nawait f()\nb = 2\n");
    assert(!ak_effects_bound_at(effects, "a", 0));
    assert(ak_effects_bound_at(effects, "a", AK_EFFECTS_END));
    assert(ak_effects_bound_at(effects, "b", AK_EFFECTS_END));
    bool a_alone = false;
    for (int offset = 0; offset < 60; offset += 2) {
        bool a = ak_effects_bound_at(effects, "a", offset);
        bool b = ak_effects_bound_at(effects, "b", offset);
        assert(a || !b);
        a_alone = a_alone || (a && !b);
    }
    assert(a_alone && !ak_effects_bound_at(effects, "zzz", 10));
    ak_effects_free(effects);
}

/* Thousands of names and branches take a moment, not for ever. */
static void large(void) {
    size_t size = 4u << 20, used = 0;
    char *source = malloc(size);
    for (int i = 0; i < 30000; i++)
        used += (size_t)snprintf(source + used, size - used, "n%d = n%d\n", i, i + 1);
    struct ak_effects *effects = analyse(source);
    assert(ak_effects_binds(effects)->n_items == 30000);
    assert(ak_effects_reads_at_once(effects)->n_items == 30000);
    ak_effects_free(effects);
    used = 0;
    for (int i = 0; i < 5000; i++)
        used += (size_t)snprintf(source + used, size - used, "if c: b%d = 1\n", i);
    effects = analyse(source);
    assert(ak_effects_binds(effects)->n_items == 5000);
    ak_effects_free(effects);
    used = 0;
    for (int i = 0; i < 20000; i++)
        used +=
            (size_t)snprintf(source + used, size - used, "class C%d: a = n%d\n", i, i);
    effects = analyse(source);
    assert(ak_effects_reads_at_once(effects)->n_items == 20000);
    ak_effects_free(effects);
    free(source);
}

static const struct ak_test tests[] = {
    {"reads", reads},     {"binds", binds},       {"scopes", scopes},
    {"lambdas", lambdas}, {"branches", branches}, {"bound-at", bound_at},
    {"large", large},
};
AK_TEST_MAIN(tests)
