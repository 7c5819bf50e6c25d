# SPDX-License-Identifier: MIT
"""A notebook as a front end keeps it: an output area a cell, fed by late messages too."""


class Notebook:
    def __init__(self, client):
        self.client = client
        self.parents = {}  # msg_id of a cell's newest request -> cell
        self.areas = {}
        self.clearing = set()
        self.deleted = []
        self.idle = set()  # requests that are over
        self.replies = {}

    # --- executing

    def send(self, cell, code, tags=(), **content):
        metadata = {"cellId": cell, "deletedCells": list(self.deleted), "tags": list(tags)}
        mid = self.client.execute(code, metadata=metadata, **content)
        for parent in [p for p, c in self.parents.items() if c == cell]:
            del self.parents[parent]
        self.parents[mid] = cell
        self.areas[cell] = []
        self.clearing.discard(cell)
        return mid

    def wait(self, mid):
        """Feeds what comes up to the idle of a request; its reply's content."""

        while mid not in self.idle:
            m = self.client.receive("iopub")
            self.feed(m)
            if m.type == "status" and m.content["execution_state"] == "idle":
                self.idle.add(m.parent.get("msg_id"))
        self.deleted = []
        while mid not in self.replies:
            reply = self.client.receive("shell")
            self.replies[reply.parent["msg_id"]] = reply
        return self.replies[mid].content

    def run(self, cell, code, **kwargs):
        return self.wait(self.send(cell, code, **kwargs))

    def values(self, *names):
        """The values of names, "" for what has none."""
        mid = self.client.execute("", silent=True, store_history=False, user_expressions={n: n for n in names})
        found = self.client.reply(mid).content["user_expressions"]
        return [found[n]["data"]["text/plain"] if found[n]["status"] == "ok" else "" for n in names]

    # --- what comes back

    def feed(self, m):
        content = m.content
        display_id = (content.get("transient") or {}).get("display_id")
        if m.type in ("display_data", "update_display_data") and display_id:
            for area in self.areas.values():
                for output in area:
                    if output.get("display_id") == display_id:
                        output.update(data=content["data"], metadata=content["metadata"])
        cell = self.parents.get(m.parent.get("msg_id"))
        if cell is None or m.type == "update_display_data":
            return
        if m.type == "clear_output":
            if content["wait"]:
                self.clearing.add(cell)
            else:
                self.areas[cell] = []
        elif m.type in ("stream", "error", "display_data", "execute_result"):
            if cell in self.clearing:
                self.clearing.discard(cell)
                self.areas[cell] = []
            self.areas[cell].append({"type": m.type, "display_id": display_id, **content})

    def result(self, cell):
        shown = [o for o in self.areas[cell] if o["type"] in ("display_data", "execute_result")]
        return shown[-1]["data"].get("text/plain") if shown else None

    def waits(self, cell):
        """What the cell says that it waits for."""
        shown = [o for o in self.areas[cell] if o.get("metadata", {}).get("akernel", {}).get("state") == "pending"]
        return shown[-1]["data"]["text/plain"] if shown else None

    def text(self, cell, name="stdout"):
        return "".join(o["text"] for o in self.areas[cell] if o["type"] == "stream" and o["name"] == name)

    def error(self, cell):
        names = [o["ename"] for o in self.areas[cell] if o["type"] == "error"]
        return names[-1] if names else None
