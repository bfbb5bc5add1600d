"""redis-py as an application uses it: redispy.py tour|work PROTOCOL PREFIX ADDRESS,..."""
import itertools
import sys
import threading
import time

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from protocol import expect, fill, flat, report, stopped, table

LOST = (redis.ConnectionError, redis.TimeoutError)


def client(addresses, **options):
    """A client that goes on to the next address whenever it cannot connect to one."""
    turns = itertools.cycle([address.split(":") for address in addresses])

    class Connection(redis.Connection):
        def _connect(self):
            for _ in addresses:
                self.host, port = next(turns)
                self.port = int(port)
                try:
                    return super()._connect()
                except OSError as error:
                    last = error
            raise last

    pool = redis.ConnectionPool(
        connection_class=Connection, decode_responses=True, socket_timeout=8, socket_connect_timeout=1, **options
    )
    return redis.Redis(connection_pool=pool)


def persistent(addresses):
    """For what may be done twice: lost connections are tried again by the library."""
    return client(addresses, retry=Retry(ExponentialBackoff(cap=0.5, base=0.01), 20), retry_on_error=list(LOST))


def careful(addresses):
    """For what may not be done twice: redis-py before 6.0 tries nothing again unless it is told to."""
    return client(addresses)


# --- tour: each part of the interface once, against a cluster at rest


def tour(p, addresses):
    r, raw = careful(addresses), careful(addresses)
    raw.response_callbacks.clear()
    for part, steps in table("tour.json"):
        for command, want in fill(steps, p=p):
            expect(command, flat(raw.execute_command(*command)), flat(want))
        report("did", part)
    for part in (pipelines, transactions, scripts, blocking, pubsub, scans, groups, large):
        part(r, p)
        report("did", part.__name__)


def pipelines(r, p):
    pipe = r.pipeline(transaction=False)
    for _ in range(1000):
        pipe.incr(f"{p}:pipe").get(f"{p}:pipe")
    expect("pipeline", pipe.execute(), [v for i in range(1, 1001) for v in (i, str(i))])
    replies = r.pipeline(transaction=False).lpush(f"{p}:pipe", "x").get(f"{p}:pipe").execute(raise_on_error=False)
    expect("pipeline with an error", [type(replies[0]), replies[1]], [redis.ResponseError, "1000"])


def transactions(r, p):
    expect("MULTI", r.pipeline().set(f"{p}:t", 1).incr(f"{p}:t").execute(), [True, 2])

    def double(pipe):
        n = int(pipe.get(f"{p}:t"))
        if n == 2:
            r.set(f"{p}:t", 21)  # another client is faster, once
        pipe.multi()
        pipe.set(f"{p}:t", n * 2)

    expect("WATCH", [r.transaction(double, f"{p}:t"), r.get(f"{p}:t")], [[True], "42"])


def scripts(r, p):
    r.script_flush()
    double = r.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1] * 2)")
    expect("EVALSHA after NOSCRIPT", [double(keys=[f"{p}:d"], args=[i]) for i in (1, 2)], [2, 6])
    expect("script in a pipeline", double_in(r.pipeline(), double, p), [8])


def double_in(pipe, script, p):
    script(keys=[f"{p}:d"], args=[1], client=pipe)
    return pipe.execute()


def blocking(r, p):
    expect("BLPOP that times out", r.blpop(f"{p}:blocked", timeout=0.2), None)
    threading.Timer(0.1, lambda: (r.zadd(f"{p}:bz", {"m": 1}), r.rpush(f"{p}:blocked", "v"))).start()
    expect("BLPOP", r.blpop([f"{p}:none", f"{p}:blocked"], timeout=5), (f"{p}:blocked", "v"))
    expect("BZPOPMIN", r.bzpopmin(f"{p}:bz", timeout=5), (f"{p}:bz", "m", 1.0))


def pubsub(r, p):
    with r.pubsub(ignore_subscribe_messages=True) as sub:
        sub.subscribe(f"{p}:ch")
        sub.psubscribe(f"{p}:pat*")
        while not (sub.channels and sub.patterns and sub.subscribed) or r.pubsub_numsub(f"{p}:ch")[0][1] == 0 or r.pubsub_numpat() == 0:
            sub.get_message(timeout=0.05)
        r.publish(f"{p}:ch", "one")
        r.publish(f"{p}:patX", "two")
        heard = []
        while len(heard) < 2:
            message = sub.get_message(timeout=5)
            heard += [message["data"]] if message else []
        expect("messages", heard, ["one", "two"])


def scans(r, p):
    r.mset({f"{p}:scan:{i}": i for i in range(500)})
    r.hset(f"{p}:scanh", mapping={str(i): i for i in range(700)})
    expect("SCAN", len(set(r.scan_iter(f"{p}:scan:*", count=50))), 500)
    expect("HSCAN", len(dict(r.hscan_iter(f"{p}:scanh"))), 700)


def groups(r, p):
    r.xgroup_create(f"{p}:g", "g", mkstream=True)
    ids = [r.xadd(f"{p}:g", {"n": i}) for i in range(3)]
    (_, entries), = r.xreadgroup("g", "c", {f"{p}:g": ">"}, block=1000)
    expect("XREADGROUP", entries, [(id, {"n": str(i)}) for i, id in enumerate(ids)])
    expect("XPENDING", r.xpending(f"{p}:g", "g")["pending"], 3)
    expect("XCLAIM", [id for id, _ in r.xclaim(f"{p}:g", "g", "other", 0, ids[:1])], ids[:1])
    expect("XACK", r.xack(f"{p}:g", "g", *ids), 3)


def large(r, p):
    value = "x" * (8 << 20)
    r.set(f"{p}:large", value)
    expect("8 MB", r.get(f"{p}:large") == value, True)
    r.delete(f"{p}:large")


# --- work: effects with ids, again and again, until the test says stop


class Work:
    def __init__(self, p, instance, addresses):
        self.p, self.instance, self.addresses = p, instance, addresses
        self.stop, self.drain = stopped(), threading.Event()

    def run(self):
        effects = table("effects.json")["effects"]
        setup = persistent(self.addresses)
        again(lambda: group(setup, f"{self.p}:stream"))
        producers = [threading.Thread(target=self.guard, args=(self.produce, effect)) for effect in effects]
        consumers = [threading.Thread(target=self.guard, args=(f,)) for f in (self.pop, self.read_group, self.listen)]
        for t in producers + consumers:
            t.start()
        for t in producers:
            t.join()
        self.drain.set()
        for t in consumers:
            t.join()

    def guard(self, f, *args):
        try:
            f(*args)
        except Exception as error:  # the test ends the program
            report("error", f.__name__, error=repr(error))

    def produce(self, effect):
        r = persistent(self.addresses) if effect.get("repeatable") else careful(self.addresses)
        do = getattr(self, effect.get("how", "plain"))
        for n in itertools.count():
            if self.stop.is_set():
                return
            id = f"{self.instance}-{n}"
            try:
                again(lambda: do(r, effect, id), repeatable=effect.get("repeatable"))
                report("ack", effect["name"], id=id)
            except redis.RedisError as error:
                if not unknown(error):
                    raise
                report("unknown", effect["name"], id=id, error=str(error))
            time.sleep(0.01)

    def commands(self, effect, id):
        return fill(effect["commands"], p=self.p, id=id)

    def plain(self, r, effect, id):
        for command in self.commands(effect, id):
            r.execute_command(*command)

    def pipeline(self, r, effect, id, transaction=False):
        pipe = r.pipeline(transaction=transaction)
        for command in self.commands(effect, id):
            pipe.execute_command(*command)
        pipe.execute()

    def multi(self, r, effect, id):
        self.pipeline(r, effect, id, transaction=True)

    def watch(self, r, effect, id):
        values, length = fill(effect["keys"], p=self.p)

        def append(pipe):
            n = pipe.llen(values)
            pipe.multi()
            pipe.rpush(values, id)
            pipe.set(length, n + 1)

        r.transaction(append, values)

    def script(self, r, effect, id):
        r.register_script(effect["script"])(keys=fill(effect["keys"], p=self.p), args=[id])

    def pop(self):
        r = careful(self.addresses)
        while True:
            try:
                popped = again(lambda: r.blpop(f"{self.p}:queue", timeout=1))
            except redis.RedisError as error:
                if not unknown(error):
                    raise
                report("failed", "queue", error=str(error))
                continue
            if popped:
                report("took", "queue", id=popped[1])
            elif self.drain.is_set():
                return

    def read_group(self):
        r, stream = persistent(self.addresses), f"{self.p}:stream"
        while True:
            entries = []
            for start in ("0", ">"):  # what was delivered and not acknowledged, then what is new
                reply = again(lambda: r.xreadgroup("workers", self.instance, {stream: start}, count=10, block=500), repeatable=True)
                entries += reply[0][1] if reply else []
            for id, fields in entries:
                again(lambda: r.xack(stream, "workers", id), repeatable=True)
                report("took", "stream", id=fields["id"])
            if not entries and self.drain.is_set():
                return

    def listen(self):
        r, publisher, last = persistent(self.addresses), persistent(self.addresses), f"{self.instance}-end"
        sub = r.pubsub(ignore_subscribe_messages=True)
        again(lambda: sub.subscribe(f"{self.p}:news"), repeatable=True)
        while True:
            if self.drain.is_set():
                again(lambda: publisher.publish(f"{self.p}:news", last), repeatable=True)
            message = again(lambda: sub.get_message(timeout=0.2), repeatable=True)
            if message and message["data"] == last:
                return
            if message:
                report("took", "news", id=message["data"])


def group(r, stream):
    try:
        r.xgroup_create(stream, "workers", id="0", mkstream=True)
    except redis.ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


def unknown(error):
    return isinstance(error, LOST) or str(error).startswith("UNKNOWNOUTCOME")


def again(f, repeatable=False):
    """Asks again what was not done, and what may be done twice also when that is not known."""
    while True:
        try:
            return f()
        except redis.RedisError as error:
            if not (str(error).startswith("TRYAGAIN") or (repeatable and unknown(error))):
                raise
            time.sleep(0.02)


def main():
    mode, _, prefix, instance, addresses = sys.argv[1:]
    report("version", f"redis-py {redis.__version__}")
    if mode == "tour":
        tour(prefix, addresses.split(","))
    else:
        Work(prefix, instance, addresses.split(",")).run()
    report("done")


main()
