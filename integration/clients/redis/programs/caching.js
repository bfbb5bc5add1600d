// node-redis with a client-side cache: what it has cached is forgotten when others change it, through whichever node.
'use strict';
const { isDeepStrictEqual } = require('util');
const { expect, report, sleep } = require('./protocol');

const [library, mode, , prefix, , addresses] = process.argv.slice(2);
const { createClient, BasicClientSideCache } = require(library);
const urls = addresses.split(',').map((a) => `redis://${a}`);

// What waits for a connection is given up: node-redis would keep the reply to it although it is told that the key changed.
async function connect(url, clientSideCache) {
  const client = createClient({ url, RESP: 3, clientSideCache, disableOfflineQueue: true, socket: { reconnectStrategy: 50 } });
  client.on('error', () => {}); // it connects again by itself
  await client.connect();
  return client;
}

// eventually waits until get gives what is wanted.
async function eventually(what, get, want) {
  for (const deadline = Date.now() + 30000; ; await sleep(1)) {
    const got = await get();
    if (isDeepStrictEqual(got, want)) return;
    if (Date.now() > deadline) expect(what, got, want);
  }
}

async function tour() {
  const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 0, evictPolicy: 'LRU' });
  const client = await connect(urls[0], cache);
  const other = await connect(urls[1 % urls.length]);
  const [key, hash] = [`${prefix}:key`, `${prefix}:hash`];

  await other.set(key, '1');
  expect('read', await client.get(key), '1');
  // Being told of the write that was read is no mistake: the next time it is in the cache.
  await eventually('from the cache', async () => [await client.get(key), cache.stats().hitCount > 0], ['1', true]);
  report('did', 'cached');

  await other.set(key, '2');
  await eventually('changed', () => client.get(key), '2');
  await other.eval("return redis.call('set', KEYS[1], '3')", { keys: [key] });
  await eventually('changed by a script', () => client.get(key), '3');
  await other.multi().incr(key).hSet(hash, 'field', 'value').exec();
  await eventually('changed in a transaction', () => client.get(key), '4');
  expect('hash', { ...(await client.hGetAll(hash)) }, { field: 'value' });
  await other.hDel(hash, 'field');
  await eventually('deleted', async () => ({ ...(await client.hGetAll(hash)) }), {});
  report('did', 'invalidated');

  await other.set(key, '5', { PX: 100 });
  await eventually('set to expire', async () => ['5', null].includes(await client.get(key)), true);
  await eventually('expired', () => client.get(key), null);
  report('did', 'expired');

  await client.set(key, '6');
  expect('own', await client.get(key), '6');
  await other.set(key, '7');
  await eventually('changed after its own', () => client.get(key), '7');
  report('did', 'own writes');
  for (const c of [client, other]) await c.close();
}

// work counts up keys at all nodes, each through one client, and reads them through caches at all others. In the end every
// cache has what was written last.
async function work() {
  const end = new Promise((resolve) => process.stdin.resume().on('end', resolve));
  let stop = false;
  end.then(() => { stop = true; });
  const caches = urls.map(() => new BasicClientSideCache({ ttl: 0, maxEntries: 0, evictPolicy: 'LRU' }));
  const readers = await Promise.all(urls.map((url, i) => connect(url, caches[i])));
  const writers = await Promise.all(urls.map((url) => connect(url)));
  const key = (i) => `${prefix}:count${i}`;
  const write = async (i) => {
    for (let n = 1; !stop; n++) {
      await writers[i].set(key(i), `${n}`).then(() => report('ack', 'count', { id: `${i}-${n}` }), () => sleep(20));
      await sleep(5);
    }
  };
  const read = async (r) => {
    while (!stop) {
      for (let i = 0; i < urls.length; i++) await readers[r].get(key(i)).catch(() => {});
      await sleep(1);
    }
  };
  await Promise.all(urls.flatMap((_, i) => [write(i), read(i)]));
  for (const [r, reader] of readers.entries()) {
    for (let i = 0; i < urls.length; i++) {
      const truth = await writers[(i + 1) % urls.length].sendCommand(['GET', key(i)]);
      await eventually(`the cache at node ${r} of what was written at node ${i}`, () => reader.get(key(i)).catch(String), truth);
    }
    const { hitCount, missCount } = caches[r].stats();
    if (hitCount === 0) throw new Error(`the cache at node ${r} was never used`);
    report('did', `${hitCount} hits and ${missCount} misses`);
  }
}

report('version', `${library} ${require(`${library}/package.json`).version}`);
(mode === 'tour' ? tour() : work()).then(
  () => { report('done'); process.exit(0); },
  (error) => { report('error', '', { error: error.stack }); process.exit(1); },
);
