# SPDX-License-Identifier: MIT
"""The mode "cache" on the wire: what is not run again, and above all what is."""

import pytest


class Cached:
    """A kernel with a cache of its own, which can be started again."""

    def __init__(self, launch, path, **env):
        self.launch = launch
        self.path = path
        self.env = {
            "AKERNEL_CACHE_DIR": str(path / "cache"),
            "XDG_STATE_HOME": str(path / "state"),
            "AKERNEL_CACHE_MIN_MS": "0",
            **env,
        }
        (path / "work").mkdir(exist_ok=True)
        self.start()

    def start(self):
        self.kernel = self.launch("cache", env=self.env, cwd=str(self.path / "work"))
        self.client = self.kernel.ready_client()

    def restart(self):
        self.kernel.stop()
        self.start()

    def run(self, code, **kwargs):
        outcome = self.client.run(code, **kwargs)
        self.cache = outcome.reply.metadata.get("cache", {})
        assert outcome.reply.content["status"] == "ok", outcome.reply.content
        return outcome

    def status(self, code):
        self.run(code)
        return self.cache["status"]


@pytest.fixture
def cached(launch, tmp_path):
    return Cached(launch, tmp_path)


# Setup, the cell, what happens to its inputs: afterwards the cell has to run.
RUNS = {
    # values that compare equal
    "int-bool": ("x = 1", "y = repr(x)", "x = True"),
    "int-float": ("x = 1", "y = repr(x)", "x = 1.0"),
    "zero-sign": ("x = 0.0", "y = repr(x)", "x = -0.0"),
    "complex-zero": ("x = 0j", "y = repr(x)", "x = complex(-0.0, 0.0)"),
    "str-subclass": ("x = 'a'", "y = type(x).__name__", "class S(str): pass\nx = S('a')"),
    "list-tuple": ("x = [1]", "y = repr(x)", "x = (1,)"),
    "set-frozenset": ("x = {1}", "y = repr(x)", "x = frozenset({1})"),
    "dict-order": ("x = {'a': 1, 'b': 2}", "y = list(x)", "x = {'b': 2, 'a': 1}"),
    "dict-key-type": ("x = {1: 0}", "y = repr(x)", "x = {True: 0}"),
    "set-element-type": ("x = {1}", "y = repr(x)", "x = {1.0}"),
    "nested-boundary": ("x = [['a'], ['b']]", "y = repr(x)", "x = [['a', 'b'], []]"),
    "string-boundary": ("x = ('ab', 'c')", "y = x[0]", "x = ('a', 'bc')"),
    "bytes-bytearray": ("x = b'a'", "y = repr(x)", "x = bytearray(b'a')"),
    "surrogate": ("x = '\\ud800'", "y = ascii(x)", "x = '\\ud801'"),
    "big-int": ("x = 2 ** 200", "y = x % 7", "x = 2 ** 200 + 1"),
    "negative-int": ("x = 255", "y = x", "x = -256"),
    "decimal-exponent": ("from decimal import Decimal\nx = Decimal('1.0')", "y = str(x)", "x = Decimal('1.00')"),
    "range-step": ("x = range(0, 3, 2)", "y = repr(x)", "x = range(0, 4, 2)"),
    "ordered-dict": ("import collections\nx = {'a': 1}", "y = repr(x)", "x = collections.OrderedDict(a=1)"),
    "counter": ("import collections\nx = {'a': 1}", "y = type(x).__name__", "x = collections.Counter(a=1)"),
    "namedtuple": ("x = (1, 2)", "y = repr(x)", "import collections\nP = collections.namedtuple('P', 'a b')\nx = P(1, 2)"),
    "partial": ("import functools\nf = functools.partial(int, base=2)", "y = f('11')", "f = functools.partial(int, base=3)"),
    "method-of-other": ("class A:\n    def __init__(s, v): s.v = v\n    def get(s): return s.v\nm = A(1).get", "y = m()", "m = A(2).get"),
    # sharing
    "alias-inner": ("a = [0]\nx = [a, a]", "x2 = [list(i) for i in x]\ny = x[0] is x[1]", "x = [[0], [0]]"),
    "alias-across-dict": ("a = []\nd = {'k': a}", "y = d['k'] is a", "d = {'k': []}"),
    "cycle": ("x = []\nx.append(x)", "y = x[0] is x", "x = [[]]"),
    # code
    "default": ("def f(a=1): return a", "y = f()", "def f(a=2): return a"),
    "kwdefault": ("def f(*, a=1): return a", "y = f()", "def f(*, a=2): return a"),
    "closure": ("def mk(n):\n    def f(): return n\n    return f\nf = mk(1)", "y = f()", "f = mk(2)"),
    "closure-cell-mutated": ("def mk():\n    box = [1]\n    def f(): return box[0]\n    return f, box\nf, b = mk()", "y = f()", "b[0] = 2"),
    "constant-type": ("def f(): return 1", "y = repr(f())", "def f(): return 1.0"),
    "arg-order": ("def f(a, b): return a - b", "y = f(1, 2)", "def f(b, a): return a - b"),
    "deep-callee": ("def h(): return 1\ndef g(): return h()\ndef f(): return g()", "y = f()", "def h(): return 2"),
    "callee-in-default": ("def g(): return 1\ndef f(h=g): return h()", "y = f()", "g.__code__ = (lambda: 2).__code__"),
    "decorator": ("def deco(f):\n    def w(): return f() + 1\n    return w\ndef g(): return 1\nf = deco(g)", "y = f()", "def deco(f):\n    def w(): return f() + 5\n    return w\nf = deco(g)"),
    "wraps": ("import functools\ndef deco(f):\n    @functools.wraps(f)\n    def w(): return f() + 1\n    return w\n@deco\ndef f(): return 1", "y = f()", "@deco\ndef f(): return 2"),
    "lru-cache": ("import functools\n@functools.lru_cache\ndef f(): return k\nk = 1", "y = f()", "k = 2\nf.cache_clear()"),
    "nested-function-global": ("k = 1\ndef f():\n    def g(): return k\n    return g()", "y = f()", "k = 2"),
    "comprehension-global": ("k = 1", "y = [k for _ in range(2)]", "k = 2"),
    "lambda-in-cell": ("k = 1", "y = (lambda: k)()", "k = 2"),
    "genexpr-in-cell": ("k = 1", "y = sum(k for _ in range(2))", "k = 2"),
    "class-in-function": ("k = 1\ndef f():\n    class C:\n        v = k\n    return C.v", "y = f()", "k = 2"),
    "function-absent-global": ("def f():\n    try: return zz\n    except NameError: return 0", "y = f()", "zz = 1"),
    "builtin-shadowed-in-callee": ("def f(): return len([1])", "y = f()", "def len(x): return 9"),
    "staticmethod": ("class C:\n    @staticmethod\n    def m(): return 1", "y = C.m()", "C.m = staticmethod(lambda: 2)"),
    "classmethod": ("class C:\n    v = 1\n    @classmethod\n    def m(cls): return cls.v", "y = C.m()", "C.v = 2"),
    "property": ("class C:\n    @property\n    def p(s): return 1\no = C()", "y = o.p", "C.p = property(lambda s: 2)"),
    "slots": ("class C:\n    __slots__ = ('a',)\no = C(); o.a = 1", "y = o.a", "o.a = 2"),
    "metaclass": ("class M(type):\n    def m(cls): return 1\nclass C(metaclass=M): pass", "y = C.m()", "M.m = lambda cls: 2"),
    "base-class": ("class B: v = 1\nclass C(B): pass\no = C()", "y = o.v", "B.v = 2"),
    "dataclass": ("import dataclasses\n@dataclasses.dataclass\nclass D:\n    a: int = 1\no = D()", "y = o.a", "o.a = 2"),
    "enum": ("import enum\nclass E(enum.Enum):\n    A = 1\nx = E.A", "y = x.value", "class E(enum.Enum):\n    A = 2\nx = E.A"),
    "dict-subclass-hides": ("class D(dict):\n    def __iter__(s): return iter(())\n    def items(s): return ()\nd = D(a=1)", "y = d['a']", "dict.__setitem__(d, 'a', 2)"),
    "reduce-lies": ("class C:\n    def __reduce__(s): return (C, ())\no = C(); o.v = 1", "y = o.v", "o.v = 2"),
    "exception-args": ("e = ValueError(1)", "y = e.args", "e = ValueError(2)"),
    # modules
    "module-attribute": ("import types\nm = types.ModuleType('m'); m.a = 1", "y = m.a", "m.a = 2"),
    "module-getattr": ("import types\nm = types.ModuleType('m'); m.a = 1", "y = getattr(m, 'a')", "m.a = 2"),
    "module-function": ("import types\nm = types.ModuleType('m'); m.f = lambda: 1", "y = m.f()", "m.f = lambda: 2"),
    "library-patched": ("import math", "y = math.floor(1.5)", "math.floor = lambda v: 7"),
    "library-patched-from": ("import math", "from math import floor\ny = floor(1.5)", "math.floor = lambda v: 7"),
    "library-import-in-cell": ("", "import string\ny = string.digits", "import string\nstring.digits = '7'"),
    "library-class-patched": ("import fractions\nx = fractions.Fraction(1, 2)", "y = x.limit_denominator(3)", "fractions.Fraction.limit_denominator = lambda s, n: 9"),
    "library-in-callee": ("import math\ndef f(): return math.floor(1.5)", "y = f()", "math.floor = lambda v: 7"),
    "submodule": ("import os.path\nimport os", "y = os.path.basename('a/b')", "os.path.basename = lambda p: 'z'"),
    "local-module": ("open('loc.py', 'w').write('v = 1')\nimport loc", "y = loc.v", "open('loc.py', 'w').write('v = 2')\nimport importlib\nimportlib.reload(loc)"),
    # flow
    "conditional-bind": ("c = False\nv = 1", "if c:\n    v = 5\ny = v", "v = 2"),
    "while-else": ("v = 1\nn = 0", "while n > 0:\n    v = 9\n    break\nelse:\n    pass\ny = v", "v = 2"),
    "with-suppress": ("import contextlib\nv = 1", "with contextlib.suppress(ZeroDivisionError):\n    1 / 0\n    v = 9\ny = v", "v = 2"),
    "except-binding": ("v = 1", "try:\n    int('x')\n    v = 9\nexcept ValueError:\n    pass\ny = v", "v = 2"),
    "match": ("s = 1\nv = 1", "match s:\n    case 2:\n        v = 9\ny = v", "v = 2"),
    "walrus-short-circuit": ("c = False\nv = 1", "c and (v := 9)\ny = v", "v = 2"),
    "augmented": ("v = [1]", "v += [2]\ny = len(v)", "v = [1, 1]"),
    "del-and-fallback": ("import builtins\nlen = lambda x: 5", "y = len([1])", "del len"),
    "class-body-reads": ("k = 1", "class C:\n    v = k\ny = C.v\ndel C", "k = 2"),
    "annotation": ("k = 1", "def f(a: k): return a\ny = f.__annotations__['a']\ndel f", "k = 2"),
    "fstring": ("k = 1", "y = f'{k!r:>5}'", "k = '1'"),
    # dynamic names
    "eval-alias": ("k = 1\ne = eval", "y = e('k')", "k = 2"),
    "exec-in-callee": ("k = 1\ndef f():\n    d = {}\n    exec('v = 1', globals(), d)\n    return d['v'] + k", "y = f()", "k = 2"),
    "main-by-import": ("k = 1", "import __main__\ny = __main__.k", "k = 2"),
    "globals-in-callee": ("k = 1\ndef f(): return globals()['k']", "y = f()", "k = 2"),
    # the world outside
    "clock-alias": ("from time import time as t", "y = t()", ""),
    "clock-default": ("import time\ndef f(c=time.time): return c()", "y = f()", ""),
    "datetime-now": ("import datetime", "y = datetime.datetime.now()", ""),
    "strftime": ("import time", "y = time.strftime('%s')", ""),
    "uuid": ("import uuid", "y = uuid.uuid4()", ""),
    "urandom": ("from os import urandom as u", "y = u(4)", ""),
    "random-alias": ("from random import random as r", "y = r()", ""),
    "secrets": ("import secrets", "y = secrets.randbelow(9999)", ""),
    "environ-alias": ("from os import environ as env\nenv['K'] = '1'", "y = env['K']", "env['K'] = '2'"),
    "cwd": ("import os\ng = os.getcwd", "y = g()", "os.makedirs('d', exist_ok=True); os.chdir('d')"),
    "stat": ("import os\nopen('f', 'w').write('a')\ns = os.path.getsize", "y = s('f')", "open('f', 'a').write('b')"),
    "path-exists": ("import pathlib", "y = pathlib.Path('g').exists()", "open('g', 'w')"),
    "relative-file": ("open('r', 'w').write('a')", "y = open('r').read()", "open('r', 'w').write('b')"),
    "file-same-size": ("import os\nopen('r', 'w').write('a')", "y = open('r').read()", "s = os.stat('r')\nopen('r', 'w').write('b')\nos.utime('r', ns=(s.st_atime_ns, s.st_mtime_ns))"),
    "file-appears": ("", "try:\n    y = open('nope').read()\nexcept OSError:\n    y = None", "open('nope', 'w').write('b')"),
    "listdir": ("import os\nl = os.listdir", "y = l('.')", "open('h', 'w')"),
    "subprocess": ("import subprocess", "y = subprocess.run(['true']).returncode", ""),
    "system": ("import os", "y = os.system('true')", ""),
    "id": ("x = [1]", "y = id(x)", "x = [1]"),
    "hash-of-str": ("x = 'a'", "y = hash(x)", ""),
    # settings
    "decimal-context": ("import decimal", "y = decimal.Decimal(1) / 3", "decimal.getcontext().prec = 5"),
    "decimal-imported": ("from decimal import Decimal", "y = Decimal(1) / 3", "import decimal\ndecimal.getcontext().prec = 5"),
    "recursion-limit": ("import sys", "y = sys.getrecursionlimit()", "sys.setrecursionlimit(2345)"),
    "warnings-error": ("import warnings", "try:\n    warnings.warn('x')\n    y = 0\nexcept UserWarning:\n    y = 1", "warnings.simplefilter('error')"),
    # effects
    "seed": ("import random", "random.seed(1)\ny = 1", ""),
    "chdir": ("import os", "os.chdir('/')\ny = 1", ""),
    "setattr": ("import types\nm = types.SimpleNamespace(a=0)", "setattr(m, 'a', 5)\ny = 1", "m.a = 0"),
    "module-store": ("import string", "string.digits = 'z'\ny = 1", "string.digits = 'y'"),
    "class-store": ("class C: pass", "C.a = 1\ny = 1", "del C.a"),
    "global-in-callee": ("n = 0\ndef f():\n    global n\n    n += 1", "f()\ny = n", ""),
    "mutated-through-view": ("x = bytearray(b'abc')\nv = memoryview(x)", "v[0] = 65\ny = 1", "x[0] = 66"),
    "mutated-through-closure": ("def mk():\n    box = []\n    return box.append, box\npush, box = mk()", "push(1)\ny = 1", "box.clear()"),
    "deque": ("import collections\nq = collections.deque([1, 2])", "y = q.popleft()", "q.appendleft(1)"),
    "iterator": ("it = iter([1, 2, 3])", "y = next(it)", ""),
    "generator": ("g = (i for i in range(9))", "y = next(g)", ""),
    "zip-iterator": ("z = zip([1, 2], [3, 4])", "y = next(z)", ""),
    "file-object": ("open('o', 'w').write('abc')\nfh = open('o')", "y = fh.read(1)", ""),
    "environ-set": ("import os", "os.environ['Z'] = '1'\ny = 1", ""),
    "atexit": ("import atexit", "atexit.register(print)\ny = 1", ""),
    "builtins-set": ("import builtins", "builtins.zzz = 1\ny = 1", ""),
    "contextvar": ("import contextvars\nv = contextvars.ContextVar('v')", "v.set(1)\ny = 1", ""),
    "thread": ("import threading\nbox = []", "t = threading.Thread(target=box.append, args=(1,))\nt.start(); t.join()\ndel t\ny = 1", "box.clear()"),
    "logging": ("import logging", "logging.getLogger().setLevel(10)\ny = 1", "logging.getLogger().setLevel(30)"),
    "task-left": ("import asyncio", "t = asyncio.ensure_future(asyncio.sleep(30))\ny = 1\ndel t", ""),
    "descriptor-output": ("import os", "n = os.write(1, b'x')", ""),
    "definition": ("", "def f(): return 1", ""),
    "star-import": ("", "from math import *\ny = pi", ""),
}

NUMPY = {
    "dtype": ("a = np.zeros(3, 'f4')", "y = a.dtype.name", "a = np.zeros(3, 'f8')"),
    "byte-order": ("a = np.array([1], '<i4')", "y = a.dtype.str", "a = np.array([1], '>i4').view('>i4')"),
    "shape": ("a = np.arange(6).reshape(2, 3)", "y = a.shape", "a = np.arange(6).reshape(3, 2)"),
    "strides": ("a = np.arange(6).reshape(2, 3)", "y = a.flags.f_contiguous", "a = np.asfortranarray(a)"),
    "writeable": ("a = np.arange(3)", "y = a.flags.writeable", "a.flags.writeable = False"),
    "view": ("b = np.arange(4)\na = b[1:]", "y = a.base is b", "a = b[1:].copy()"),
    "mutated-via-view": ("a = np.zeros(3)\nv = a[:]", "y = a.sum()", "v[0] = 1"),
    "large-mutated-via-view": ("a = np.zeros(100_000)\nv = a[:]", "y = a.sum()", "v[-1] = 1"),
    "object-elements": ("a = np.array([1, 2], dtype=object)", "y = repr(a[0])", "a = np.array([1.0, 2], dtype=object)"),
    "datetime-unit": ("a = np.array([1], 'M8[s]')", "y = str(a[0])", "a = np.array([1], 'M8[D]')"),
    "structured-names": ("a = np.zeros(1, [('a', 'i4')])", "y = a.dtype.names", "a = np.zeros(1, [('b', 'i4')])"),
    "matrix": ("a = np.eye(2)", "y = type(a).__name__", "a = np.matrix(np.eye(2))"),
    "masked": ("a = np.ma.array([1, 2], mask=[0, 1])", "y = int(a.sum())", "a = np.ma.array([1, 2], mask=[1, 0])"),
    "scalar-type": ("a = np.float32(1)", "y = type(a).__name__", "a = np.float64(1)"),
    "strided-content": ("b = np.arange(10)\na = b[::2]", "y = int(a.sum())", "b[2] = 99"),
    "negative-strides": ("b = np.arange(4)\na = b[::-1]", "y = a.tolist()", "a = b"),
    "global-random": ("", "y = np.random.rand()", ""),
    "generator": ("g = np.random.default_rng(0)", "y = g.random()", ""),
    "errstate": ("a = np.array([1.0])", "y = str(a / 3)", "np.set_printoptions(precision=2)"),
    "seterr": ("a = np.array([1.0])", "try:\n    y = str(a / 0)\nexcept FloatingPointError:\n    y = None", "np.seterr(all='raise')"),
    "patched": ("a = np.arange(3)", "y = np.sum(a)", "np.sum = lambda v: 42"),
    "out-parameter": ("a = np.arange(3.)\nb = np.zeros(3)", "c = np.add(a, 1, out=b)", "b[:] = 0"),
    "output-is-view": ("a = np.zeros(4)", "b = a[1:]", ""),
    "outputs-share": ("n = 5", "p = np.zeros(n)\nq = p[1:]", ""),
}

PANDAS = {
    "column-name": ("d = pd.DataFrame({'a': [1]})", "y = list(d)", "d.columns = ['b']"),
    "index": ("d = pd.Series([1, 2])", "y = list(d.index)", "d.index = [5, 6]"),
    "series-name": ("d = pd.Series([1], name='a')", "y = d.name", "d.name = 'b'"),
    "index-name": ("d = pd.Series([1])", "y = d.index.name", "d.index.name = 'b'"),
    "attrs": ("d = pd.DataFrame({'a': [1]})", "y = dict(d.attrs)", "d.attrs['k'] = 1"),
    "one-cell": ("d = pd.DataFrame({'a': range(1000)})", "y = int(d.a.sum())", "d.loc[500, 'a'] = -1"),
    "category-order": ("d = pd.Categorical(['a', 'b'], ordered=False)", "y = d.ordered", "d = pd.Categorical(['a', 'b'], ordered=True)"),
    "categories": ("d = pd.Series(pd.Categorical(['a'], ['a', 'b']))", "y = list(d.cat.categories)", "d = pd.Series(pd.Categorical(['a'], ['b', 'a']))"),
    "string-element": ("d = pd.Series(['a', 'b'])", "y = d.iloc[1]", "d.iloc[1] = 'c'"),
    "eval": ("d = pd.DataFrame({'a': [1, 2]})\nt = 1", "y = len(d.query('a > @t'))", "t = 2"),
    "df-eval": ("d = pd.DataFrame({'a': [1, 2]})\nt = 1", "y = d.eval('a + @t').tolist()", "t = 2"),
    "option": ("d = pd.DataFrame({'a': range(100)})", "y = repr(d)", "pd.set_option('display.max_rows', 5)"),
    "inplace": ("d = pd.DataFrame({'a': [2, 1]})", "d.sort_values('a', inplace=True)\ny = 1", "d = pd.DataFrame({'a': [2, 1]})"),
    "patched": ("d = pd.DataFrame({'a': [1]})", "y = d.head()", "pd.DataFrame.head = lambda s: 5"),
}


def check_runs(cached, setup, cell, change):
    if setup:
        cached.run("# cache: off\n" + setup)
    first = cached.status(cell)
    assert first != "hit"
    if change:
        cached.run("# cache: off\n" + change)
    assert cached.status(cell) != "hit"


@pytest.mark.parametrize("name", RUNS)
def test_runs(cached, name):
    check_runs(cached, *RUNS[name])


@pytest.fixture(scope="module")
def shared(argv, tmp_path_factory):
    """One kernel for the cases of numpy and pandas, which are slow to import."""
    from wire import Kernel

    kernels = []

    def launch(mode, **kwargs):
        kernels.append(Kernel([*argv[:2], mode, *argv[3:]], **kwargs))
        return kernels[-1]

    cached = Cached(launch, tmp_path_factory.mktemp("cached"))
    cached.run("# cache: off\nimport numpy as np\nimport pandas as pd")
    yield cached
    for kernel in kernels:
        kernel.stop()


RESET = "# cache: off\nimport numpy, pandas, importlib\nnp = numpy; pd = pandas\n"


@pytest.mark.parametrize("name", [n for n in [*NUMPY, *("pd-" + n for n in PANDAS)] if "patched" not in n])
def test_runs_with_arrays(shared, name):
    case = PANDAS[name[3:]] if name.startswith("pd-") else NUMPY[name]
    shared.run(RESET + "np.seterr(all='warn'); np.set_printoptions(precision=8); pd.reset_option('display.max_rows')")
    check_runs(shared, *case)


def test_runs_patched(cached):
    cached.run("# cache: off\nimport numpy as np, pandas as pd")
    check_runs(cached, *NUMPY["patched"])
    check_runs(cached, *PANDAS["patched"])


# An effect that a second run does not show, because it changes nothing then, must not be
# taken for none: the third run has to happen when the state was changed in between.
SETTERS = {
    "seed": ("import random", "random.seed(1)\ny = 1", "random.random()"),
    "numpy-seed": ("import numpy as np", "np.random.seed(1)\ny = 1", "np.random.rand()"),
    "warnings": ("import warnings", "warnings.simplefilter('ignore')\ny = 1", "warnings.resetwarnings()"),
    "signal": ("import signal", "signal.signal(signal.SIGUSR1, signal.SIG_IGN)\ny = 1", "signal.signal(signal.SIGUSR1, signal.SIG_DFL)"),
    "recursion-limit": ("import sys", "sys.setrecursionlimit(2000)\ny = 1", "sys.setrecursionlimit(3000)"),
    "module": ("import string", "string.digits = 'a'\ny = 1", "string.digits = 'b'"),
    "class": ("class C: pass", "C.a = 1\ny = 1", "C.a = 2"),
    "builtins": ("import builtins", "builtins.zz = 1\ny = 1", "builtins.zz = 2"),
    "logging": ("import logging", "logging.root.setLevel(10)\ny = 1", "logging.root.setLevel(20)"),
    "timeout": ("import socket", "socket.setdefaulttimeout(9)\ny = 1", "socket.setdefaulttimeout(8)"),
    "decimal": ("import decimal", "decimal.getcontext().prec = 5\ny = 1", "decimal.getcontext().prec = 6"),
    "locale": ("import locale", "locale.setlocale(locale.LC_ALL, 'C')\ny = 1", "locale.setlocale(locale.LC_ALL, 'C.UTF-8')"),
    "environ": ("import os", "os.environ['A'] = '1'\ny = 1", "os.environ['A'] = '2'"),
    "sys-path": ("import sys", "if '/x' not in sys.path:\n    sys.path.append('/x')\ny = 1", "sys.path.remove('/x')"),
    "chdir": ("import os", "os.chdir('/')\ny = 1", "os.chdir('/tmp')"),
    "numpy-errors": ("import numpy as np", "np.seterr(all='ignore')\ny = 1", "np.seterr(all='raise')"),
    "numpy-printing": ("import numpy as np", "np.set_printoptions(precision=3)\ny = 1", "np.set_printoptions(precision=4)"),
    "in-place": ("import numpy as np\na = np.zeros(3)", "a[:] = 1\ny = 1", "a[:] = 2"),
    "list": ("a = [0]", "a[0] = 1\ny = 1", "a[0] = 2"),
    "attribute": ("import types\no = types.SimpleNamespace()", "o.v = 1\ny = 1", "o.v = 2"),
    "displayhook": ("import sys", "sys.ps1 = 'a'\ny = 1", "sys.ps1 = 'b'"),
    "umask": ("import os", "os.umask(0o22)\ny = 1", "os.umask(0o77)"),
    "gc": ("import gc", "gc.disable()\ny = 1", "gc.enable()"),
    "asyncio-debug": ("import asyncio", "asyncio.get_event_loop().set_debug(False)\ny = 1", "asyncio.get_event_loop().set_debug(True)"),
    "faulthandler": ("import faulthandler", "faulthandler.disable()\ny = 1", "faulthandler.enable()"),
    "excepthook": ("import sys\ndef h(*a): pass", "sys.excepthook = h\ny = 1", "sys.excepthook = sys.__excepthook__"),
    "switch-interval": ("import sys", "sys.setswitchinterval(0.01)\ny = 1", "sys.setswitchinterval(0.02)"),
    "int-digits": ("import sys", "sys.set_int_max_str_digits(5000)\ny = 1", "sys.set_int_max_str_digits(6000)"),
    "context-variable": ("import contextvars\nv = contextvars.ContextVar('v')", "v.set(1)\ny = 1", "v.set(2)"),
    "lru-cache": ("import functools\n@functools.lru_cache\ndef f(): return 1", "f.cache_clear()\ny = 1", "f()"),
    "thread-local": ("import threading\nl = threading.local()", "l.v = 1\ny = 1", "l.v = 2"),
    "weak": ("import weakref\nclass C: pass\no = C(); w = weakref.ref(o)", "w().v = 1\ny = 1", "o.v = 2"),
}


@pytest.mark.parametrize("name", SETTERS)
def test_effects_that_do_not_show_twice(cached, name):
    setup, cell, change = SETTERS[name]
    cached.run("# cache: off\n" + setup)
    cached.run(cell)
    cached.run(cell)
    if change:
        cached.run("# cache: off\n" + change)
        assert cached.status(cell) != "hit"


# The other side: what has to be a hit after a restart, and what it has to leave.
HITS = {
    "scalars": ("x = (None, True, 3, 2 ** 99, 0.5, 1j, 'a', b'b')", "y = len(x)", "y == 8"),
    "set-of-str": ("x = {'a', 'b', 'c', 'd'}", "y = sorted(x)", "y == ['a', 'b', 'c', 'd']"),
    "nested": ("x = {'k': [{'a'}, (1, [2])]}", "y = x['k'][1][1][0]", "y == 2"),
    "comments": ("x = 1", "y = x + 1", "y == 2"),
    "function": ("def g(v): return v + 1\ndef f(v): return g(v) * 2", "y = f(1)", "y == 4"),
    "recursion": ("def f(n): return n and n + f(n - 1)", "y = f(3)", "y == 6"),
    "mutual": ("def a(n): return n and b(n - 1)\ndef b(n): return n or a(n)", "y = a(2)", "y == 1"),
    "class": ("class C:\n    def __init__(s, v): s.v = v\no = C([1])", "y = o.v[0]", "y == 1"),
    "instance-out": ("class C: pass", "o = C(); o.v = [1]", "type(o) is C and o.v == [1]"),
    "dataclass": ("import dataclasses\n@dataclasses.dataclass\nclass D:\n    a: int = 1", "o = D(5)", "o == D(5)"),
    "enum": ("import enum\nclass E(enum.Enum):\n    A = 1\nx = E.A", "y = x.name", "y == 'A'"),
    "namedtuple": ("import collections\nP = collections.namedtuple('P', 'a b')", "p = P(1, 2)", "type(p) is P and p.b == 2"),
    "import": ("x = 4", "import math\ny = math.sqrt(x)", "y == 2.0 and math.floor(y) == 2"),
    "from-import": ("x = 4", "from math import sqrt\ny = sqrt(x)", "y == 2.0 and sqrt(9) == 3.0"),
    "partial": ("import functools\nf = functools.partial(int, base=2)", "y = f('11')", "y == 3"),
    "lru-cache": ("import functools\n@functools.lru_cache\ndef f(v): return v + 1", "y = f(1)", "y == 2 and f(1) == 2"),
    "wraps": ("import functools\ndef d(f):\n    @functools.wraps(f)\n    def w(*a): return f(*a) + 1\n    return w\n@d\ndef f(v): return v", "y = f(1)", "y == 2"),
    "loop-variable": ("x = [1, 2]", "for i in x:\n    t = i", "i == 2 and t == 2"),
    "untouched-conditional": ("c = False\nv = 7", "if c:\n    v = 1\nw = 2", "v == 7 and w == 2"),
    "deletion": ("t = 1", "y = t\ndel t", "y == 1 and 't' not in globals()"),
    "handled-exception": ("d = {}", "try:\n    v = d['k']\nexcept KeyError as e:\n    v = 0", "v == 0 and 'e' not in globals()"),
    "alias-out": ("n = 1", "a = [n]\nb = {'k': a}", "b['k'] is a"),
    "alias-in": ("a = [1]", "b = {'k': a}", "b['k'] is a"),
    "cycle-out": ("n = 1", "a = [n]\na.append(a)", "a[1] is a"),
    "global-in-callee": ("def f():\n    global g\n    g = 5", "f()\ny = 1", "g == 5"),
    "await": ("import asyncio", "y = await asyncio.sleep(0, 3)", "y == 3"),
    "file": ("open('f', 'w').write('abc')", "y = open('f').read()", "y == 'abc'"),
    "printing-sys-stderr": ("import sys", "print('e', file=sys.stderr)\ny = 1", "y == 1"),
    "array": ("import numpy as np\nn = 100_000", "a = np.arange(n)", "a.flags.writeable and int(a[-1]) == n - 1"),
    "array-small": ("import numpy as np\nn = 3", "a = np.arange(n)", "a.flags.owndata"),
    "array-read-only": ("import numpy as np\nn = 100_000", "a = np.arange(n)\na.flags.writeable = False", "not a.flags.writeable"),
    "array-fortran": ("import numpy as np\nn = 300", "a = np.asfortranarray(np.ones((n, n)))", "a.flags.f_contiguous and not a.flags.c_contiguous"),
    "array-twice": ("import numpy as np\nn = 100_000", "a = np.ones(n)\nb = [a, a]", "b[0] is a and b[1] is a"),
    "generator": ("import numpy as np", "g = np.random.default_rng(3)\nv = g.normal()", "v != g.normal()"),
    "frame": ("import pandas as pd", "d = pd.DataFrame({'a': range(9), 's': list('abcdefghi')})", "d.shape == (9, 2) and d.s[8] == 'i'"),
    "frame-derived": ("import pandas as pd\nd = pd.DataFrame({'k': [1, 1, 2], 'v': [1.0, 2.0, 3.0]})", "r = d.groupby('k').v.sum()", "r.tolist() == [3.0, 3.0]"),
    "frame-filtered": ("import pandas as pd\nd = pd.DataFrame({'k': [1, 1, 2], 'v': [1.0, 2.0, 3.0]})", "r = d[d.v > 1.5]", "len(r) == 2"),
}


@pytest.mark.parametrize("name", HITS)
def test_hits_after_a_restart(cached, name):
    setup, cell, check = HITS[name]
    cached.run("# cache: off\n" + setup)
    assert cached.status(cell) == "stored", cached.cache
    first = cached.run("# cache: off\n" + check)
    cached.restart()
    cached.run("# cache: off\n" + setup)
    assert cached.status("# a comment\n" + cell) == "hit", cached.cache
    assert first.result == cached.run("# cache: off\n" + check).result == "True"


def test_replay_looks_like_a_run(cached):
    cell = """
import sys
print("one")
display("shown")
print("two", file=sys.stderr)
clear_output(wait=True)
print("three")
n + 1
"""
    cached.run("# cache: off\nn = 41")
    run = cached.run(cell)
    assert cached.cache["status"] == "stored", cached.cache
    hit = cached.run(cell)
    assert cached.cache["status"] == "hit" and cached.cache["saved_ms"] > 0
    assert run.types == hit.types and run.text() == hit.text() and run.text("stderr") == hit.text("stderr")
    assert hit.result == "42"
    result = hit.all("execute_result")[0]
    assert result.content["execution_count"] == hit.reply.content["execution_count"] == 3
    assert result.parent["msg_id"] == hit.reply.parent["msg_id"]
    assert cached.run("# cache: off\n_, Out[3]").result == "(42, 42)"


def test_directives_and_tags(cached):
    assert cached.status("# cache: off\nx = 1") == "bypass"
    assert cached.status("x = 1") == "stored"
    assert cached.status("x = 1") == "hit"
    assert cached.status("# cache: refresh\nx = 1") == "stored"
    cached.run("x = 1", metadata={"tags": ["cache-off"]})
    assert cached.cache["status"] == "bypass" and "tag" in cached.cache["reason"]
    cached.run("x = 1", metadata={"tags": ["cache-refresh"]})
    assert cached.cache["status"] == "stored"
    cached.run("# cache: off\nday = 1")
    assert cached.status("# cache: key=day\nz = 5") == "stored"
    assert cached.status("# cache: key=day\nz = 5") == "hit"
    cached.run("# cache: off\nday = 2")
    assert cached.status("# cache: key=day\nz = 5") == "stored"
    cached.run("# cache: nonsense\nz = 5")
    assert "nonsense" in cached.cache["reason"]


def test_functions(cached):
    cached.run("x = 1")
    assert "stored" in cached.run("import akernel\nakernel.cache.explain()").result
    cached.run("y = x")
    cached.run("# cache: off\nx = 2")
    cached.run("y = x")
    assert cached.cache["input_changed"] == ["x"]
    assert "changed: x" in cached.run("akernel.cache.explain()").result
    cached.run("akernel.cache.off()")
    assert cached.status("y = x") == "bypass"
    cached.run("akernel.cache.on()")
    assert cached.status("y = x") == "hit"
    cached.run("akernel.cache.refresh()")
    assert cached.status("y = x") == "stored"
    assert cached.run("akernel.cache.stats()['hits']").result == "1"
    cached.run("akernel.cache.clear()")
    assert cached.status("y = x") == "stored"


def test_short_cells_are_not_stored(launch, tmp_path):
    cached = Cached(launch, tmp_path, AKERNEL_CACHE_MIN_MS="60000")
    assert cached.status("x = 1") == "bypass" and "AKERNEL_CACHE_MIN_MS" in cached.cache["reason"]
    assert cached.status("# cache: on\nx = 1") == "stored"


def test_a_hit_is_said_when_asked(launch, tmp_path):
    cached = Cached(launch, tmp_path, AKERNEL_CACHE_VERBOSE="1")
    assert "cache" not in cached.run("x = 1").text("stderr")
    assert "not run again" in cached.run("x = 1").text("stderr")


def test_without_a_cache_cells_run(launch, tmp_path):
    (tmp_path / "cache").write_text("a file")
    cached = Cached(launch, tmp_path)
    assert cached.status("x = 1") == "bypass" and cached.cache["reason"]
    assert cached.run("# cache: off\nx").result == "1"


def test_a_failed_cell_keeps_what_it_did_not_bind(cached):
    cached.run("# cache: off\nv = 7\nc = False")
    outcome = cached.client.run("if c:\n    v = 1\n1 / 0")
    assert outcome.error["ename"] == "ZeroDivisionError"
    assert cached.run("# cache: off\nv").result == "7"


def test_interrupt_while_a_value_is_looked_at(cached):
    cached.run("# cache: off\nimport collections, time\nclass D(collections.deque):\n    pass")
    cached.run(
        "# cache: off\nimport copyreg, fractions\n"
        "def slow(f):\n    print('now', flush=True)\n    time.sleep(60)\n    return int, ()\n"
        "copyreg.pickle(fractions.Fraction, slow)\nf = fractions.Fraction(1)"
    )
    mid = cached.client.execute("y = f")
    cached.client.iopub_until(lambda m: m.type == "stream")
    cached.kernel.interrupt()
    assert cached.client.reply(mid).content["ename"] == "KeyboardInterrupt"
    assert cached.run("# cache: off\n1").result == "1"


def test_garbage_is_not_collected_while_values_are_loaded(cached):
    cell = "y = [[i] for i in range(200_000)]"
    assert cached.status(cell) == "stored"
    cached.restart()
    count = "def count(phase, info):\n    seen.append(phase)\n"
    cached.run("# cache: off\nimport gc\nseen = []\n" + count + "gc.callbacks.append(count)")
    assert cached.status(cell) == "hit"
    assert int(cached.run("# cache: off\nlen(seen)").result) < 100
    assert cached.run("# cache: off\ngc.isenabled()").result == "True"
    cached.run("# cache: off\ngc.disable()")
    assert cached.status(cell) == "hit"
    assert cached.run("# cache: off\ngc.isenabled()").result == "False"


def test_all_that_has_a_hidden_input_is_known(cached):
    # One of every letter: a table that is searched in an order must not lose a row.
    names = "absolute cwd environ f_locals getcwd getcwdb home is_dir lstat monotonic now perf_counter query rglob"
    cached.run("# cache: off\nclass o: pass\no.plain = 1")
    assert cached.status("y = o.plain") == "stored"
    for name in (names + " stat time_ns urandom walk").split():
        cached.run("# cache: off\nclass o: pass\n" + f"o.{name} = 1")
        assert cached.status(f"y = o.{name}") == "bypass", name


VALUES = """
import random as _r, json as _j, _akernel as _a, itertools as _i
def _value(rng, depth=0):
    kind = rng.randrange(12 if depth < 3 else 8)
    if kind < 8:
        return [None, rng.random() < 0.5, rng.randrange(-300, 300), rng.getrandbits(90), rng.uniform(-2, 2),
                "".join(rng.choice("ab\u00e9\u4e2d") for _ in range(rng.randrange(4))), bytes(rng.randrange(3)), rng.random() * 1j][kind]
    items = [_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 8: return items
    if kind == 9: return tuple(items)
    if kind == 10: return {str(k): v for k, v in enumerate(items)}
    return frozenset(str(n) + type(v).__name__ for n, v in enumerate(items))
_values = [_value(_r.Random(seed)) for seed in range(1500)]
"""


def test_equal_values_have_equal_digests_in_every_process(launch, tmp_path):
    seen = []
    for seed in ("0", "1", "77"):
        cached = Cached(launch, tmp_path, PYTHONHASHSEED=seed)
        cached.run("# cache: off\n" + VALUES)
        text = cached.run("# cache: off\n[(_a._cache_digest(v), repr(v) if not isinstance(v, frozenset) else str(sorted(v))) for v in _values]").result
        cached.run("# cache: off\nprint(_j.dumps([_a._cache_digest(v) for v in _values]))")
        out = cached.run("# cache: off\nprint(_j.dumps([_a._cache_digest(v) for v in _values]))").text()
        seen.append(out)
        # Different values have different digests, and equal ones equal digests.
        check = (
            "# cache: off\n"
            "def _text(v):\n"
            "    if isinstance(v, frozenset): return 'f' + str(sorted(v))\n"
            "    if isinstance(v, (list, tuple)): return str(type(v)) + '[' + ','.join(map(_text, v)) + ']'\n"
            "    if isinstance(v, dict): return '{' + ','.join(k + ':' + _text(x) for k, x in v.items()) + '}'\n"
            "    return repr(v)\n"
            "_pairs = {(_text(v), _a._cache_digest(v)) for v in _values}\n"
            "len(_pairs) == len({t for t, _ in _pairs}) == len({d for _, d in _pairs})"
        )
        assert cached.run(check).result == "True"
        assert text
        cached.kernel.stop()
    assert seen[0] == seen[1] == seen[2]
