# SPDX-License-Identifier: MIT
"""ipywidgets over the wire: what a front end sends, and what comes of it."""

import json
import struct

import pytest

SETUP = "import asyncio, ipywidgets as w\n"


@pytest.fixture
def widgets(fresh):
    assert fresh.run(SETUP).status == "ok"
    return fresh


def opened(result):
    """comm_id of each widget that an execution made, by its model's name."""
    return {m.content["data"]["state"]["_model_name"]: m.content["comm_id"] for m in result.all("comm_open")}


def update(client, comm_id, state, buffers=(), paths=()):
    """What a front end sends when the user has changed a widget."""
    data = {"method": "update", "state": state, "buffer_paths": list(paths)}
    return client.send("comm_msg", {"comm_id": comm_id, "data": data}, buffers=buffers)


def click(client, comm_id):
    data = {"method": "custom", "content": {"event": "click"}}
    return client.send("comm_msg", {"comm_id": comm_id, "data": data})


def text(messages, name="stdout"):
    return "".join(m.content["text"] for m in messages if m.type == "stream" and m.content["name"] == name)


def test_a_widget_is_opened_and_shown(widgets):
    result = widgets.run("slider = w.IntSlider(value=3)\nslider")
    ids = opened(result)
    assert set(ids) == {"IntSliderModel", "SliderStyleModel", "LayoutModel"}
    view = result.all("execute_result")[0].content["data"]["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == ids["IntSliderModel"]
    slider = next(m for m in result.all("comm_open") if m.content["comm_id"] == ids["IntSliderModel"])
    assert slider.content["target_name"] == "jupyter.widget" and slider.content["data"]["state"]["value"] == 3
    assert slider.metadata["version"].startswith("2.")


def test_the_user_moves_a_slider(widgets):
    slider = opened(widgets.run("slider = w.IntSlider()\nslider.observe(lambda c: print('now', c.new), 'value')"))
    messages = widgets.until_idle(update(widgets, slider["IntSliderModel"], {"value": 42}))
    states = [m.content["execution_state"] for m in messages if m.type == "status"]
    assert states == ["busy", "idle"] and messages[0].type == messages[-1].type == "status"
    assert text(messages) == "now 42\n"
    assert widgets.run("slider.value").result == "42"


def test_linked_sliders(widgets):
    result = widgets.run("a = w.IntSlider()\nb = w.IntText()\nlink = w.link((a, 'value'), (b, 'value'))")
    ids = opened(result)
    messages = widgets.until_idle(update(widgets, ids["IntSliderModel"], {"value": 7}))
    sent = [m.content for m in messages if m.type == "comm_msg" and m.content["comm_id"] == ids["IntTextModel"]]
    assert [c["data"]["state"]["value"] for c in sent] == [7]
    assert widgets.run("b.value").result == "7"


NEXT_VALUE = """
def next_value(widget, name):
    future = asyncio.get_running_loop().create_future()
    def changed(change):
        widget.unobserve(changed, name)
        future.set_result(change.new)
    widget.observe(changed, name)
    return future
"""


def test_a_cell_awaits_the_next_value(widgets):
    widgets.run(NEXT_VALUE)
    slider = opened(widgets.run("slider = w.IntSlider()"))["IntSliderModel"]
    waiting = widgets.execute("for _ in range(3):\n    print('got', await next_value(slider, 'value'))")
    for value in (1, 2, 3):
        widgets.until_idle(update(widgets, slider, {"value": value}))
        widgets.iopub_until(lambda m: m.type == "stream" and f"got {value}" in m.content["text"])
    assert widgets.reply(waiting).content["status"] == "ok"


def test_buffers_of_both_directions(widgets):
    made = widgets.run(
        "from ipywidgets.widgets.trait_types import CByteMemoryView\n"
        "class Blob(w.DOMWidget):\n    data = CByteMemoryView(b'').tag(sync=True)\n"
        "blob = Blob(data=bytes(range(256)) * 1000)"
    )
    blob = next(m for m in made.all("comm_open") if m.content["data"]["buffer_paths"])
    assert blob.content["data"]["buffer_paths"] == [["data"]] and blob.buffers == [bytes(range(256)) * 1000]
    new = struct.pack("<4d", 1.5, -2.0, float("inf"), 1e-300)
    messages = widgets.until_idle(update(widgets, blob.content["comm_id"], {}, [new], [["data"]]))
    assert widgets.run("import struct\nstruct.unpack('<4d', blob.data)").result == "(1.5, -2.0, inf, 1e-300)"
    # ipywidgets echoes an update, with its buffers.
    echo = next(m for m in messages if m.type == "comm_msg" and m.content["data"]["method"] == "echo_update")
    assert echo.buffers == [new]


def test_numpy_arrays_unharmed(widgets):
    made = widgets.run(
        "import numpy as np\nfrom traitlets import Any\n"
        "pack = dict(to_json=lambda a, w: {'shape': a.shape, 'data': memoryview(np.ascontiguousarray(a))},\n"
        "            from_json=lambda j, w: np.frombuffer(j['data'], dtype='f8').reshape(j['shape']))\n"
        "class Grid(w.DOMWidget):\n    array = Any().tag(sync=True, **pack)\n"
        "source = np.arange(12.0).reshape(3, 4)[:, ::2]\ngrid = Grid(array=source)"
    )
    assert made.status == "ok", made.error
    grid = next(m for m in made.all("comm_open") if m.content["data"]["buffer_paths"])
    assert struct.unpack("<6d", grid.buffers[0]) == (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
    new = struct.pack("<6d", *range(6))
    widgets.until_idle(
        update(widgets, grid.content["comm_id"], {"array": {"shape": [2, 3]}}, [new], [["array", "data"]])
    )
    assert widgets.run("grid.array.tolist()").result == "[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]"


def test_a_button_with_an_async_handler(widgets):
    made = widgets.run(
        "gate = asyncio.Event()\n"
        "async def handler(button):\n    print('clicked')\n    await gate.wait()\n    print('gate is open')\n"
        "button = w.Button()\nbutton.on_click(handler)"
    )
    cell = made.reply.parent["msg_id"]
    widgets.until_idle(click(widgets, opened(made)["ButtonModel"]))
    # What the task prints goes to the cell with the button: the click is forgotten by now.
    first = widgets.iopub_until(lambda m: m.type == "stream")[-1]
    assert first.content["text"] == "clicked\n" and first.parent["msg_id"] == cell
    mid = widgets.execute("gate.set()")
    late = widgets.iopub_until(lambda m: m.type == "stream")[-1]
    assert late.content["text"] == "gate is open\n" and late.parent["msg_id"] == cell
    assert widgets.reply(mid).content["status"] == "ok"
    widgets.run("button.on_click(handler, remove=True)")
    assert text(widgets.until_idle(click(widgets, opened(made)["ButtonModel"]))) == ""
    assert widgets.run("button._click_handlers.callbacks").result == "[]"


def test_an_async_observer_that_fails(widgets):
    made = widgets.run(
        "async def observer(change):\n    raise ValueError(f'no {change.new} here')\n"
        "slider = w.IntSlider()\nslider.observe(observer, 'value')"
    )
    slider = opened(made)["IntSliderModel"]
    widgets.until_idle(update(widgets, slider, {"value": 9}))
    told = widgets.iopub_until(lambda m: m.type == "stream" and "no 9 here" in m.content["text"])[-1]
    assert told.content["name"] == "stderr" and told.parent["msg_id"] == made.reply.parent["msg_id"]
    widgets.run("slider.unobserve(observer, 'value')")
    assert text(widgets.until_idle(update(widgets, slider, {"value": 10})), "stderr") == ""


def test_threads_and_tasks_of_a_handler_print_where_the_widget_is(widgets):
    made = widgets.run(
        "import threading\n"
        "def work(gate):\n    print('thread', flush=True)\n    gate.wait()\n    print('thread, later', flush=True)\n"
        "async def task():\n    print('task')\n"
        "def handler(button):\n    global go, thread, job\n    print('handler')\n    go = threading.Event()\n"
        "    thread = threading.Thread(target=work, args=(go,))\n    thread.start()\n"
        "    job = asyncio.get_running_loop().create_task(task())\n"
        "button = w.Button()\nbutton.on_click(handler)"
    )
    cell = made.reply.parent["msg_id"]
    mid = click(widgets, opened(made)["ButtonModel"])
    seen = {}

    def all_there(message):
        if message.type == "stream":
            seen[message.parent["msg_id"]] = seen.get(message.parent["msg_id"], "") + message.content["text"]
        return sorted(seen.get(cell, "").split("\n")) == ["", "task", "thread"] and mid in seen

    widgets.iopub_until(all_there)
    assert seen[mid] == "handler\n"
    widgets.run("go.set()\nthread.join()")


def test_a_callback_that_raises(widgets):
    made = widgets.run("button = w.Button()\nbutton.on_click(lambda b: 1 / 0)")
    messages = widgets.until_idle(click(widgets, opened(made)["ButtonModel"]))
    told = text(messages, "stderr") + "".join(str(m.content) for m in messages if m.type == "error")
    assert "ZeroDivisionError" in told
    assert widgets.run("1").result == "1"


def captured(messages, output):
    """What a front end puts into an Output: text whose parent the widget names then."""
    owner, taken = None, ""
    for m in messages:
        if m.type == "comm_msg" and m.content["comm_id"] == output and "msg_id" in m.content["data"]["state"]:
            owner = m.content["data"]["state"]["msg_id"]
        elif m.type == "stream" and owner and m.parent["msg_id"] == owner:
            taken += m.content["text"]
    return taken


def test_an_output_takes_what_its_block_prints(widgets):
    output = opened(widgets.run("out = w.Output()"))["OutputModel"]
    result = widgets.run("print('before')\nwith out:\n    print('inside')\nprint('after')")
    assert captured(result.messages, output) == "inside\n"
    assert result.text() == "before\ninside\nafter\n"


def test_an_output_takes_what_a_callback_prints(widgets):
    made = widgets.run(
        "out = w.Output()\nbutton = w.Button()\n"
        "@out.capture()\ndef handler(button):\n    print('clicked')\nbutton.on_click(handler)"
    )
    messages = widgets.until_idle(click(widgets, opened(made)["ButtonModel"]))
    assert captured(messages, opened(made)["OutputModel"]) == "clicked\n"


@pytest.mark.parametrize(
    "start",
    [
        "job = asyncio.get_running_loop().create_task(work())",
        "threading.Thread(target=lambda: asyncio.run(work())).start()",
    ],
    ids=["task", "thread"],
)
def test_an_output_takes_what_tasks_and_threads_of_a_callback_print(widgets, start):
    made = widgets.run(
        "import threading\nout = w.Output()\nbutton = w.Button()\ngo = threading.Event()\n"
        "async def work():\n    with out:\n        print('one')\n"
        "        await asyncio.to_thread(go.wait)\n        print('two')\n    print('outside')\n"
        f"def handler(button):\n    global job\n    {start}\nbutton.on_click(handler)"
    )
    clicked = click(widgets, opened(made)["ButtonModel"])
    seen = widgets.iopub_until(lambda m: m.type == "stream" and "one" in m.content["text"])
    widgets.execute("go.set()")
    seen += widgets.iopub_until(lambda m: m.type == "stream" and "outside" in m.content["text"])
    assert captured(seen, opened(made)["OutputModel"]) == "one\ntwo\n"
    # The message of the click is forgotten by the front end: nothing may depend on it.
    assert not [m for m in seen if m.type == "stream" and m.parent["msg_id"] == clicked]


def test_the_control_comm_gives_all_states(widgets):
    slider = opened(widgets.run("slider = w.IntSlider(value=5)"))["IntSliderModel"]
    content = {"comm_id": "control", "target_name": "jupyter.widget.control", "data": {"widgets": None}}
    opening = widgets.until_idle(widgets.send("comm_open", content, metadata={"version": "1.0.0"}))
    assert not [m for m in opening if m.type in ("comm_close", "stream")]
    asked = {"comm_id": "control", "data": {"method": "request_states"}}
    messages = widgets.until_idle(widgets.send("comm_msg", asked))
    answer = next(m for m in messages if m.type == "comm_msg" and m.content["comm_id"] == "control")
    assert answer.content["data"]["method"] == "update_states"
    assert answer.content["data"]["states"][slider]["state"]["value"] == 5


def test_a_widget_opened_by_the_front_end(widgets):
    state = {
        "_model_module": "@jupyter-widgets/controls",
        "_model_module_version": "2.0.0",
        "_model_name": "IntSliderModel",
        "_view_module": "@jupyter-widgets/controls",
        "_view_module_version": "2.0.0",
        "_view_name": "IntSliderView",
        "value": 8,
    }
    content = {"comm_id": "mine", "target_name": "jupyter.widget", "data": {"state": state, "buffer_paths": []}}
    messages = widgets.until_idle(widgets.send("comm_open", content, metadata={"version": "2.1.0"}))
    assert not [m for m in messages if m.type == "comm_close"]
    assert "mine" in widgets.ask("comm_info_request", {"target_name": "jupyter.widget"}).content["comms"]


@pytest.mark.parametrize(
    "msg_type,content",
    [
        ("comm_open", {}),
        ("comm_open", {"comm_id": 3, "target_name": "jupyter.widget", "data": {}}),
        ("comm_open", {"comm_id": "x", "target_name": ["jupyter.widget"], "data": {}}),
        ("comm_open", {"comm_id": "x", "target_name": "jupyter.widget", "data": {}}),
        ("comm_msg", {"comm_id": None, "data": {}}),
        ("comm_msg", {"comm_id": "nobody", "data": {}}),
        ("comm_close", {"comm_id": {}}),
    ],
)
def test_nonsense_to_comms(widgets, msg_type, content):
    widgets.until_idle(widgets.send(msg_type, content))
    assert widgets.run("1").result == "1"
    assert "x" not in widgets.ask("comm_info_request", {}).content["comms"]


def test_nonsense_to_a_widget(widgets):
    slider = opened(widgets.run("slider = w.IntSlider()"))["IntSliderModel"]
    for data in ({}, {"method": "nothing"}, {"method": "update"}, {"method": "update", "state": {"value": "x"}}, None):
        widgets.until_idle(widgets.send("comm_msg", {"comm_id": slider, "data": data}))
    bad = {"method": "update", "state": {}, "buffer_paths": [["value", "a", 3]]}
    widgets.until_idle(widgets.send("comm_msg", {"comm_id": slider, "data": bad}, buffers=[b"x"]))
    assert widgets.run("slider.value").result == "0"


def test_many_messages_of_a_moved_slider_stay_in_order(widgets):
    slider = opened(widgets.run("seen = []\nslider = w.IntSlider(max=1000)\nslider.observe(lambda c: seen.append(c.new), 'value')"))
    sent = [update(widgets, slider["IntSliderModel"], {"value": value}) for value in range(1, 501)]
    widgets.until_idle(sent[-1])
    assert json.loads(widgets.run("import json\nprint(json.dumps(seen))").text()) == list(range(1, 501))
