'use strict';
require('reflect-metadata');
const { DataSource, EntitySchema, MoreThan, Not, And } = require('typeorm');
const { database, item, tellItem, main } = require('./common');

const Item = new EntitySchema({
  name: 'items',
  columns: {
    id: { type: 'int', primary: true, generated: true },
    name: { type: 'varchar', length: 100, unique: true },
    price: { type: 'decimal', precision: 20, scale: 4, nullable: true },
    made: { type: 'datetime', precision: 3, nullable: true },
    data: { type: 'blob', nullable: true },
    note: { type: 'text', nullable: true },
  },
});
const Work = new EntitySchema({ name: 'work', columns: { id: { type: 'int', primary: true } } });
const Tally = new EntitySchema({ name: 'tally', columns: { id: { type: 'int', primary: true }, n: { type: 'int' } } });

class CreateItems1700000000000 {
  async up(runner) {
    await runner.query(`CREATE TABLE items (id INT NOT NULL AUTO_INCREMENT, name VARCHAR(100) NOT NULL, price DECIMAL(20,4),
      made DATETIME(3), data BLOB, note TEXT, PRIMARY KEY (id)) CHARACTER SET utf8mb4`);
    await runner.query('CREATE UNIQUE INDEX items_name ON items (name)');
  }

  async down(runner) { await runner.query('DROP TABLE items'); }
}

const open = (address, rest) => new DataSource({
  type: 'mariadb', ...address, username: 'app', password: 'app', database, timezone: 'Z', connectTimeout: 2000, entities: [Item, Work, Tally], ...rest,
}).initialize();

async function features(address) {
  const db = await open(address, { migrations: [CreateItems1700000000000] });
  await db.runMigrations();
  await db.undoLastMigration();
  await db.runMigrations();
  const items = db.getRepository(Item);
  const count = async (name) => console.log(`${name}=${await items.count()}`);
  const saved = await items.save({ ...item });
  console.log(`id=${saved.id}`);
  tellItem(await items.findOneByOrFail({ id: saved.id }));
  const updated = await items.update({ id: saved.id }, { note: 'sold' });
  console.log(`updated=${updated.affected}`);

  const save = (manager, name) => manager.getRepository(Item).save({ name });
  await db.transaction(async (manager) => {
    await save(manager, 'second');
    await save(manager, 'third');
  });
  await count('committed');
  await db.transaction(async (manager) => {
    await save(manager, 'never');
    throw new Error('never');
  }).catch(() => {});
  await count('rolledback');
  await db.transaction('SERIALIZABLE', async (manager) => {
    await save(manager, 'fourth');
    await manager.transaction(async (inner) => { // a savepoint
      await save(inner, 'never');
      throw new Error('never');
    }).catch(() => {});
  });
  await count('savepoint');
  await items.insert({ name: 'second' }).catch((err) => console.log(`duplicate=${err.driverError.errno}`));
  const names = await items.find({ where: { id: MoreThan(1), name: And(Not('third')) }, order: { name: 'ASC' } });
  console.log(`selected=${names.map((i) => i.name)}`);
  await items.delete({ name: 'fourth' });
  await count('left');
  await db.destroy();
}

async function connect(address) {
  const db = await open(address, {});
  return {
    unit: (i) => db.transaction(async (manager) => {
      await manager.getRepository(Work).insert({ id: i });
      await manager.getRepository(Tally).increment({ id: 1 }, 'n', 1);
    }),
    isThere: async (i) => await db.getRepository(Work).existsBy({ id: i }),
    close: () => db.destroy(),
  };
}

main(features, connect);
