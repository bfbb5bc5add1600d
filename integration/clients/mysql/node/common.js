// What the programs of this folder share: see ../doc.go for what each does.
'use strict';

const database = process.env.NEXUS_DATABASE;
const addresses = (process.env.NEXUS_ADDRESSES || `${process.env.NEXUS_HOST}:${process.env.NEXUS_PORT}`)
  .split(',').map((a) => ({ host: a.split(':')[0], port: Number(a.split(':')[1]) }));

const item = {
  name: "naïve 😀 it's",
  price: '1234567890123456.7891',
  made: new Date(Date.UTC(2024, 1, 29, 12, 34, 56, 123)),
  data: Buffer.from([0, 0xff, 0x27, 0x5c, 0x0a]),
};

function tellItem(got) {
  const made = got.made instanceof Date ? got.made.toISOString().replace('T', ' ').replace('Z', '') : got.made;
  console.log(`name=${got.name}\nprice=${got.price}\nmade=${made}\ndata=${got.data.toString('hex')}\nnote=${got.note ?? 'null'}`);
}

// work does units of work until all are done. connect returns { unit(i), isThere(i), close() }.
async function work(connect) {
  let at = 0;
  let db;
  const drop = async () => {
    const old = db;
    db = undefined;
    try {
      if (old) await old.close();
    } catch { /* it is lost anyway */ }
  };
  for (let i = 1; i <= Number(process.env.NEXUS_COUNT); i++) {
    for (let there = false; !there;) {
      try {
        db ??= await connect(addresses[at]);
        await db.unit(i);
        break;
      } catch {
        await drop();
      }
      for (;;) {
        try {
          db ??= await connect(addresses[at]);
          there = await db.isThere(i);
          break;
        } catch {
          await drop();
          at = (at + 1) % addresses.length;
          await new Promise((done) => { setTimeout(done, 50); });
        }
      }
    }
    console.log(`done ${i}`);
  }
  await drop();
}

function main(features, connect) {
  const run = { features: () => features(addresses[0]), work: () => work(connect) }[process.argv[2]];
  run().then(() => process.exit(0), (err) => { console.error(err); process.exit(1); });
}

module.exports = { database, item, tellItem, main };
