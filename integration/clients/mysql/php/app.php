<?php
// PDO as an application: see ../doc.go for what each program does.

function connect(string $address, bool $emulate): PDO
{
    [$host, $port] = explode(':', $address);
    $dsn = "mysql:host=$host;port=$port;dbname=" . getenv('NEXUS_DATABASE') . ';charset=utf8mb4';
    return new PDO($dsn, 'app', 'app', [
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_EMULATE_PREPARES => $emulate, PDO::ATTR_TIMEOUT => 2,
    ]);
}

function tell(PDO $db, string $name): void
{
    echo "$name=", $db->query('SELECT COUNT(*) FROM items')->fetchColumn(), "\n";
}

function features(): void
{
    $address = getenv('NEXUS_HOST') . ':' . getenv('NEXUS_PORT');
    $db = connect($address, false);
    $db->exec('CREATE TABLE items (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(100) NOT NULL UNIQUE, price DECIMAL(20,4),
        made DATETIME(3), data BLOB, note TEXT) CHARACTER SET utf8mb4');
    $insert = $db->prepare('INSERT INTO items (name, price, made, data) VALUES (?, ?, ?, ?)');
    $insert->execute(["naïve 😀 it's", '1234567890123456.7891', '2024-02-29 12:34:56.123', "\x00\xff'\\\n"]);
    echo 'id=', $db->lastInsertId(), "\n";
    $row = $db->query('SELECT * FROM items')->fetch(PDO::FETCH_ASSOC);
    echo "name={$row['name']}\nprice={$row['price']}\nmade={$row['made']}\ndata=", bin2hex($row['data']), "\nnote=", $row['note'] ?? 'null', "\n";
    echo 'updated=', $db->exec("UPDATE items SET note='sold' WHERE id=1"), "\n";

    $insert = $db->prepare('INSERT INTO items (name) VALUES (:name)');
    $db->beginTransaction();
    $insert->execute(['name' => 'second']);
    $insert->execute(['name' => 'third']);
    $db->commit();
    tell($db, 'committed');
    $db->beginTransaction();
    $insert->execute(['name' => 'never']);
    $db->rollBack();
    tell($db, 'rolledback');
    $db->beginTransaction();
    $insert->execute(['name' => 'fourth']);
    $db->exec('SAVEPOINT s');
    $insert->execute(['name' => 'never']);
    $db->exec('ROLLBACK TO s');
    $db->commit();
    tell($db, 'savepoint');
    $db = connect($address, true); // statements put together by PDO
    try {
        $db->prepare('INSERT INTO items (name) VALUES (?)')->execute(['second']);
    } catch (PDOException $e) {
        echo 'duplicate=', $e->errorInfo[1], "\n";
    }
    $select = $db->prepare('SELECT name FROM items WHERE id>? AND name<>? ORDER BY name');
    $select->execute([1, 'third']);
    echo 'selected=', implode(',', $select->fetchAll(PDO::FETCH_COLUMN)), "\n";
    $db->exec("DELETE FROM items WHERE name='fourth'");
    tell($db, 'left');
}

function unit(PDO $db, int $i): void
{
    $db->beginTransaction();
    $db->prepare('INSERT INTO work VALUES (?)')->execute([$i]);
    $db->exec('UPDATE tally SET n=n+1 WHERE id=1');
    $db->commit();
}

function isThere(PDO $db, int $i): bool
{
    $select = $db->prepare('SELECT COUNT(*) FROM work WHERE id=?');
    $select->execute([$i]);
    return $select->fetchColumn() == 1;
}

function work(): void
{
    $addresses = explode(',', getenv('NEXUS_ADDRESSES'));
    $at = 0;
    $db = null;
    for ($i = 1; $i <= (int)getenv('NEXUS_COUNT'); $i++) {
        for ($there = false; !$there;) {
            try {
                $db ??= connect($addresses[$at], false);
                unit($db, $i);
                break;
            } catch (PDOException) {
                $db = null;
            }
            while (true) {
                try {
                    $db ??= connect($addresses[$at], false);
                    $there = isThere($db, $i);
                    break;
                } catch (PDOException) {
                    $db = null;
                    $at = ($at + 1) % count($addresses);
                    usleep(50000);
                }
            }
        }
        echo "done $i\n";
    }
}

error_reporting(E_ALL & ~E_WARNING); // a connection that is lost is an exception already
$argv[1] === 'features' ? features() : work();
