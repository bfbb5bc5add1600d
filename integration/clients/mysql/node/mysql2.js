'use strict';
const mysql = require('mysql2/promise');
const { database, item, tellItem, main } = require('./common');

const options = (address) => ({ ...address, database, user: 'app', password: 'app', timezone: 'Z', connectTimeout: 2000 });

async function features(address) {
  const pool = mysql.createPool({ ...options(address), resetOnRelease: true });
  const count = async (name) => {
    const [[row]] = await pool.query('SELECT COUNT(*) AS n FROM items');
    console.log(`${name}=${row.n}`);
  };
  const insert = 'INSERT INTO items (name) VALUES (?)';
  await pool.query(`CREATE TABLE items (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(100) NOT NULL UNIQUE, price DECIMAL(20,4),
    made DATETIME(3), data BLOB, note TEXT) CHARACTER SET utf8mb4`);
  const [created] = await pool.execute('INSERT INTO items (name, price, made, data) VALUES (?, ?, ?, ?)', [item.name, item.price, item.made, item.data]);
  console.log(`id=${created.insertId}`);
  const [[got]] = await pool.execute('SELECT * FROM items WHERE id=?', [created.insertId]);
  tellItem(got);
  const [updated] = await pool.execute("UPDATE items SET note='sold' WHERE id=?", [1]);
  console.log(`updated=${updated.affectedRows}`);

  const connection = await pool.getConnection();
  await connection.beginTransaction();
  await connection.execute(insert, ['second']);
  await connection.execute(insert, ['third']);
  await connection.commit();
  await count('committed');
  await connection.beginTransaction();
  await connection.execute(insert, ['never']);
  await connection.rollback();
  await count('rolledback');
  await connection.beginTransaction();
  await connection.query(insert, ['fourth']);
  await connection.query('SAVEPOINT s');
  await connection.query(insert, ['never']);
  await connection.query('ROLLBACK TO s');
  await connection.commit();
  await count('savepoint');
  connection.release();
  await pool.execute(insert, ['second']).catch((err) => console.log(`duplicate=${err.errno}`));
  const [names] = await pool.execute('SELECT name FROM items WHERE id>? AND name<>? ORDER BY name', [1, 'third']);
  console.log(`selected=${names.map((r) => r.name)}`);
  await pool.query('DELETE FROM items WHERE name=?', ['fourth']);
  await count('left');
  await pool.end();
}

async function connect(address) {
  const c = await mysql.createConnection(options(address));
  c.on('error', () => {}); // the next command tells
  return {
    async unit(i) {
      await c.beginTransaction();
      await c.execute('INSERT INTO work VALUES (?)', [i]);
      await c.execute('UPDATE tally SET n=n+1 WHERE id=1');
      await c.commit();
    },
    async isThere(i) {
      const [[row]] = await c.execute('SELECT COUNT(*) AS n FROM work WHERE id=?', [i]);
      return row.n === 1;
    },
    async close() { c.destroy(); },
  };
}

main(features, connect);
