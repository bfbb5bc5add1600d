"""Celery with Redis as broker and for the results."""
import itertools
import sys
import threading
import time

import celery
from celery import chain, chord, group
from celery.contrib.testing.worker import start_worker
from protocol import expect, report, stopped


def application(prefix, *addresses):
    app = celery.Celery(prefix, broker=[f"redis://{a}/2" for a in addresses], backend=f"redis://{addresses[0]}/3", set_as_current=False)
    app.conf.update(task_default_queue=prefix, broker_connection_retry_on_startup=True, result_expires=60,
                    worker_hijack_root_logger=False, broker_transport_options={"global_keyprefix": prefix + ":"})

    @app.task(name="add")
    def add(a, b):
        return a + b

    @app.task(name="total")
    def total(values):
        return sum(values)

    @app.task(name="stumble", bind=True, max_retries=3, default_retry_delay=0.05)
    def stumble(self, times):
        if self.request.retries < times:
            raise self.retry()
        return self.request.retries

    @app.task(name="fail")
    def fail(text):
        raise ValueError(text)

    return app


def tour(prefix, addresses):
    """A producer at the first node and a worker at the next one."""
    name = f"{prefix}-celery"
    here, there = application(name, addresses[0]), application(name, addresses[1 % len(addresses)])
    tasks = {task: here.tasks[task] for task in ("add", "total", "stumble", "fail")}
    with start_worker(there, pool="solo", perform_ping_check=False, loglevel="critical", shutdown_timeout=30):
        expect("result", tasks["add"].delay(2, 3).get(timeout=30), 5)
        report("did", "tasks")
        expect("results", group(tasks["add"].s(n, n) for n in range(30))().get(timeout=30), [2 * n for n in range(30)])
        report("did", "group")
        expect("chain", chain(tasks["add"].s(1, 2), tasks["add"].s(3))().get(timeout=30), 6)
        expect("chord", chord((tasks["add"].s(n, 1) for n in range(10)), tasks["total"].s())().get(timeout=30), 55)
        report("did", "chain and chord")
        expect("retries", tasks["stumble"].delay(2).get(timeout=30), 2)
        begun = time.monotonic()
        expect("countdown", tasks["add"].apply_async((1, 1), countdown=0.5).get(timeout=30), 2)
        expect("after the countdown", time.monotonic() - begun >= 0.5, True)
        report("did", "retries and countdown")
        failed = tasks["fail"].delay("broken")
        try:
            failed.get(timeout=30)
            expect("no failure", True, False)
        except ValueError as error:
            expect("failure", [str(error), failed.status], ["broken", "FAILURE"])
        failed.forget()
        report("did", "failures")


def keep_working(prefix, addresses):
    """A worker that knows all nodes, and a producer at each."""
    name, stop = f"{prefix}-celery", stopped()
    worker = application(name, *addresses)

    @worker.task(name="took", acks_late=True)
    def took(id):
        report("took", "task", id=id)

    def produce(i, address):
        app = application(name, address)
        for n in itertools.count():
            if stop.is_set():
                return
            try:
                app.send_task("took", (f"{i}-{n}",), retry=False, ignore_result=True)
                report("ack", "task", id=f"{i}-{n}")
            except Exception as error:  # whatever Celery makes of it
                report("unknown", "task", id=f"{i}-{n}", error=repr(error))
            time.sleep(0.02)

    threads = [threading.Thread(target=produce, args=(i, a)) for i, a in enumerate(addresses)]
    for t in threads:
        t.start()
    with start_worker(worker, pool="solo", perform_ping_check=False, loglevel="critical", shutdown_timeout=30):
        stop.wait()
    for t in threads:
        t.join()


def main():
    mode, _, prefix, _, addresses = sys.argv[1:]
    report("version", f"Celery {celery.__version__}")
    {"tour": tour, "work": keep_working}[mode](prefix, addresses.split(","))
    report("done")


main()
