// What the Node programs share: reports to the test, the two files that all programs work from, and the loops of
// "work", which are the same for each library. A library brings the operations.
'use strict';
const fs = require('fs');
const path = require('path');
const { isDeepStrictEqual } = require('util');
const { setTimeout: sleep } = require('timers/promises');

const report = (event, name = '', more = {}) => fs.writeSync(1, JSON.stringify({ event, name, ...more }) + '\n');
const table = (name) => JSON.parse(fs.readFileSync(path.join(__dirname, name), 'utf8'));

// fill replaces {p} and the like in all strings of a value.
function fill(value, names) {
  if (Array.isArray(value)) return value.map((v) => fill(v, names));
  if (typeof value !== 'string') return value;
  return Object.entries(names).reduce((text, [name, v]) => text.replaceAll(`{${name}}`, v), value);
}

// flat gives a reply as a list of texts, in whichever protocol it came.
function flat(reply) {
  if (reply === null) return [null];
  if (Array.isArray(reply)) return reply.flatMap(flat);
  if (reply instanceof Map) return [...reply].flat().flatMap(flat);
  if (reply instanceof Set) return [...reply].flatMap(flat).sort();
  if (typeof reply === 'object') return Object.entries(reply).flat().flatMap(flat);
  if (reply === Infinity) return ['inf'];
  return [String(reply)];
}

function expect(what, got, want) {
  if (!isDeepStrictEqual(got, want)) throw new Error(`${what}: ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

// tour sends the commands of tour.json with call, then goes through parts, which use the library's own interface.
async function tour(p, call, parts) {
  for (const [part, steps] of table('tour.json')) {
    for (const [command, want] of fill(steps, { p })) expect(command, flat(await call(command)), flat(want));
    report('did', part);
  }
  for (const part of parts) {
    await part();
    report('did', part.name);
  }
}

// unknown tells whether a command may have been executed although it failed.
const unknown = (error) => error.message.startsWith('UNKNOWNOUTCOME') || !/^[A-Z]+ /.test(error.message);

// again asks again what was not done, and what may be done twice also when that is not known.
async function again(f, repeatable) {
  for (;;) {
    try {
      return await f();
    } catch (error) {
      if (!error.message.startsWith('TRYAGAIN') && !(repeatable && unknown(error))) throw error;
      await sleep(20);
    }
  }
}

// work produces effects with ids and consumes them until the test closes standard input. lib has
//   persistent(), careful()           new clients: for what may be done twice, and for what may not
//   plain, pipeline, multi(client, commands), watch(client, [list, length], id), script(client, lua, keys, args)
//   pop(client, key)                  an element, or null after a second
//   group(client, stream), readGroup(client, stream, consumer, start) -> [[id, text]], ack(client, stream, id)
//   subscribe(client, channel, heard), publish(client, channel, text)
async function work(lib, p, instance) {
  const end = new Promise((resolve) => process.stdin.resume().on('end', resolve));
  let stop = false;
  let drain = false;
  end.then(() => { stop = true; });

  async function produce(effect) {
    const client = await (effect.repeatable ? lib.persistent() : lib.careful());
    const once = (id) => {
      const { commands, keys } = Object.fromEntries(Object.entries(effect).map(([k, v]) => [k, fill(v, { p, id })]));
      switch (effect.how) {
        case 'watch': return lib.watch(client, keys, id);
        case 'script': return lib.script(client, effect.script, keys, [id]);
        default: return lib[effect.how || 'plain'](client, commands);
      }
    };
    for (let n = 0; !stop; n++) {
      const id = `${instance}-${n}`;
      try {
        await again(() => once(id), effect.repeatable);
        report('ack', effect.name, { id });
      } catch (error) {
        if (!unknown(error)) throw error;
        report('unknown', effect.name, { id, error: error.message });
      }
      await sleep(10);
    }
  }

  async function pop() {
    const client = await lib.careful();
    for (;;) {
      try {
        const id = await again(() => lib.pop(client, `${p}:queue`));
        if (id !== null) report('took', 'queue', { id });
        else if (drain) return;
      } catch (error) {
        if (!unknown(error)) throw error;
        report('failed', 'queue', { error: error.message });
      }
    }
  }

  async function readGroup() {
    const client = await lib.persistent();
    for (;;) {
      let read = 0;
      for (const start of ['0', '>']) { // what was delivered and not acknowledged, then what is new
        const entries = await again(() => lib.readGroup(client, `${p}:stream`, instance, start), true);
        for (const [entry, id] of entries) {
          await again(() => lib.ack(client, `${p}:stream`, entry), true);
          report('took', 'stream', { id });
        }
        read += entries.length;
      }
      if (!read && drain) return;
    }
  }

  async function listen() {
    const last = `${instance}-end`;
    const [subscriber, publisher] = [await lib.persistent(), await lib.persistent()];
    let done = false;
    await again(() => lib.subscribe(subscriber, `${p}:news`, (id) => {
      if (id === last) done = true;
      else report('took', 'news', { id });
    }), true);
    while (!done) {
      if (drain) await again(() => lib.publish(publisher, `${p}:news`, last), true);
      await sleep(100);
    }
  }

  const setup = await lib.persistent();
  await again(() => lib.group(setup, `${p}:stream`).catch((error) => {
    if (!error.message.startsWith('BUSYGROUP')) throw error;
  }), true);
  const producers = Promise.all(table('effects.json').effects.map(produce));
  const consumers = Promise.all([pop(), readGroup(), listen()]);
  await Promise.race([producers, consumers]);
  await producers;
  drain = true;
  await consumers;
}

// main runs lib.tour or work, reports how it ended, and ends the process whatever is still connected.
function main(makeLib) {
  const [module, mode, protocol, prefix, instance, addresses] = process.argv.slice(2);
  const lib = makeLib({
    library: require(module), protocol: Number(protocol), addresses: addresses.split(',').map((a) => {
      const [host, port] = a.split(':');
      return { host, port: Number(port) };
    }),
  });
  report('version', `${module} ${require(`${module}/package.json`).version}`);
  (mode === 'tour' ? lib.tour(prefix) : work(lib, prefix, instance)).then(
    () => { report('done'); process.exit(0); },
    (error) => { report('error', '', { error: error.stack }); process.exit(1); },
  );
}

module.exports = { again, expect, main, report, sleep, tour };
