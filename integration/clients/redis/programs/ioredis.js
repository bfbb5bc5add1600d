// ioredis as an application uses it: node ioredis.js MODULE tour|work PROTOCOL PREFIX INSTANCE ADDRESS,...
'use strict';
const { expect, main, sleep, tour } = require('./protocol');

main(({ library: Redis, protocol, addresses }) => {
  // A client that goes on to the next address whenever it has lost the one it had. ioredis reads its options anew for
  // each connection.
  function client(options) {
    let turn = 0;
    const redis = new Redis({
      ...addresses[0], protocol, connectTimeout: 1000, maxRetriesPerRequest: null, ...options,
      retryStrategy(times) {
        Object.assign(redis.options, addresses[++turn % addresses.length]);
        return Math.min(times * 20, 500);
      },
    });
    redis.on('error', () => {}); // connections that are refused; commands have errors of their own
    return redis;
  }

  const lib = {
    persistent: () => client({}),
    // Without a time limit, the promises of what was on its way would never settle.
    careful: () => client({ autoResendUnfulfilledCommands: false, commandTimeout: 8000 }),
    async plain(redis, commands) {
      for (const command of commands) await redis.call(...command);
    },
    async pipeline(redis, commands) {
      for (const [error] of await queue(redis.pipeline(), commands).exec()) if (error) throw error;
    },
    async multi(redis, commands) {
      await queue(redis.multi(), commands).exec();
    },
    async watch(redis, [list, length], id) {
      for (;;) {
        await redis.watch(list);
        const n = await redis.llen(list);
        if (await redis.multi().rpush(list, id).set(length, n + 1).exec()) return;
      }
    },
    script(redis, lua, keys, args) {
      if (!redis.appendScript) redis.defineCommand('appendScript', { lua, numberOfKeys: keys.length });
      return redis.appendScript(...keys, ...args);
    },
    pop: async (redis, key) => (await redis.blpop(key, 1))?.[1] ?? null,
    group: (redis, stream) => redis.xgroup('CREATE', stream, 'workers', '0', 'MKSTREAM'),
    async readGroup(redis, stream, consumer, start) {
      const reply = await redis.xreadgroup('GROUP', 'workers', consumer, 'COUNT', 10, 'BLOCK', 500, 'STREAMS', stream, start);
      return reply ? reply[0][1].map(([id, fields]) => [id, fields[1]]) : [];
    },
    ack: (redis, stream, id) => redis.xack(stream, 'workers', id),
    subscribe(redis, channel, heard) {
      redis.on('message', (_, message) => heard(message));
      return redis.subscribe(channel);
    },
    publish: (redis, channel, message) => redis.publish(channel, message),
    tour: (p) => {
      const redis = lib.careful();
      return tour(p, ([name, ...args]) => redis.call(name, ...args), parts(redis, p, lib));
    },
  };
  return lib;
});

function queue(pipeline, commands) {
  for (const [name, ...args] of commands) pipeline.call(name, ...args);
  return pipeline;
}

function parts(redis, p, lib) {
  return [
    async function pipelines() {
      const pipe = redis.pipeline();
      for (let i = 0; i < 1000; i++) pipe.incr(`${p}:pipe`).get(`${p}:pipe`);
      const want = Array.from({ length: 1000 }, (_, i) => [[null, i + 1], [null, String(i + 1)]]).flat();
      expect('pipeline', await pipe.exec(), want);
      const [[error], [, value]] = await redis.pipeline().lpush(`${p}:pipe`, 'x').get(`${p}:pipe`).exec();
      expect('pipeline with an error', [error.message.slice(0, 9), value], ['WRONGTYPE', '1000']);
    },
    async function transactions() {
      expect('MULTI', await redis.multi().set(`${p}:t`, 1).incr(`${p}:t`).exec(), [[null, 'OK'], [null, 2]]);
      await redis.watch(`${p}:t`);
      await lib.careful().set(`${p}:t`, 21); // another client is faster
      expect('EXEC after a change', await redis.multi().incr(`${p}:t`).exec(), null);
      expect('EXEC', await redis.multi().incrby(`${p}:t`, 21).exec(), [[null, 42]]);
    },
    async function scripts() {
      await redis.script('FLUSH');
      redis.defineCommand('double', { numberOfKeys: 1, lua: "return redis.call('INCRBY', KEYS[1], ARGV[1] * 2)" });
      expect('EVALSHA after NOSCRIPT', [await redis.double(`${p}:d`, 1), await redis.double(`${p}:d`, 2)], [2, 6]);
      await redis.script('FLUSH');
      expect('script in a pipeline', await redis.pipeline().double(`${p}:d`, 1).exec(), [[null, 8]]);
    },
    async function blocking() {
      expect('BLPOP that times out', await redis.blpop(`${p}:blocked`, 0.2), null);
      const other = lib.careful();
      setTimeout(() => { other.zadd(`${p}:bz`, 1, 'm'); other.rpush(`${p}:blocked`, 'v'); }, 100);
      expect('BLPOP', await redis.blpop(`${p}:none`, `${p}:blocked`, 5), [`${p}:blocked`, 'v']);
      expect('BZPOPMIN', await redis.bzpopmin(`${p}:bz`, 5), [`${p}:bz`, 'm', '1']);
    },
    async function pubsub() {
      const sub = lib.careful();
      const heard = [];
      sub.on('message', (_, m) => heard.push(m)).on('pmessage', (_, __, m) => heard.push(m)).on('smessage', (_, m) => heard.push(m));
      await sub.subscribe(`${p}:ch`);
      await sub.psubscribe(`${p}:pat*`);
      await sub.ssubscribe(`${p}:shard`);
      await redis.publish(`${p}:ch`, 'one');
      await redis.publish(`${p}:patX`, 'two');
      await redis.spublish(`${p}:shard`, 'three');
      while (heard.length < 3) await sleep(10);
      expect('messages', heard, ['one', 'two', 'three']);
      sub.disconnect();
    },
    async function scans() {
      const keys = Array.from({ length: 500 }, (_, i) => `${p}:scan:${i}`);
      await redis.mset(keys.flatMap((key) => [key, 'v']));
      const found = new Set();
      for await (const page of redis.scanStream({ match: `${p}:scan:*`, count: 50 })) page.forEach((key) => found.add(key));
      expect('SCAN', found.size, 500);
    },
    async function groups() {
      await redis.xgroup('CREATE', `${p}:g`, 'g', '$', 'MKSTREAM');
      const ids = [await redis.xadd(`${p}:g`, '*', 'n', 0), await redis.xadd(`${p}:g`, '*', 'n', 1)];
      const [[, entries]] = await redis.xreadgroup('GROUP', 'g', 'c', 'BLOCK', 1000, 'STREAMS', `${p}:g`, '>');
      expect('XREADGROUP', entries, ids.map((id, i) => [id, ['n', String(i)]]));
      expect('XPENDING', (await redis.xpending(`${p}:g`, 'g'))[0], 2);
      expect('XAUTOCLAIM', (await redis.xautoclaim(`${p}:g`, 'g', 'other', 0, '0'))[1].map(([id]) => id), ids);
      expect('XACK', await redis.xack(`${p}:g`, 'g', ...ids), 2);
    },
    async function large() {
      const value = Buffer.alloc(8 << 20, '\r\n\0x');
      await redis.set(`${p}:large`, value);
      expect('8 MB', (await redis.getBuffer(`${p}:large`)).equals(value), true);
      await redis.del(`${p}:large`);
    },
  ];
}
