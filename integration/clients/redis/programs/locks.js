// Applications of two libraries, rate-limiter-flexible and redlock: node locks.js tour|work PROTOCOL PREFIX INSTANCE ADDRESS,...
'use strict';
const Redis = require('ioredis');
const Redlock = require('redlock');
const { RateLimiterRedis } = require('rate-limiter-flexible');
const { again, expect, report, sleep } = require('./protocol');

const [mode, , prefix, instance, list] = process.argv.slice(2);
const addresses = list.split(',').map((a) => ({ host: a.split(':')[0], port: Number(a.split(':')[1]) }));

function client() {
  let turn = 0;
  const redis = new Redis({
    ...addresses[0], autoResendUnfulfilledCommands: false, commandTimeout: 8000, maxRetriesPerRequest: null,
    retryStrategy(times) {
      Object.assign(redis.options, addresses[++turn % addresses.length]);
      return Math.min(times * 20, 500);
    },
  });
  redis.on('error', () => {}); // connections that are refused; commands have errors of their own
  return redis;
}

const limiter = (options) => new RateLimiterRedis({ storeClient: client(), keyPrefix: prefix, ...options });

// consume takes a point of the limiter: true, false if there is none left, or null if it is not known.
async function consume(limit, key) {
  try {
    await limit.consume(key);
    return true;
  } catch (refused) {
    return refused instanceof Error ? null : false;
  }
}

async function tour() {
  const limit = limiter({ points: 5, duration: 1 });
  const answers = [];
  for (let i = 0; i < 7; i++) answers.push(await consume(limit, 'user'));
  expect('5 of 7', answers, [true, true, true, true, true, false, false]);
  await sleep(1100);
  expect('in the next second', await consume(limit, 'user'), true);
  report('did', 'rate limit');

  const [first, second] = [new Redlock([client()], { retryCount: 0 }), new Redlock([client()], { retryCount: 100, retryDelay: 20 })];
  const lock = await first.lock(`${prefix}:lock`, 500);
  expect('a taken lock', await first.lock(`${prefix}:lock`, 500).catch((error) => error.name), 'LockError');
  await lock.extend(800);
  const begin = Date.now();
  const next = await second.lock(`${prefix}:lock`, 500);
  expect('a lock that ran out', Date.now() - begin >= 700, true);
  await next.unlock();
  await (await first.lock(`${prefix}:lock`, 500)).unlock();
  report('did', 'redlock');
}

// work takes points of a limit that is never renewed, and adds to a counter that only the lock protects, until standard
// input ends.
async function work() {
  let stop = false;
  process.stdin.resume().on('end', () => { stop = true; });
  const limit = limiter({ points: 300, duration: 3600 });
  const locks = new Redlock([client()], { retryCount: 1000, retryDelay: 10 });
  const db = client();

  async function limited() {
    for (let n = 0; !stop; n++) {
      const got = await consume(limit, 'all');
      report(got === null ? 'unknown' : 'ack', got === false ? 'refused' : 'limit', { id: `at${instance}-${n}` });
      await sleep(20);
    }
  }
  async function locked() {
    for (let n = 0; !stop; n++) {
      const id = `at${instance}-${n}`;
      try {
        const lock = await locks.lock(`${prefix}:lock`, 20000);
        const sum = Number(await again(() => db.get(`${prefix}:sum`), true));
        await again(() => db.set(`${prefix}:sum`, sum + 1), true);
        report('ack', 'lock', { id });
        await lock.unlock();
      } catch (error) { // the lock is not had, or runs out by itself
        report('unknown', 'lock', { id, error: error.message });
      }
      await sleep(5);
    }
  }
  await Promise.all([limited(), locked()]);
}

report('version', ['rate-limiter-flexible', 'redlock', 'ioredis'].map((m) => `${m} ${require(`${m}/package.json`).version}`).join(', '));
(mode === 'tour' ? tour() : work()).then(
  () => { report('done'); process.exit(0); },
  (error) => { report('error', '', { error: error.stack }); process.exit(1); },
);
