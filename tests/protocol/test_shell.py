# SPDX-License-Identifier: MIT
"""IPython's shell: there when something needs it, and of one mind with the kernel."""

import json
import os
import re
import sqlite3

import pytest

LOADED = "import sys; print(sorted(m for m in ('IPython', 'jedi', 'debugpy', 'matplotlib') if m in sys.modules))"


@pytest.fixture
def ipython_dir(tmp_path):
    return tmp_path / "ipython"


@pytest.fixture
def shell(launch, ipython_dir):
    """A client of a kernel whose IPython directory is empty."""
    return launch(env={"IPYTHONDIR": str(ipython_dir)}).ready_client()


def payload(result):
    return result.content["payload"]


# --- when it is there -------------------------------------------------------------------


def test_a_notebook_without_magics_imports_no_ipython(shell):
    shell.run("import json, collections, asyncio\nx = [1, 2, {'a': (3.5, None)}]")
    shell.run("x")
    shell.run("await asyncio.sleep(0)\ndisplay(x)\n'text'")
    assert shell.run("1/0").status == "error"
    shell.ask("complete_request", {"code": "json.du", "cursor_pos": 7})
    assert shell.run(LOADED).text() == "[]\n"


@pytest.mark.parametrize(
    "code",
    ["%who", "!true", "x = !true", "len?", "%%time\npass", "get_ipython()", "import IPython", "pwd", "ls -d /"],
)
def test_what_makes_it(shell, code):
    result = shell.run(code)
    assert result.status == "ok", result.content
    assert shell.run("import builtins, _akernel\nprint(_akernel._shell() is get_ipython() is builtins.get_ipython())").text() == "True\n"


def test_an_import_of_ipython_is_enough(shell):
    result = shell.run("from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))")
    assert result.all("display_data")[0].content["data"]["text/html"] == "<b>x</b>"
    shell.run("import IPython")
    assert shell.run("IPython.get_ipython().__class__.__name__").result == "'ZMQInteractiveShell'"


def test_syntax_errors_stay_syntax_errors(shell):
    for _ in range(2):
        assert shell.run("def f(:\n    pass").error["ename"] == "SyntaxError"
        assert shell.run("x = = 1\n?? 3 +").error["ename"] == "SyntaxError"
        shell.run("%who")


def test_names_that_are_magics_stay_names(shell):
    assert shell.run("ls = 5\nls").result == "5"
    assert shell.run("ls").result == "5"
    assert shell.run("who = 1").status == "ok"
    assert shell.run("who - 1").result == "0"


# --- one world --------------------------------------------------------------------------


def test_a_late_shell_sees_and_keeps_what_is_there(shell):
    shell.run("a = 1\nopen = 'mine'\nexit_code = 3")
    shell.run("41 + 1")
    assert shell.run("%who").text().split() == ["a", "exit_code", "open"]
    assert shell.run("_, open, Out[2], In[1][:5]").result == "(42, 'mine', 42, 'a = 1')"
    assert shell.run("ip = get_ipython()\nip.user_ns is globals() and ip.user_ns['In'] is In").result == "True"
    assert shell.run("ip.execution_count").result == "7"
    assert shell.run("_ih[-2], _6, Out[6]").result == "('ip.execution_count', 7, 7)"
    assert shell.run("ip.history_manager.output_hist is Out and ip.history_manager.input_hist_parsed is In").result == "True"


def test_previous_inputs(shell):
    shell.run("1")
    shell.run("2")
    assert shell.run("_i, _ii, _i1").result == "('2', '1', '1')"
    shell.run("%who")
    assert shell.run("_i, _ii, _i4").result == "('%who', '_i, _ii, _i1', '%who')"


def test_variables_of_magics(shell):
    shell.run("x = !printf 'a\\nb'")
    assert shell.run("list(x)").result == "['a', 'b']"
    shell.run("%%capture out\nprint('hidden')\nprint('too')")
    assert shell.run("out.stdout").result == "'hidden\\ntoo\\n'"
    shell.run("%%time\ny = 5")
    assert shell.run("y").result == "5"
    assert shell.run("d = %pwd\nd == __import__('os').getcwd()").result == "True"


def test_cells_with_magics_await_and_run_side_by_side(shell):
    first = shell.execute("import asyncio\n%who_ls\nev = asyncio.Event()\nawait ev.wait()\nprint('first')")
    second = shell.run("%who_ls\nasyncio.sleep(0)\nev.set()\n'second'")
    assert second.result == "'second'"
    assert [m.content["text"] for m in shell.until_idle(first) if m.type == "stream"] == ["first\n"]


def test_execution_counts_of_cells_side_by_side(shell):
    shell.run("%who_ls\nimport asyncio\nev = asyncio.Event()")
    mid = shell.execute("await ev.wait()\n'slow'")
    assert shell.run("ev.set()\n'fast'").all("execute_result")[0].content["execution_count"] == 3
    late = [m for m in shell.until_idle(mid) if m.type == "execute_result"]
    assert late[0].content["execution_count"] == 2
    assert shell.run("Out[2], Out[3]").result == "('slow', 'fast')"


def test_run_cell_and_line_magic(shell):
    assert shell.run("get_ipython().run_line_magic('pwd', '')").result == repr(os.getcwd())
    result = shell.run("r = get_ipython().run_cell('z = 3; z')\nr.result, r.success")
    assert [m.content["data"]["text/plain"] for m in result.all("execute_result")] == ["3", "(3, True)"]


# --- events, transformers, interactivity ------------------------------------------------


def test_events(shell):
    shell.run(
        """
ip = get_ipython()
log = []
ip.events.register("pre_execute", lambda: log.append("pre_execute"))
ip.events.register("pre_run_cell", lambda info: log.append(("pre_run_cell", info.raw_cell)))
ip.events.register("post_execute", lambda: log.append("post_execute"))
ip.events.register("post_run_cell", lambda r: log.append(("post_run_cell", r.result, r.success)))
"""
    )
    shell.run("log.clear(); 5")
    assert shell.run("log[-7:]").result == (
        "['post_execute',\n ('post_run_cell', 5, True),\n 'pre_execute',\n ('pre_run_cell', 'log[-7:]')]"
    )
    shell.run("log.clear(); 1/0")
    assert shell.run("log[0], log[1]").result == "('post_execute', ('post_run_cell', None, False))"
    shell.run("log.clear()", silent=True)
    assert shell.run("log[0], log[1][0]").result == "('post_execute', 'pre_execute')"[:0] + "('post_execute', 'p')"


def test_a_handler_that_raises_does_not_fail_the_cell(shell):
    shell.run("def bad(): raise ValueError('in the handler')\nget_ipython().events.register('post_execute', bad)")
    result = shell.run("'fine'")
    assert result.status == "ok" and result.result == "'fine'"
    assert "in the handler" in json.dumps([m.content for m in result.messages])


def test_input_and_ast_transformers(shell):
    shell.run(
        """
import ast
ip = get_ipython()
ip.input_transformers_post.append(lambda lines: [l.replace("hokus", "6 *") for l in lines])
class Double(ast.NodeTransformer):
    def visit_Constant(self, node):
        return ast.Constant(node.value * 2) if isinstance(node.value, int) else node
"""
    )
    assert shell.run("hokus 7").result == "42"
    shell.run("ip.ast_transformers.append(Double())")
    assert shell.run("21").result == "42"
    assert shell.run("ip.ast_transformers.clear(); ip.input_transformers_post.clear()").status == "ok"
    assert shell.run("21").result == "21"


def test_transformers_reach_cells_that_were_already_sent(shell):
    shell.execute("ip = get_ipython()\nip.input_transformers_post.append(lambda lines: [l.replace('1 +', '2 *') for l in lines])")
    shell.execute("import time; time.sleep(0.1)")
    assert shell.run("1 + 21").result == "42"


def test_interactivity(shell):
    shell.run("from IPython.core.interactiveshell import InteractiveShell\nInteractiveShell.ast_node_interactivity = 'all'")
    assert [m.content["data"]["text/plain"] for m in shell.run("1\n2\nx = 4\nx").all("execute_result")] == ["1", "2", "4"]
    shell.run("get_ipython().ast_node_interactivity = 'last_expr_or_assign'")
    assert shell.run("y = 8").result == "8"
    shell.run("get_ipython().ast_node_interactivity = 'none'")
    assert shell.run("y").result is None


# --- displays ---------------------------------------------------------------------------


def test_hooks_of_the_display_path(shell):
    shell.run(
        """
seen = []
def hook(msg):
    seen.append((msg["msg_type"], dict(msg["content"]["data"])))
    return None if "secret" in str(msg["content"]) else msg
ip = get_ipython()
ip.display_pub.register_hook(hook)
ip.displayhook.register_hook(hook)
"""
    )
    assert shell.run("display('shown')").all("display_data")
    assert not shell.run("display('secret')").all("display_data")
    assert shell.run("'secret'").result is None
    assert shell.run("'shown'").result == "'shown'"
    shell.run("ip.display_pub.unregister_hook(hook); ip.displayhook.unregister_hook(hook)")
    assert [kind for kind, _ in eval(shell.run("seen").result)] == ["display_data"] * 2 + ["execute_result"] * 2


def test_formatters_take_effect_everywhere(shell):
    shell.run("class C: pass\nget_ipython().display_formatter.formatters['text/html'].for_type(C, lambda c: '<b>C</b>')")
    assert shell.run("C()").all("execute_result")[0].content["data"]["text/html"] == "<b>C</b>"
    assert shell.run("display(C())").all("display_data")[0].content["data"]["text/html"] == "<b>C</b>"
    assert shell.run("import akernel; akernel.display(C())").all("display_data")[0].content["data"]["text/html"] == "<b>C</b>"
    assert shell.run("%precision 2\n3.14159").result == "3.14"


def test_capture_takes_displays_and_results(shell):
    shell.run("%%capture out\ndisplay('shown')\nprint('printed')\n3")
    assert shell.run("len(out.outputs), out.stdout").result == "(2, 'printed\\n')"


def test_payloads(shell):
    assert payload(shell.run("get_ipython().set_next_input('a'); get_ipython().set_next_input('b', replace=True)")) == [
        {"source": "set_next_input", "text": "b", "replace": True}
    ]
    page = payload(shell.run("len?"))[0]
    assert page["source"] == "page" and page["start"] == 0 and "Return the number of items" in page["data"]["text/plain"]
    assert payload(shell.run("1")) == []


def test_parents(shell):
    result = shell.run("ip = get_ipython()\nparent = ip.get_parent()\nprint(parent['header']['msg_id'])", metadata={"cellId": "c1"})
    assert result.text().strip() == result.reply.parent["msg_id"]
    other = shell.run(
        "import threading\ndef work():\n    token = ip.set_thread_parent(parent)\n    print('there')\n    ip.reset_thread_parent(token)\n"
        "    print('here')\nt = threading.Thread(target=work); t.start(); t.join()"
    )
    assert other.text() == "here\n"


# --- errors -----------------------------------------------------------------------------


def test_unknown_magic(shell):
    result = shell.run("%nosuchmagic 1")
    assert result.status == "error" and result.content["ename"] == "UsageError"
    assert result.text("stderr") == "UsageError: Line magic function `%nosuchmagic` not found.\n"
    assert shell.run("%%nosuchmagic\n1").content["evalue"] == "Cell magic `%%nosuchmagic` not found."


def test_xmode_and_custom_handlers(shell):
    shell.run("%xmode Minimal")
    error = shell.run("1/0").error
    assert re.sub("\x1b\\[[0-9;]*m", "", "".join(error["traceback"])).strip() == "ZeroDivisionError: division by zero"
    shell.run("def h(self, etype, value, tb, tb_offset=None): return ['own words']\nget_ipython().set_custom_exc((KeyError,), h)")
    assert shell.run("{}['a']").error["traceback"] == ["own words"]


def test_without_ipython(launch, tmp_path):
    hide = tmp_path / "sitecustomize.py"
    hide.write_text(
        "import sys\nclass Hide:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('IPython', 'ipykernel'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
    )
    client = launch(env={"PYTHONPATH": str(tmp_path)}).ready_client()
    for code in ("%matplotlib inline", "!ls", "%%time\n1", "len?"):
        error = client.run(code).error
        assert error["ename"] == "ModuleNotFoundError"
        assert "pip install ipython" in error["evalue"] and "\n" not in error["evalue"]
        assert len(error["traceback"]) == 1
    assert client.run("get_ipython() is None").result == "True"
    assert client.run("x = 3\nx").result == "3"


# --- startup files, profiles, history ---------------------------------------------------


def test_startup_files_run_at_the_start(launch, ipython_dir):
    startup = ipython_dir / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-first.py").write_text("from_startup = 1\n")
    (startup / "01-magic.ipy").write_text("%who_ls\nfrom_magic = 2\n")
    client = launch(env={"IPYTHONDIR": str(ipython_dir)}).ready_client()
    assert client.run("from_startup, from_magic").result == "(1, 2)"


def test_configuration_is_read(launch, ipython_dir):
    profile = ipython_dir / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text(
        "c = get_config()\nc.InteractiveShellApp.exec_lines = ['configured = 7']\nc.InteractiveShell.ast_node_interactivity = 'all'\n"
    )
    client = launch(env={"IPYTHONDIR": str(ipython_dir)}).ready_client()
    assert client.run("configured").result == "7"
    assert len(client.run("1\n2").all("execute_result")) == 2


def test_arguments_of_the_launcher(launch, ipython_dir):
    client = launch(env={"IPYTHONDIR": str(ipython_dir)}, extra=["--HistoryManager.hist_file=:memory:"]).ready_client()
    assert client.run("get_ipython().history_manager.hist_file").result == "':memory:'"
    assert client.run("'IPKernelApp' in get_ipython().config").result == "True"


def lines(path):
    connection = sqlite3.connect(path)
    try:
        return [row[0] for row in connection.execute("SELECT source_raw FROM history ORDER BY session, line")]
    finally:
        connection.close()


def stop(client, kernel):
    client.ask("shutdown_request", {"restart": False}, channel="control")
    kernel.wait()


def test_history_is_kept(launch, ipython_dir):
    kernel = launch(env={"IPYTHONDIR": str(ipython_dir)})
    client = kernel.ready_client()
    client.run("before = 1")
    client.run("%who_ls")
    client.run("after = 2")
    reply = client.ask("history_request", {"hist_access_type": "tail", "n": 2, "raw": True, "output": False})
    assert [entry[2] for entry in reply.content["history"]] == ["%who_ls", "after = 2"]
    stop(client, kernel)
    path = ipython_dir / "profile_default" / "history.sqlite"
    assert lines(path) == ["before = 1", "%who_ls", "after = 2"]
    assert sqlite3.connect(path).execute("SELECT num_cmds, end IS NULL FROM sessions").fetchall() == [(3, 0)]
    client = launch(env={"IPYTHONDIR": str(ipython_dir)}).ready_client()
    client.run("%who_ls")
    reply = client.ask("history_request", {"hist_access_type": "search", "pattern": "bef*", "raw": True, "output": False})
    assert [entry[2] for entry in reply.content["history"]] == ["before = 1"]


def test_a_locked_history_holds_nothing_up(launch, ipython_dir):
    (ipython_dir / "profile_default").mkdir(parents=True)
    path = ipython_dir / "profile_default" / "history.sqlite"
    first = launch(env={"IPYTHONDIR": str(ipython_dir)})
    client = first.ready_client()
    client.run("%who_ls")
    client.run("early = 1")
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    for n in range(20):
        assert client.run(f"n{n} = {n}").status == "ok"
    other = launch(env={"IPYTHONDIR": str(ipython_dir)}).ready_client()
    result = other.run("%who_ls")
    assert result.status == "ok" and not result.text("stderr"), result.messages
    assert other.run("get_ipython().history_manager.hist_file").result == "':memory:'"
    reply = client.ask("history_request", {"hist_access_type": "tail", "n": 3, "raw": True, "output": False})
    assert reply.content["status"] == "ok"
    lock.execute("ROLLBACK")
    lock.close()
    client.run("late = 1")
    stop(client, first)
    found = lines(path)
    assert [p.name for p in path.parent.glob("history*")] == ["history.sqlite"]
    assert "n19 = 19" in found and "late = 1" in found


def test_a_home_that_cannot_be_written(launch, tmp_path):
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    client = launch(env={"IPYTHONDIR": str(nowhere / "ipython"), "HOME": "/nonexistent"}).ready_client()
    result = client.run("%who_ls\n5")
    assert result.status == "ok" and result.result == "5", result.content


# --- pdb --------------------------------------------------------------------------------


def answer(client, text):
    question = client.receive("stdin")
    client.send("input_reply", {"value": text}, channel="stdin", parent=question.header)
    return question.content["prompt"]


@pytest.mark.parametrize("with_shell", [False, True])
def test_breakpoint(shell, with_shell):
    if with_shell:
        shell.run("%who_ls")
    mid = shell.execute("x = 5\nbreakpoint()\ny = x + 1\ny", allow_stdin=True)
    assert answer(shell, "p x") in ("(Pdb) ", "ipdb> ")
    answer(shell, "x = 41")
    answer(shell, "c")
    assert [m.content["data"]["text/plain"] for m in shell.until_idle(mid) if m.type == "execute_result"] == ["42"]


@pytest.mark.parametrize("with_shell", [False, True])
@pytest.mark.parametrize("code", ["breakpoint()\nx = 1", "import pdb; pdb.set_trace()\nx = 1"])
def test_interrupt_at_the_prompt(shell, with_shell, code):
    if with_shell:
        shell.run("%who_ls")
    mid = shell.execute(code, allow_stdin=True)
    shell.receive("stdin")
    shell.kernel.interrupt()
    assert shell.reply(mid).content["ename"] in ("KeyboardInterrupt", "BdbQuit")
    assert shell.run("'alive'").result == "'alive'"


def test_stepping_past_the_end_of_a_cell_does_not_stop_in_the_loop(shell):
    mid = shell.execute("breakpoint()\nx = 1", allow_stdin=True)
    for _ in range(2):
        answer(shell, "n")
    question = shell.sockets["stdin"].poll(300)
    while question:
        answer(shell, "n")
        question = shell.sockets["stdin"].poll(300)
    assert shell.reply(mid).content["status"] == "ok"
    assert shell.run("x").result == "1"


def test_debug_after_an_error(shell):
    shell.run("def f(a):\n    return a / 0\nf(8)")
    mid = shell.execute("%debug", allow_stdin=True)
    answer(shell, "p a * 2")
    answer(shell, "q")
    assert "16" in "".join(m.content["text"] for m in shell.until_idle(mid) if m.type == "stream")
    shell.run("%pdb on")
    mid = shell.execute("f(9)", allow_stdin=True)
    answer(shell, "p a * 2")
    answer(shell, "q")
    assert "18" in "".join(m.content["text"] for m in shell.until_idle(mid) if m.type == "stream")
