# SPDX-License-Identifier: MIT
"""What libraries and people are used to find in a kernel."""

import os
import subprocess

import pytest


@pytest.fixture
def shell(launch, tmp_path):
    return launch(env={"IPYTHONDIR": str(tmp_path)}).ready_client()


HIDE = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == 'ipykernel':
            for finder in sys.meta_path[1:]:
                if type(finder).__name__ == 'LastFinder':
                    spec = finder.find_spec(name)
                    if spec is not None:
                        return spec
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Hide())
"""


@pytest.fixture(params=["installed", "stand-in"])
def either(request, launch, tmp_path):
    """A kernel with ipykernel installed, and one without."""
    env = {"IPYTHONDIR": str(tmp_path / "ipython")}
    if request.param == "stand-in":
        (tmp_path / "sitecustomize.py").write_text(HIDE.replace("meta_path[1:]", "meta_path"))
        env["PYTHONPATH"] = str(tmp_path)
    return launch(env=env).ready_client()


def test_the_name_of_the_shell(shell):
    assert shell.run("get_ipython().__class__.__name__").result == "'ZMQInteractiveShell'"
    assert shell.run("'zmq' in str(type(get_ipython())).lower(), 'IPKernelApp' in get_ipython().config").result == "(True, True)"
    assert shell.run("from ipykernel.zmqshell import ZMQInteractiveShell\nisinstance(get_ipython(), ZMQInteractiveShell)").result == "True"


def test_ipykernel_names(either):
    code = "import ipykernel\nfrom ipykernel.kernelapp import IPKernelApp\nIPKernelApp.initialized(), ipykernel.get_connection_file()"
    assert either.run(code).result == repr((True, either.kernel.file))
    assert either.run("IPKernelApp.instance().shell is get_ipython()").result == "True"
    assert either.run("IPKernelApp.instance().kernel.shell is get_ipython()").result == "True"
    assert either.run("ipykernel.get_connection_info(unpack=True)['ip']").result == "'127.0.0.1'"
    assert either.run("import os.path, ipykernel.connect; os.path.exists(ipykernel.connect.get_connection_file())").result == "True"


def test_ipykernel_comms(either):
    result = either.run("from ipykernel.comm import Comm\nc = Comm(target_name='there', data={'a': 1})\nc.send({'b': 2})\nc.close()")
    assert [m.type for m in result.messages if m.type.startswith("comm")] == ["comm_open", "comm_msg", "comm_close"]
    assert result.all("comm_open")[0].content["target_name"] == "there"
    assert either.run("import comm\ncomm.get_comm_manager() is get_ipython().kernel.comm_manager").result == "True"


def test_targets_outlive_an_import_of_ipykernel(shell):
    shell.run("import comm\nseen = []\ncomm.get_comm_manager().register_target('mine', lambda c, m: seen.append(m['content']['data']))")
    shell.run("import ipykernel.ipkernel")
    mid = shell.send("comm_open", {"comm_id": "c1", "target_name": "mine", "data": {"x": 1}})
    shell.until_idle(mid)
    assert shell.run("seen").result == "[{'x': 1}]"


def test_session_name(launch):
    client = launch(env={"JPY_SESSION_NAME": "/home/me/a.ipynb"}).ready_client()
    assert client.run("__session__").result == "'/home/me/a.ipynb'"
    assert client.run("%who").text() == "Interactive namespace is empty.\n"


def test_the_environment_of_programs(shell):
    names = ("TERM", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PAGER", "GIT_PAGER", "MPLBACKEND")
    code = f"import os, subprocess, sys\nprint(subprocess.run(['env'], capture_output=True, text=True).stdout)\n{names}"
    found = dict(line.split("=", 1) for line in shell.run(code).text().splitlines() if line.split("=", 1)[0] in names)
    assert found["PAGER"] == found["GIT_PAGER"] == "cat" and found["FORCE_COLOR"] == found["CLICOLOR"] == "1"
    assert found["MPLBACKEND"] == "module://matplotlib_inline.backend_inline"


@pytest.mark.parametrize("mode", [None, "chained"])
def test_nest_asyncio(launch, mode):
    pytest.importorskip("nest_asyncio")
    client = launch(mode).ready_client()
    client.run("import asyncio, nest_asyncio\nnest_asyncio.apply()\nasync def five():\n    await asyncio.sleep(0.01)\n    return 5")
    assert client.run("asyncio.run(five())").result == "5"
    assert client.run("asyncio.get_event_loop().run_until_complete(five())").result == "5"
    client.execute("x = asyncio.get_event_loop().run_until_complete(five())")
    assert client.run("print('second', x)").text() == "second 5\n"



def test_autoawait_and_config(shell):
    assert "asyncio" in shell.run("%autoawait").text()
    assert shell.run("%autoawait asyncio\nimport asyncio\nawait asyncio.sleep(0, 7)").result == "7"
    assert "ZMQInteractiveShell" in shell.run("%config").text()


def test_autoreload(shell, tmp_path):
    module = tmp_path / "changing.py"
    module.write_text("def f(): return 1\n")
    shell.run(f"%load_ext autoreload\n%autoreload 2\nimport sys; sys.path.insert(0, {str(tmp_path)!r})\nimport changing")
    assert shell.run("changing.f()").result == "1"
    module.write_text("def f(): return 22\n")
    os.utime(module, (1e9, 2e9))
    assert shell.run("changing.f()").result == "22"


def test_magics_that_run_code(shell, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys\nfrom_script = sys.argv[1:]\n")
    assert shell.run(f"%run {script} a b\nfrom_script").result == "['a', 'b']"
    assert shell.run(f"%%writefile {tmp_path}/out.txt\ntext").status == "ok"
    assert (tmp_path / "out.txt").read_text() == "text\n"
    assert shell.run("%%bash\necho from bash; exit 0").text() == "from bash\n"
    assert shell.run("%%script false").status == "error"
    assert "1 loop each" in shell.run("%timeit -n1 -r1 pass").text()
    assert "function calls" in shell.run("%prun -s cumulative sum(range(10))").content["payload"][0]["data"]["text/plain"]
    assert shell.run("value = 5\n%store value").status == "ok"
    assert shell.run("%env AKERNEL_TEST=1\n!echo $AKERNEL_TEST").text().split() == ["env:", "AKERNEL_TEST=1", "1"]
    assert shell.run("name = 'x'\n!echo {name} $name").text().split() == ["x", "x"]


def test_tqdm_knows_where_it_is(shell):
    pytest.importorskip("tqdm")
    assert shell.run("from tqdm.auto import tqdm\nfrom tqdm.notebook import tqdm_notebook\nissubclass(tqdm, tqdm_notebook)").result == "True"


def test_spawned_children_find_the_package(shell):
    code = (
        "import akernel, multiprocessing\nfrom os import getpid\n"
        "context = multiprocessing.get_context('spawn')\n"
        "with context.Pool(1) as pool:\n    child = pool.apply(getpid)\nchild != getpid()"
    )
    assert shell.run(code).result == "True"


# --- GUI loops --------------------------------------------------------------------------


def test_gui_names(shell):
    for gui in ("asyncio", "", "inline"):
        assert shell.run(f"%gui {gui}").status == "ok"
    result = shell.run("%gui nosuch")
    assert "no GUI event loop 'nosuch'" in result.text("stderr") + result.text()


@pytest.fixture(scope="module")
def display():
    """An X server of its own."""
    read, write = os.pipe()
    try:
        server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24", "-nolisten", "tcp"],
            pass_fds=[write], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        os.close(read)
        os.close(write)
        pytest.fail("Xvfb is not installed: apt-get install xvfb")
    os.close(write)
    with os.fdopen(read) as answer:
        number = answer.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait()


def test_tk_windows_live_between_cells(launch, display, tmp_path):
    client = launch(env={"DISPLAY": display, "IPYTHONDIR": str(tmp_path)}).ready_client()
    made = client.run(
        "%gui tk\nimport asyncio, tkinter\nroot = tkinter.Tk()\nmapped = asyncio.Event()\nroot.bind('<Map>', lambda e: mapped.set())\n"
        "def tick():\n    print('tick')\n    ticked.set()\nticked = asyncio.Event()\nlabel = tkinter.Label(root, text='x'); label.pack()"
    )
    assert made.status == "ok", made.error
    # While a cell awaits: the window appears, and timers of tk run.
    result = client.run("await asyncio.wait_for(mapped.wait(), 20)\nroot.after(1, tick)\nawait asyncio.wait_for(ticked.wait(), 20)\nroot.winfo_ismapped()")
    assert result.status == "ok", result.error
    assert result.result == "1"
    # Between cells too: what a callback prints belongs to the cell that began with %gui.
    shown = client.run("root.after(1, lambda: print('between'))")
    message = client.iopub_until(lambda m: m.type == "stream" and "between" in m.content["text"])[-1]
    assert message.parent["msg_id"] == made.reply.parent["msg_id"] and shown.status == "ok"
    assert client.run("root.destroy()\n%gui\n'alive'").result == "'alive'"
