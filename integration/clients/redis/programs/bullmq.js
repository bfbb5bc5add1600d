// An application of BullMQ: node bullmq.js tour|work PROTOCOL PREFIX INSTANCE ADDRESS,... Queue, flows and events are at
// one node, and a worker at each.
'use strict';
const { Queue, Worker, QueueEvents, FlowProducer } = require('bullmq');
const { version } = require('bullmq/package.json');
const { expect, report, sleep } = require('./protocol');

const [mode, , prefix, , addresses] = process.argv.slice(2);
const nodes = addresses.split(',').map((a) => ({ host: a.split(':')[0], port: Number(a.split(':')[1]) }));
const ignore = () => {}; // lost connections: BullMQ and ioredis go on by themselves

// node gives the connection of what is at the i-th node. It stays with that node, as in a deployment with one address.
const node = (i) => ({ connection: { ...nodes[i % nodes.length], maxRetriesPerRequest: null, retryStrategy: (n) => Math.min(n * 50, 500) } });

function workers(name, process, options = {}) {
  return nodes.map((_, i) => new Worker(name, process, { ...node(i), concurrency: 4, ...options }).on('error', ignore));
}

async function until(what, condition, patience = 20000) {
  for (const begin = Date.now(); !(await condition());) {
    if (Date.now() - begin > patience) throw new Error(`${what}: not within ${patience} ms`);
    await sleep(20);
  }
}

const parts = {
  async jobs(name, queue) {
    const done = [];
    const completed = new Set();
    const events = new QueueEvents(name, node(1));
    events.on('completed', ({ jobId }) => completed.add(jobId));
    await events.waitUntilReady();
    const running = workers(name, async (job) => { done.push(job.id); return job.data.n * 2; });
    await queue.addBulk(Array.from({ length: 50 }, (_, n) => ({ name: 'job', data: { n }, opts: { jobId: `j${n}` } })));
    const job = await queue.add('last', { n: 21 });
    expect('returned', await job.waitUntilFinished(events, 10000), 42);
    await until('50 jobs', () => completed.size === 51);
    expect('each job once', [done.length, new Set(done).size], [51, 51]);
    return { running, events };
  },
  async priorities(name, queue) {
    const order = [];
    for (const priority of [3, 1, 2]) await queue.add('p', priority, { priority });
    const running = [new Worker(name, async (job) => { order.push(job.data); }, { ...node(2), concurrency: 1 }).on('error', ignore)];
    await until('3 jobs', () => order.length === 3);
    expect('order', order, [1, 2, 3]);
    return { running };
  },
  async delays(name, queue) {
    const begun = [];
    const running = workers(name, async (job) => { begun.push([job.data, Date.now() - job.timestamp]); });
    for (const delay of [600, 100, 300]) await queue.add('d', delay, { delay });
    await until('3 jobs', () => begun.length === 3);
    expect('order', begun.map(([delay]) => delay), [100, 300, 600]);
    expect('too early', begun.filter(([delay, after]) => after < delay - 2), []);
    return { running };
  },
  async retries(name, queue) {
    let tries = 0;
    const running = workers(name, async () => { if (++tries < 3) throw new Error('again'); });
    const job = await queue.add('r', {}, { attempts: 3, backoff: { type: 'exponential', delay: 50 } });
    await until('success', async () => (await queue.getJobState(job.id)) === 'completed');
    expect('tries', tries, 3);
    return { running };
  },
  async schedulers(name, queue) {
    const at = [];
    const running = workers(name, async () => { at.push(Date.now()); });
    await queue.upsertJobScheduler('tick', { every: 200, limit: 4 }, { name: 'tick' });
    await until('4 ticks', () => at.length === 4);
    await sleep(500);
    expect('ticks', at.length, 4);
    return { running };
  },
  async limits(name, queue) {
    const at = [];
    const running = workers(name, async () => { at.push(Date.now()); }, { limiter: { max: 3, duration: 500 } });
    await queue.addBulk(Array.from({ length: 9 }, () => ({ name: 'l', data: {} })));
    await until('9 jobs', () => at.length === 9);
    expect('9 jobs take at least two pauses', at[8] - at[0] >= 900, true);
    return { running };
  },
  async flows(name) {
    const order = [];
    const flow = new FlowProducer(node(1));
    const running = workers(name, async (job) => {
      order.push(job.name);
      return job.name === 'parent' ? Object.values(await job.getChildrenValues()).reduce((a, b) => a + b) : job.data;
    });
    const { job } = await flow.add({ name: 'parent', queueName: name, children: [1, 2, 3].map((n) => ({ name: 'child', queueName: name, data: n })) });
    await until('the parent', async () => (await job.getState()) === 'completed');
    expect('order', order, ['child', 'child', 'child', 'parent']);
    await flow.close();
    return { running };
  },
};

async function tour() {
  for (const [part, run] of Object.entries(parts)) {
    const name = `${prefix}-${part}`;
    const queue = new Queue(name, node(0));
    const { running, events } = await run(name, queue);
    expect('failed jobs', await queue.getFailedCount(), 0);
    await Promise.all([...running, ...(events ? [events] : [])].map((w) => w.close()));
    await queue.close();
    report('did', part);
  }
}

// work adds jobs until standard input ends, while the workers at all nodes process them: an acknowledged job is
// processed at least once, and completed.
async function work() {
  const name = `${prefix}-work`;
  let stop = false;
  process.stdin.resume().on('end', () => { stop = true; });
  const running = workers(name, async (job) => {
    await sleep(5);
    report('took', 'job', { id: job.id });
  }, { lockDuration: 3000, stalledInterval: 1000, maxStalledCount: 100 });
  const queue = new Queue(name, node(1)).on('error', ignore);
  for (let n = 0; !stop; n++) {
    const jobId = `at-${n}`;
    try {
      await queue.add('job', {}, { jobId, delay: n % 5 ? 0 : 200, priority: n % 7 ? undefined : 3 });
      report('ack', 'job', { id: jobId });
    } catch (error) {
      report('unknown', 'job', { id: jobId, error: error.message });
    }
    await sleep(5);
  }
  await until('all jobs', async () => {
    const counts = await queue.getJobCounts('active', 'waiting', 'delayed', 'prioritized').catch(() => ({ unknown: 1 }));
    return Object.values(counts).every((n) => n === 0);
  }, 40000);
  expect('failed jobs', (await queue.getFailed()).map((job) => [job.id, job.failedReason]), []);
  for (const job of await queue.getCompleted()) report('completed', 'job', { id: job.id });
  await Promise.all(running.map((w) => w.close()));
  await queue.close();
}

report('version', `bullmq ${version}`);
(mode === 'tour' ? tour() : work()).then(
  () => { report('done'); process.exit(0); },
  (error) => { report('error', '', { error: error.stack }); process.exit(1); },
);
