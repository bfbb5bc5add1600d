"""RQ: what an application does with a queue, its jobs and its workers."""
import datetime
import itertools
import sys
import threading
import time

import jobs
import redis
import rq
from protocol import expect, report, stopped
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry


def connections(addresses):
    for address in addresses:
        host, port = address.split(":")
        yield redis.Redis(host=host, port=int(port))


def work(connection, name, most=None):
    """Does the jobs that are there, as a worker process would."""
    worker = rq.SimpleWorker([rq.Queue(name, connection=connection)], connection=connection)
    worker.work(burst=True, max_jobs=most, logging_level="CRITICAL")
    return worker


def tour(prefix, addresses):
    """A producer at the first node, a worker at the next one, and somebody who looks at the last."""
    nodes = list(connections(addresses))
    here, there, elsewhere = nodes[0], nodes[1 % len(nodes)], nodes[2 % len(nodes)]
    name = f"{prefix}-rq"
    queue = rq.Queue(name, connection=here)

    job = queue.enqueue(jobs.add, 2, 3)
    expect("queued", [queue.count, Job.fetch(job.id, connection=elsewhere).get_status()], [1, JobStatus.QUEUED])
    work(there, name)
    expect("result", [job.refresh(), job.result, job.get_status()], [None, 5, JobStatus.FINISHED])
    expect("finished", FinishedJobRegistry(name, connection=elsewhere).get_job_ids(), [job.id])
    report("did", "jobs")

    many = queue.enqueue_many([rq.Queue.prepare_data(jobs.add, (n, n)) for n in range(50)])
    work(there, name)
    expect("results", [Job.fetch(j.id, connection=elsewhere).result for j in many], [2 * n for n in range(50)])
    report("did", "many jobs")

    broken = queue.enqueue(jobs.fail, "broken", retry=rq.Retry(max=2))
    dependent = queue.enqueue(jobs.add, 1, 1, depends_on=broken)
    work(there, name)
    expect("failed", [FailedJobRegistry(name, connection=elsewhere).get_job_ids(), dependent.get_status()],
           [[broken.id], JobStatus.DEFERRED])
    expect("failure", "ValueError: broken" in broken.exc_info, True)
    report("did", "failures and retries")

    first = queue.enqueue(jobs.add, 1, 2)
    second = queue.enqueue(jobs.add, 3, 4, depends_on=first)
    expect("deferred", second.get_status(), JobStatus.DEFERRED)
    work(there, name)
    expect("after the first", [Job.fetch(second.id, connection=elsewhere).result], [7])
    report("did", "dependencies")

    later = queue.enqueue_in(datetime.timedelta(hours=1), jobs.add, 1, 1)
    expect("scheduled", list(ScheduledJobRegistry(name, connection=elsewhere).get_job_ids()), [later.id])
    later.cancel()
    expect("canceled", later.get_status(), JobStatus.CANCELED)
    gone = queue.enqueue(jobs.add, 1, 1)
    gone.delete()
    expect("empty", [queue.count, Job.exists(gone.id, connection=elsewhere)], [0, False])
    kept = queue.enqueue(jobs.add, 1, 1, result_ttl=0)
    work(there, name)
    expect("no result kept", Job.exists(kept.id, connection=elsewhere), False)
    report("did", "schedule, cancel, delete")


def produce(connection, name, instance, stop):
    """Adds jobs. What may have been added is not added again."""
    queue = rq.Queue(name, connection=connection)
    for n in itertools.count():
        if stop.is_set():
            return
        try:
            queue.enqueue(jobs.add, n, 1, job_id=f"{instance}-{n}")
            report("ack", "job", id=f"{instance}-{n}")
        except redis.RedisError as error:
            report("unknown", "job", id=f"{instance}-{n}", error=str(error))
        time.sleep(0.02)


def consume(connection, name, stop):
    """A worker that is started again when an error ends it, as supervisors do."""
    while not stop.is_set():
        try:
            work(connection, name, 10)
            for id in FinishedJobRegistry(name, connection=connection).get_job_ids():
                if id not in seen:
                    seen.add(id)
                    report("took", "job", id=id)
        except redis.RedisError as error:
            report("failed", "job", error=str(error))
        time.sleep(0.02)


seen = set()


def keep_working(prefix, addresses):
    name, stop = f"{prefix}-rq", stopped()
    threads = []
    for i, connection in enumerate(connections(addresses)):
        threads.append(threading.Thread(target=produce, args=(connection, name, str(i), stop)))
    for t in threads:
        t.start()
    # A worker has to be the main thread, for its signals. It stays with one node: the last.
    consume(list(connections(addresses))[-1], name, stop)
    for t in threads:
        t.join()


def main():
    mode, _, prefix, _, addresses = sys.argv[1:]
    report("version", f"RQ {rq.__version__}")
    {"tour": tour, "work": keep_working}[mode](prefix, addresses.split(","))
    report("done")


main()
