"""What the Python programs share: reports to the test, and the two files that all programs work from."""
import json
import os
import sys
import threading

_lock = threading.Lock()


def report(event, name="", **more):
    with _lock:
        print(json.dumps({"event": event, "name": name, **more}), flush=True)


def table(name):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name), encoding="utf-8") as f:
        return json.load(f)


def fill(value, **names):
    """Replaces {p} and the like in all strings of a value."""
    if isinstance(value, list):
        return [fill(v, **names) for v in value]
    for name, text in names.items() if value else ():
        value = value.replace("{" + name + "}", text)
    return value


def flat(reply):
    """A reply as a list of texts, in whichever protocol it came."""
    if reply is None:
        return [None]
    if isinstance(reply, dict):
        return [t for pair in reply.items() for v in pair for t in flat(v)]
    if isinstance(reply, (list, tuple)):
        return [t for v in reply for t in flat(v)]
    if isinstance(reply, (set, frozenset)):
        return sorted(t for v in reply for t in flat(v))
    if isinstance(reply, (int, float)):
        return [format(reply, ".15g")]
    return [reply]


def stopped():
    """Set when the test has closed standard input."""
    event = threading.Event()

    def wait():
        sys.stdin.read()
        event.set()

    threading.Thread(target=wait, daemon=True).start()
    return event


def expect(what, got, want):
    if got != want:
        raise AssertionError(f"{what}: {got!r}, want {want!r}")
