'use strict';
const { Sequelize, DataTypes, Op } = require('sequelize');
const { database, item, tellItem, main } = require('./common');

const open = (address, pool = {}) => new Sequelize(database, 'app', 'app', {
  ...address, dialect: 'mysql', logging: false, pool, dialectOptions: { connectTimeout: 2000 }, define: { timestamps: false, charset: 'utf8mb4' },
});

async function features(address) {
  const db = open(address);
  const Item = db.define('item', {
    name: { type: DataTypes.STRING(100), allowNull: false, unique: 'items_name' },
    price: DataTypes.DECIMAL(20, 4),
    made: DataTypes.DATE(3),
    data: DataTypes.BLOB,
    note: DataTypes.TEXT,
  });
  const count = async (name) => console.log(`${name}=${await Item.count()}`);
  await db.sync();
  await db.sync({ alter: true }); // looks at the table and changes what differs
  const { id } = await Item.create(item);
  console.log(`id=${id}`);
  tellItem(await Item.findByPk(id));
  const [updated] = await Item.update({ note: 'sold' }, { where: { id } });
  console.log(`updated=${updated}`);

  await db.transaction(async (transaction) => {
    await Item.bulkCreate([{ name: 'second' }, { name: 'third' }], { transaction });
  });
  await count('committed');
  await db.transaction(async (transaction) => {
    await Item.create({ name: 'never' }, { transaction });
    throw new Error('never');
  }).catch(() => {});
  await count('rolledback');
  await db.transaction({ isolationLevel: 'READ COMMITTED' }, async (transaction) => {
    await Item.create({ name: 'fourth' }, { transaction });
    await db.transaction({ transaction }, async (inner) => { // a savepoint
      await Item.create({ name: 'never' }, { transaction: inner });
      throw new Error('never');
    }).catch(() => {});
  });
  await count('savepoint');
  await Item.create({ name: 'second' }).catch((err) => console.log(`duplicate=${err.original.errno}`));
  const names = await Item.findAll({ where: { id: { [Op.gt]: 1 }, name: { [Op.ne]: 'third' } }, order: ['name'] });
  console.log(`selected=${names.map((i) => i.name)}`);
  await Item.destroy({ where: { name: 'fourth' } });
  await count('left');
  await db.close();
}

async function connect(address) {
  const db = open(address, { max: 1 });
  const Work = db.define('work', { id: { type: DataTypes.INTEGER, primaryKey: true } }, { freezeTableName: true });
  const Tally = db.define('tally', { id: { type: DataTypes.INTEGER, primaryKey: true }, n: DataTypes.INTEGER }, { freezeTableName: true });
  return {
    unit: (i) => db.transaction(async (transaction) => {
      await Work.create({ id: i }, { transaction });
      await Tally.increment('n', { where: { id: 1 }, transaction });
    }),
    isThere: async (i) => await Work.findByPk(i) !== null,
    close: () => db.close(),
  };
}

main(features, connect);
