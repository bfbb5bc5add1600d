'use strict';
const knex = require('knex');
const { database, item, tellItem, main } = require('./common');

const migration = {
  async up(db) {
    await db.schema.createTable('items', (t) => {
      t.increments('id');
      t.string('name', 100).notNullable().unique();
      t.decimal('price', 20, 4);
      t.datetime('made', { precision: 3 });
      t.binary('data');
      t.text('note');
    });
  },
  async down(db) { await db.schema.dropTable('items'); },
};
const migrations = {
  migrationSource: { getMigrations: async () => ['items'], getMigrationName: (name) => name, getMigration: async () => migration },
};

const open = (address) => knex({
  client: 'mysql2', migrations, pool: { min: 0, max: 2 }, acquireConnectionTimeout: 3000,
  connection: { ...address, database, user: 'app', password: 'app', timezone: 'Z', charset: 'utf8mb4', connectTimeout: 2000 },
});

async function features(address) {
  const db = open(address);
  await db.migrate.latest(); // which locks out others
  await db.migrate.rollback();
  await db.migrate.latest();
  const count = async (name) => console.log(`${name}=${(await db('items').count('* as n').first()).n}`);
  const [id] = await db('items').insert(item);
  console.log(`id=${id}`);
  tellItem(await db('items').where({ id }).first());
  console.log(`updated=${await db('items').where({ id }).update({ note: 'sold' })}`);

  await db.transaction((trx) => trx('items').insert([{ name: 'second' }, { name: 'third' }]));
  await count('committed');
  await db.transaction(async (trx) => {
    await trx('items').insert({ name: 'never' });
    throw new Error('never');
  }).catch(() => {});
  await count('rolledback');
  await db.transaction(async (trx) => {
    await trx('items').insert({ name: 'fourth' });
    await trx.transaction(async (inner) => { // a savepoint
      await inner('items').insert({ name: 'never' });
      throw new Error('never');
    }).catch(() => {});
  });
  await count('savepoint');
  await db('items').insert({ name: 'second' }).catch((err) => console.log(`duplicate=${err.errno}`));
  const names = await db('items').where('id', '>', 1).whereNot('name', 'third').orderBy('name').pluck('name');
  console.log(`selected=${names}`);
  await db('items').where({ name: 'fourth' }).delete();
  await count('left');
  await db.destroy();
}

async function connect(address) {
  const db = open(address);
  return {
    unit: (i) => db.transaction(async (trx) => {
      await trx('work').insert({ id: i });
      await trx('tally').where({ id: 1 }).increment('n', 1);
    }),
    isThere: async (i) => (await db('work').where({ id: i })).length === 1,
    close: () => db.destroy(),
  };
}

main(features, connect);
