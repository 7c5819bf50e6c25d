# SPDX-License-Identifier: MIT
"""The classes that derive from IPython's, and the making of the one shell.

Importing this module imports IPython.
"""

import builtins
import sys
import threading
import types

import _akernel
from akernel import _shell
from IPython.core import page
from IPython.core.application import BaseIPythonApplication
from IPython.core.autocall import ZMQExitAutocall
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.error import UsageError
from IPython.core.history import HistoryManager
from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell
from IPython.core.payload import PayloadManager
from IPython.core.shellapp import InteractiveShellApp
from traitlets import Any, Bool, Instance, Type, default


class ZMQDisplayPublisher(DisplayPublisher):
    """Publishes display_data in the name of the request that runs."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._sender = _shell.Hooks()

    @property
    def _hooks(self):
        return self._sender.hooks

    def publish(self, data, metadata=None, *, transient=None, update=False, **kwargs):
        metadata = {} if metadata is None else metadata
        self._validate_data(data, metadata)
        content = {"data": data, "metadata": metadata, "transient": transient or {}}
        self._sender.send("update_display_data" if update else "display_data", content)

    def clear_output(self, wait=False):
        self._sender.send("clear_output", {"wait": bool(wait)})

    def register_hook(self, hook):
        self._hooks.append(hook)

    def unregister_hook(self, hook):
        try:
            self._hooks.remove(hook)
        except ValueError:
            return False
        return True

    def set_parent(self, parent):
        _shell.set_parent(parent)


class ZMQShellDisplayHook(DisplayHook):
    """Shows the result of a cell. What is not shown (a semicolon) does not come here."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._sender = _shell.Hooks()

    @property
    def _hooks(self):
        return self._sender.hooks

    register_hook = ZMQDisplayPublisher.register_hook
    unregister_hook = ZMQDisplayPublisher.unregister_hook
    set_parent = ZMQDisplayPublisher.set_parent

    def __call__(self, result=None):
        if result is None:
            return
        data, metadata = self.compute_format_data(result)
        count = _akernel._keep_result(result, data)
        self._, self.__, self.___ = result, self._, self.__
        self.fill_exec_result(result)
        self.shell._result(result)
        if not data:
            return
        history = self.shell.history_manager
        if history is not None and "text/plain" in data:
            history.output_hist_reprs[count] = data["text/plain"]
        self._sender.send("execute_result", {"execution_count": count, "data": data, "metadata": metadata})

    def flush(self):
        _, _, out, count = _akernel._world()
        for number in range(1, count + 1):
            self.shell.user_ns.pop(f"_{number}", None)
        out.clear()
        self._ = self.__ = self.___ = ""
        self.shell.user_ns.update({"_": "", "__": "", "___": ""})


class RequestPayload(PayloadManager):
    """Payloads belong to the request that wrote them: cells may run side by side."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._requests = {}

    @property
    def _payload(self):
        return self._requests.setdefault(_akernel._request(), [])

    @_payload.setter
    def _payload(self, value):
        self._requests[_akernel._request()] = list(value)

    def take(self):
        return self._requests.pop(_akernel._request(), [])


class History(HistoryManager):
    """IPython's database, which never holds a cell up.

    Lines are handed to IPython's own saving thread; what it cannot write (a locked or full
    disk) it keeps and tries with the next line, without a word. A database that does not
    answer at once when the shell is made is not used at all."""

    KEPT = 10000

    @default("connection_options")
    def _short_waits(self):
        return {"check_same_thread": False, "timeout": 0.2}

    def __init__(self, shell, **kwargs):
        config = kwargs.get("config") or shell.config
        if not config.get("HistoryManager", {}).get("hist_file") and not _answers(shell):
            kwargs["hist_file"] = ":memory:"
        super().__init__(shell=shell, **kwargs)

    def store(self, line, source, source_raw):
        source, source_raw = source.rstrip("\n"), source_raw.rstrip("\n")
        self.input_hist_raw.append(source_raw)
        self._iii, self._ii, self._i, self._i00 = self._ii, self._i, self._i00, source_raw
        if self._exit_re.match(source_raw.strip()):
            return
        self._later((line, source, source_raw))

    def _later(self, entry):
        cache = self.db_input_cache
        if self.enabled and len(cache) < self.KEPT:
            cache.append(entry)
        if getattr(self, "using_thread", False):
            restart = getattr(self, "_restart_thread_if_stopped", None)
            if restart is not None:
                restart()
            if self.save_flag is not None:
                self.save_flag.set()

    def store_inputs(self, line_num, source, source_raw=None):
        """For code that runs cells through the shell itself: the kernel calls store()."""
        self.store(line_num, source, source if source_raw is None else source_raw)

    def writeout_cache(self, conn=None):
        import sqlite3

        entries, self.db_input_cache = self.db_input_cache, []
        outputs, self.db_output_cache = self.db_output_cache, []
        if not self.enabled or not (entries or outputs):
            return
        conn = self.db if conn is None else conn
        try:
            with conn:
                conn.executemany("INSERT OR IGNORE INTO history VALUES (?, ?, ?, ?)", [(self.session_number, *e) for e in entries])
                conn.executemany("INSERT OR IGNORE INTO output_history VALUES (?, ?, ?)", [(self.session_number, *o) for o in outputs])
        except sqlite3.Error:
            self.db_input_cache = (entries + self.db_input_cache)[-self.KEPT :]
            self.db_output_cache = (outputs + self.db_output_cache)[-self.KEPT :]

    def _run_sql(self, *args, **kwargs):
        """IPython takes a locked file for a broken one, and moves it out of the way."""
        import sqlite3

        try:
            return iter(list(super()._run_sql(*args, **kwargs)))
        except sqlite3.OperationalError as error:
            raise BlockingIOError(f"the history in {self.hist_file} cannot be read now: {error}") from None

    def end_session(self):
        try:
            super().end_session()
        except Exception:
            pass  # the end of a kernel does not wait for a database that is locked


def _answers(shell):
    """Whether the history file can be written now; asked in a thread, for a file over the
    network may not answer at all."""
    import os
    import sqlite3

    path = os.path.join(shell.profile_dir.location, "history.sqlite")
    good = []

    def ask():
        try:
            connection = sqlite3.connect(path, timeout=0.2)
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.rollback()
            finally:
                connection.close()
            good.append(True)
        except Exception:
            pass

    thread = threading.Thread(target=ask, name="akernel-history", daemon=True)
    thread.start()
    thread.join(0.5)
    return bool(good)


class ZMQInteractiveShell(InteractiveShell):
    """IPython's shell in a kernel whose cells are run natively."""

    displayhook_class = Type(ZMQShellDisplayHook)
    display_pub_class = Type(ZMQDisplayPublisher)
    exiter = Instance(ZMQExitAutocall)
    kernel = Any()
    autoindent = Bool(False)
    exit_now = Bool(False)
    keepkernel_on_exit = None
    _called_result = None

    @default("exiter")
    def _default_exiter(self):
        return ZMQExitAutocall(self)

    # --- the world, which is the kernel's

    @property
    def execution_count(self):
        return _akernel._world()[3] + 1

    @execution_count.setter
    def execution_count(self, value):
        _akernel._set_execution_count(value - 1)

    @property
    def user_ns(self):
        return _akernel._world()[0]

    @user_ns.setter
    def user_ns(self, value):
        pass  # the world has one namespace, which stays

    def init_create_namespaces(self, user_module=None, user_ns=None):
        super().init_create_namespaces(sys.modules["__main__"], None)

    def init_sys_modules(self):
        pass

    def init_user_ns(self):
        super().init_user_ns()
        self.user_ns_hidden.update((name, self.user_ns[name]) for name in ("__session__",) if name in self.user_ns)

    def init_history(self):
        self.history_manager = History(shell=self, parent=self)
        self.configurables.append(self.history_manager)
        _, inputs, outputs, _ = _akernel._world()
        self.history_manager.input_hist_parsed = inputs
        self.history_manager.output_hist = outputs
        for line, source in enumerate(inputs[1:], 1):
            self.history_manager.store(line, source, source)

    def init_environment(self):
        pass  # akernel._start has done it

    def init_virtualenv(self):
        pass  # the interpreter is the environment's own

    def init_payload(self):
        self.payload_manager = RequestPayload(parent=self)
        self.configurables.append(self.payload_manager)

    def init_hooks(self):
        super().init_hooks()
        self.set_hook("show_in_pager", page.as_hook(self.payloadpage_page), 99)

    def init_magics(self):
        super().init_magics()
        from akernel import _magics

        self.register_magics(_magics.KernelMagics)
        self.magics_manager.register_alias("ed", "edit")

    def init_alias(self):
        super().init_alias()
        self.alias_manager.soft_define_alias("clear", "clear")

    def _atexit_once(self):
        """The world is gone by now: only history is left to be closed."""
        manager, self.history_manager = self.history_manager, None
        if manager is not None:
            manager.end_session()
            close = getattr(manager, "close", None)
            if close is not None:
                close()

    # --- what front ends do for the shell

    def payloadpage_page(self, strg, start=0, screen_lines=0, pager_cmd=None):
        data = strg if isinstance(strg, dict) else {"text/plain": strg}
        self.payload_manager.write_payload({"source": "page", "data": data, "start": max(0, start)})

    def set_next_input(self, text, replace=False):
        self.payload_manager.write_payload({"source": "set_next_input", "text": text, "replace": replace})

    def ask_exit(self):
        self.exit_now = not self.keepkernel_on_exit
        self.payload_manager.write_payload({"source": "ask_exit", "keepkernel": bool(self.keepkernel_on_exit)})
        if self.exit_now:
            _akernel.exit()

    def enable_gui(self, gui=None):
        from akernel import _gui

        try:
            _gui.enable(gui)
        except ValueError as error:
            raise UsageError(str(error)) from None
        self.active_eventloop = gui

    def system_piped(self, cmd):
        from IPython.utils.process import system

        if cmd.rstrip().endswith("&"):
            raise OSError("a command cannot be left in the background: its output would have no place to go")
        self.user_ns["_exit_code"] = system(self.var_expand(cmd, depth=1))

    system = system_piped

    def get_parent(self):
        return _shell.parent()

    @property
    def parent_header(self):
        return _shell.parent()

    def set_parent(self, parent):
        _shell.set_parent(parent)

    def set_thread_parent(self, parent):
        return _shell.set_parent(parent)

    def reset_thread_parent(self, token):
        if token is not None:
            _akernel._reset_request(token)

    # --- called by the kernel for each cell (py/shell.c)

    def _transformers(self):
        manager = self.input_transformer_manager
        lists = [self.input_transformers_post, self.ast_transformers]
        lists += [getattr(manager, name, ()) for name in ("cleanup_transforms", "line_transforms", "token_transformers")]
        return tuple(tuple(map(id, found)) for found in lists) + (self.ast_node_interactivity,)

    def _compile_key(self):
        """None while sources that are Python already need nothing of the shell."""
        key = self._transformers()
        return None if key == self._plain_transformers else key

    def _translate(self, source):
        python = self.transform_cell(source)
        return source if python.rstrip("\n") == source.rstrip("\n") else python.rstrip("\n")

    def _shape(self, tree):
        if self.ast_transformers:
            tree = self.transform_ast(tree)
        interactivity = self.ast_node_interactivity
        if interactivity == "last_expr":
            return tree, True
        import ast

        if interactivity == "all":
            return ast.Interactive(body=tree.body), False
        if interactivity == "last_expr_or_assign" and tree.body:
            last = tree.body[-1]
            target = last.targets[0] if isinstance(last, ast.Assign) else getattr(last, "target", None)
            if isinstance(last, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and isinstance(target, ast.Name):
                shown = ast.Expr(ast.Name(target.id, ast.Load()))
                tree.body.append(ast.copy_location(shown, last))
                ast.fix_missing_locations(tree)
        if interactivity == "none" and tree.body and isinstance(tree.body[-1], ast.Expr):
            tree.body.append(ast.copy_location(ast.Pass(), tree.body[-1]))
        return tree, True

    def _record(self, count, python, source):
        self.history_manager.store(count, python, source)

    def _begin(self, source, python, store_history, silent, cell_id):
        info = ExecutionInfo(source, store_history, silent, True, cell_id)
        info.transformed_cell = python
        result = ExecutionResult(info)
        result.execution_count = _akernel._world()[3]
        self._results[_akernel._request()] = result
        self.events.trigger("pre_execute")
        if not silent:
            self.events.trigger("pre_run_cell", info)
        return result

    def _result(self, value):
        result = self._results.get(_akernel._request())
        if result is not None:
            result.result = value

    def _end(self, result, exception, silent):
        self._results.pop(_akernel._request(), None)
        if result is None:
            result = ExecutionResult(ExecutionInfo("", False, silent, True, None))
        if isinstance(exception, SyntaxError):
            result.error_before_exec = exception
        elif exception is not None:
            result.error_in_exec = exception
        self.last_execution_succeeded = exception is None
        self.last_execution_result = result
        self.events.trigger("post_execute")
        if not silent:
            self.events.trigger("post_run_cell", result)

    def _describe(self, exception):
        """The lines of a traceback that is not the kernel's own, [] when it was told already."""
        if isinstance(exception, UsageError):
            self.show_usage_error(exception)
            return []
        if self.custom_exceptions and isinstance(exception, self.custom_exceptions):
            lines = self.CustomTB(type(exception), exception, exception.__traceback__)
            return lines if lines else []
        if self.InteractiveTB.mode == self._plain_mode or isinstance(exception, (SyntaxError, BaseExceptionGroup)):
            return None
        return self.InteractiveTB.structured_traceback(type(exception), exception, exception.__traceback__, tb_offset=0)

    def _post_mortem(self, exception):
        if self.call_pdb and not isinstance(exception, (UsageError, SyntaxError)):
            self.debugger(force=True)

    def _payload(self):
        return self.payload_manager.take()

    def _format(self, value, include, exclude):
        return self.display_formatter.format(value, include=include, exclude=exclude)

    def _history(self, request):
        manager = self.history_manager
        kind, raw, output = request.get("hist_access_type"), request.get("raw", True), request.get("output", False)
        if kind == "tail":
            found = manager.get_tail(request.get("n", 10), raw=raw, output=output, include_latest=True)
        elif kind == "range":
            found = manager.get_range(request.get("session", 0), request.get("start", 1), request.get("stop"), raw=raw, output=output)
        elif kind == "search":
            found = manager.search(
                request.get("pattern") or "*", raw=raw, output=output, n=request.get("n"), unique=request.get("unique", False)
            )
        else:
            found = []
        return {"status": "ok", "history": list(found)}

    def _showtraceback(self, etype, evalue, stb):
        """For errors that the shell itself finds: in event handlers, formatters, %run."""
        _akernel._show_error({"ename": etype.__name__, "evalue": str(evalue), "traceback": list(stb)})


# The name under which libraries look for it: plotly at the class, tqdm in sys.modules.
ZMQInteractiveShell.__module__ = "ipykernel.zmqshell"


def _stand_in():
    module = types.ModuleType("ipykernel.zmqshell", "The shell of akernel, where libraries look for ipykernel's.")
    module.ZMQInteractiveShell = ZMQInteractiveShell
    module.ZMQDisplayPublisher = ZMQDisplayPublisher
    return module


class KernelApp(BaseIPythonApplication, InteractiveShellApp):
    """Reads IPython's configuration and runs the startup files of its profile."""

    name = "ipython-kernel"
    classes = [ZMQInteractiveShell]
    connection_dir = ""

    @property
    def connection_file(self):
        return _akernel._config.get("connection_file") or ""

    def init_crash_handler(self):
        pass

    def init_shell(self):
        self.shell = ZMQInteractiveShell.instance(parent=self, profile_dir=self.profile_dir, config=self.config)


def _initialize(app):
    arguments = [a for a in _akernel._config.get("arguments") or () if isinstance(a, str)]
    try:
        app.initialize(arguments)
    except SystemExit:
        app.initialize([])


def make_shell():
    names = _akernel._world()[0]
    before = {name: value for name, value in names.items() if name not in ("In", "Out", "_ih", "_oh", "_dh", "get_ipython")}
    hook, display = sys.displayhook, builtins.display
    app = KernelApp.instance()
    _initialize(app)
    if "IPKernelApp" not in app.config:
        app.config.IPKernelApp.connection_file = app.connection_file
    app.init_shell()
    shell = app.shell
    shell.kernel = _shell.Kernel(shell)
    shell._results = {}
    shell._plain_mode = shell.InteractiveTB.mode
    shell._plain_transformers = shell._transformers()[:-1] + ("last_expr",)
    # What a cell had named before keeps its meaning: a shell that comes late takes nothing.
    names.update(before)
    # IPython sets the hook around each cell; here it stays, unless the user has another.
    if hook is _akernel.displayhook:
        shell.display_trap.set()
    shell.display_trap._nested_level += 1
    if builtins.display is not display and builtins.display.__module__ != "IPython.core.display_functions":
        builtins.display = display
    _akernel._set_shell(shell)
    sys.modules.setdefault("ipykernel.zmqshell", _stand_in())
    app.init_path()
    app.init_gui_pylab()
    app.init_extensions()
    app.init_code()
    for name in before:
        shell.user_ns_hidden.pop(name, None)
    return shell
