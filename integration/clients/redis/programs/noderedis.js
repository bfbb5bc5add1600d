// node-redis as an application uses it: node noderedis.js MODULE tour|work PROTOCOL PREFIX INSTANCE ADDRESS,...
'use strict';
const { expect, main, sleep, tour } = require('./protocol');

main(({ library: redis, protocol, addresses }) => {
  // A client stays with one address: node-redis knows no others. It sends nothing again that was on its way.
  function client(options = {}) {
    const socket = { ...addresses[0], connectTimeout: 1000, reconnectStrategy: (retries) => Math.min(retries * 20, 500) };
    const c = redis.createClient({ socket, RESP: protocol, ...options });
    c.on('error', () => {}); // connections that are refused; commands have errors of their own
    return c.connect();
  }

  const lib = {
    client,
    persistent: () => client(),
    careful: () => client(),
    async plain(c, commands) {
      for (const command of commands) await c.sendCommand(command);
    },
    pipeline: (c, commands) => Promise.all(commands.map((command) => c.sendCommand(command))),
    multi: (c, commands) => commands.reduce((multi, command) => multi.addCommand(command), c.multi()).exec(),
    async watch(c, [list, length], id) {
      for (;;) {
        await c.watch(list);
        const n = await c.lLen(list);
        try {
          await c.multi().rPush(list, id).set(length, String(n + 1)).exec();
          return;
        } catch (error) {
          if (!(error instanceof redis.WatchError)) throw error;
        }
      }
    },
    async script(c, lua, keys, args) {
      const sha = require('crypto').createHash('sha1').update(lua).digest('hex');
      try {
        return await c.evalSha(sha, { keys, arguments: args });
      } catch (error) {
        if (!error.message.startsWith('NOSCRIPT')) throw error;
        return c.eval(lua, { keys, arguments: args });
      }
    },
    pop: async (c, key) => (await c.blPop(key, 1))?.element ?? null,
    group: (c, stream) => c.xGroupCreate(stream, 'workers', '0', { MKSTREAM: true }),
    async readGroup(c, stream, consumer, start) {
      const reply = await c.xReadGroup('workers', consumer, { key: stream, id: start }, { COUNT: 10, BLOCK: 500 });
      return messagesOf(reply).map(({ id, message }) => [id, message.id]);
    },
    ack: (c, stream, id) => c.xAck(stream, 'workers', id),
    subscribe: (c, channel, heard) => c.subscribe(channel, heard),
    publish: (c, channel, message) => c.publish(channel, message),
    async tour(p) {
      const c = await client(doubling(redis));
      return tour(p, (command) => c.sendCommand(command), parts(c, p, lib, redis));
    },
  };
  return lib;
});

// messagesOf gives the messages of a stream: its reply is a list of streams, or an object of them in RESP3.
function messagesOf(reply) {
  if (!reply) return [];
  return Array.isArray(reply) ? reply[0].messages : Object.values(reply)[0];
}

function doubling(redis) {
  return {
    scripts: {
      double: redis.defineScript({
        NUMBER_OF_KEYS: 1,
        SCRIPT: "return redis.call('INCRBY', KEYS[1], ARGV[1] * 2)",
        parseCommand(parser, key, n) {
          parser.pushKey(key);
          parser.push(String(n));
        },
        transformReply: undefined,
      }),
    },
  };
}

function parts(c, p, lib, redis) {
  return [
    async function pipelines() {
      const replies = [];
      for (let i = 0; i < 1000; i++) replies.push(c.incr(`${p}:pipe`), c.get(`${p}:pipe`));
      expect('pipeline', await Promise.all(replies), Array.from({ length: 1000 }, (_, i) => [i + 1, String(i + 1)]).flat());
      const [push, get] = await Promise.allSettled([c.lPush(`${p}:pipe`, 'x'), c.get(`${p}:pipe`)]);
      expect('pipeline with an error', [push.reason.message.slice(0, 9), get.value], ['WRONGTYPE', '1000']);
    },
    async function transactions() {
      expect('MULTI', await c.multi().set(`${p}:t`, '1').incr(`${p}:t`).exec(), ['OK', 2]);
      const [mine, other] = [await lib.client(), await lib.client()];
      await mine.watch(`${p}:t`);
      await other.set(`${p}:t`, '21'); // another client is faster
      const failed = await mine.multi().incr(`${p}:t`).exec().catch((error) => error);
      expect('EXEC after a change', failed instanceof redis.WatchError, true);
      expect('EXEC', await mine.multi().incrBy(`${p}:t`, 21).exec(), [42]);
    },
    async function scripts() {
      await c.scriptFlush();
      expect('EVALSHA after NOSCRIPT', [await c.double(`${p}:d`, 1), await c.double(`${p}:d`, 2)], [2, 6]);
      expect('script in MULTI', await c.multi().double(`${p}:d`, 1).exec(), [8]);
    },
    async function blocking() {
      const waiting = await lib.client();
      expect('BLPOP that times out', await waiting.blPop(`${p}:blocked`, 0.2), null);
      setTimeout(() => { c.zAdd(`${p}:bz`, { score: 1, value: 'm' }); c.rPush(`${p}:blocked`, 'v'); }, 100);
      expect('BLPOP', { ...await waiting.blPop([`${p}:none`, `${p}:blocked`], 5) }, { key: `${p}:blocked`, element: 'v' });
      expect('BZPOPMIN', { ...await waiting.bzPopMin(`${p}:bz`, 5) }, { key: `${p}:bz`, value: 'm', score: 1 });
    },
    async function pubsub() {
      const sub = await lib.client();
      const heard = [];
      await sub.subscribe(`${p}:ch`, (m) => heard.push(m));
      await sub.pSubscribe(`${p}:pat*`, (m) => heard.push(m));
      await sub.sSubscribe(`${p}:shard`, (m) => heard.push(m));
      await c.publish(`${p}:ch`, 'one');
      await c.publish(`${p}:patX`, 'two');
      await c.sPublish(`${p}:shard`, 'three');
      while (heard.length < 3) await sleep(10);
      expect('messages', heard, ['one', 'two', 'three']);
      sub.destroy();
    },
    async function scans() {
      await c.mSet(Array.from({ length: 500 }, (_, i) => [`${p}:scan:${i}`, 'v']));
      const found = new Set();
      for await (const page of c.scanIterator({ MATCH: `${p}:scan:*`, COUNT: 50 })) page.forEach((key) => found.add(key));
      expect('SCAN', found.size, 500);
    },
    async function groups() {
      await c.xGroupCreate(`${p}:g`, 'g', '$', { MKSTREAM: true });
      const ids = [await c.xAdd(`${p}:g`, '*', { n: '0' }), await c.xAdd(`${p}:g`, '*', { n: '1' })];
      const reply = await c.xReadGroup('g', 'c', { key: `${p}:g`, id: '>' }, { BLOCK: 1000 });
      expect('XREADGROUP', messagesOf(reply).map(({ id, message }) => [id, message.n]), ids.map((id, i) => [id, String(i)]));
      expect('XPENDING', (await c.xPending(`${p}:g`, 'g')).pending, 2);
      expect('XAUTOCLAIM', (await c.xAutoClaim(`${p}:g`, 'g', 'other', 0, '0')).messages.map(({ id }) => id), ids);
      expect('XACK', await c.xAck(`${p}:g`, 'g', ids), 2);
    },
    async function large() {
      const value = 'x'.repeat(8 << 20);
      await c.set(`${p}:large`, value);
      expect('8 MB', (await c.get(`${p}:large`)) === value, true);
      await c.del(`${p}:large`);
    },
  ];
}
