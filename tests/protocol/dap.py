# SPDX-License-Identifier: MIT
"""A debugging client: DAP over debug_request, on a wire.Client."""

from wire import TIMEOUT


class Debugger:
    def __init__(self, client):
        self.client = client
        self.seq = 0
        self.seen = []  # events that were not waited for yet

    def send(self, command, channel="control", **arguments):
        self.seq += 1
        content = {"type": "request", "seq": self.seq, "command": command, "arguments": arguments}
        return self.client.send("debug_request", content, channel=channel)

    def ask(self, command, timeout=TIMEOUT, **arguments):
        mid = self.send(command, **arguments)
        answer = self.client.reply(mid, "control", timeout).content
        assert answer["type"] == "response"
        assert answer["request_seq"] == self.seq
        assert answer["command"] == command
        return answer

    def body(self, command, **arguments):
        answer = self.ask(command, **arguments)
        assert answer["success"], answer
        return answer.get("body", {})

    def attach(self):
        self.body("initialize", clientID="test", adapterID="", pathFormat="path", linesStartAt1=True, columnsStartAt1=True)
        self.body("attach")

    def breakpoints(self, code, *lines, **extra):
        """Sets breakpoints in a cell; its path."""
        path = self.body("dumpCell", code=code)["sourcePath"]
        asked = [{"line": line, **extra} for line in lines]
        set_ = self.body("setBreakpoints", source={"path": path}, breakpoints=asked, sourceModified=False)
        assert [b["verified"] for b in set_["breakpoints"]] == [True] * len(lines)
        self.body("configurationDone")
        return path

    def event(self, name, timeout=TIMEOUT):
        """The next event of a name, from iopub."""
        for at, event in enumerate(self.seen):
            if event["event"] == name:
                return self.seen.pop(at)
        messages = self.client.iopub_until(lambda m: m.type == "debug_event" and m.content["event"] == name, timeout)
        self.seen += [m.content for m in messages[:-1] if m.type == "debug_event"]
        return messages[-1].content

    def stopped(self, timeout=TIMEOUT):
        """Waits for a stop: (its body, the frames of the thread that stopped)."""
        body = self.event("stopped", timeout)["body"]
        return body, self.body("stackTrace", threadId=body["threadId"])["stackFrames"]

    def locals(self, frame):
        scopes = self.body("scopes", frameId=frame["id"])["scopes"]
        reference = next(s["variablesReference"] for s in scopes if s["name"] == "Locals")
        return {v["name"]: v["value"] for v in self.body("variables", variablesReference=reference)["variables"]}

    def go(self, command="continue", thread=1):
        self.body(command, threadId=thread)
