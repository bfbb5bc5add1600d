#!/usr/bin/env bash
# The mariadb command line client as an application: see ../doc.go for what each program does.
set -euo pipefail

sql() { # HOST PORT [OPTION...]
  mariadb --no-defaults --host="$1" --port="$2" --user=app --password=app --batch --skip-column-names "${@:3}" "$NEXUS_DATABASE"
}

features() {
  here() { sql "$NEXUS_HOST" "$NEXUS_PORT" --default-character-set=utf8mb4 --raw "$@"; }
  here <<'SQL'
CREATE TABLE items (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(100) NOT NULL UNIQUE, price DECIMAL(20,4),
  made DATETIME(3), data BLOB, note TEXT) CHARACTER SET utf8mb4;
INSERT INTO items (name, price, made, data) VALUES ('naïve 😀 it''s', 1234567890123456.7891, '2024-02-29 12:34:56.123', x'00ff275c0a');
SELECT CONCAT('id=', LAST_INSERT_ID());
SELECT CONCAT('name=', name, '\nprice=', price, '\nmade=', made, '\ndata=', LOWER(HEX(data)), '\nnote=', IFNULL(note, 'null')) FROM items;
SQL
  here -vv -e "UPDATE items SET note='sold' WHERE id=1" | sed -n 's/^Query OK, \([0-9]*\) row.*/updated=\1/p'
  here <<'SQL'
BEGIN; INSERT INTO items (name) VALUES ('second'); INSERT INTO items (name) VALUES ('third'); COMMIT;
SELECT CONCAT('committed=', COUNT(*)) FROM items;
BEGIN; INSERT INTO items (name) VALUES ('never'); ROLLBACK;
SELECT CONCAT('rolledback=', COUNT(*)) FROM items;
BEGIN; INSERT INTO items (name) VALUES ('fourth'); SAVEPOINT s; INSERT INTO items (name) VALUES ('never');
ROLLBACK TO s; COMMIT;
SELECT CONCAT('savepoint=', COUNT(*)) FROM items;
SQL
  here -e "INSERT INTO items (name) VALUES ('second')" 2>&1 | sed -n 's/^ERROR \([0-9]*\) .*/duplicate=\1/p' || true
  here <<'SQL'
PREPARE p FROM 'SELECT CONCAT("selected=", GROUP_CONCAT(name ORDER BY name)) FROM items WHERE id>? AND name<>?';
SET @id=1, @name='third'; EXECUTE p USING @id, @name; DEALLOCATE PREPARE p;
DELETE FROM items WHERE name='fourth';
SELECT CONCAT('left=', COUNT(*)) FROM items;
SQL
}

work() {
  IFS=, read -ra addresses <<<"$NEXUS_ADDRESSES"
  local at=0
  ask() { sql "${addresses[at]%:*}" "${addresses[at]#*:}" --connect-timeout=2 2>/dev/null; }
  for ((i = 1; i <= NEXUS_COUNT; i++)); do
    until ask <<<"BEGIN; INSERT INTO work VALUES ($i); UPDATE tally SET n=n+1 WHERE id=1; COMMIT"; do
      until there=$(ask <<<"SELECT COUNT(*) FROM work WHERE id=$i"); do
        at=$(((at + 1) % ${#addresses[@]}))
        sleep 0.05
      done
      [[ $there == 1 ]] && break
    done
    echo "done $i"
  done
}

"$1"
