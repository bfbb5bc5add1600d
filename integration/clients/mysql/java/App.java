import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Timestamp;
import java.util.HexFormat;

/** MariaDB Connector/J as an application: see ../doc.go for what each program does. */
public class App {
    static Connection connect(String address, String options) throws SQLException {
        return DriverManager.getConnection("jdbc:mariadb://" + address + "/" + System.getenv("NEXUS_DATABASE")
                + "?user=app&password=app&connectTimeout=2000&socketTimeout=10000" + options);
    }

    static void tell(Connection db, String name) throws SQLException {
        try (Statement s = db.createStatement(); ResultSet r = s.executeQuery("SELECT COUNT(*) FROM items")) {
            r.next();
            System.out.println(name + "=" + r.getInt(1));
        }
    }

    static void insert(Connection db, String name) throws SQLException {
        try (PreparedStatement s = db.prepareStatement("INSERT INTO items (name) VALUES (?)")) {
            s.setString(1, name);
            s.executeUpdate();
        }
    }

    static void features() throws SQLException {
        String address = System.getenv("NEXUS_HOST") + ":" + System.getenv("NEXUS_PORT");
        try (Connection db = connect(address, "&useServerPrepStmts=true")) {
            try (Statement s = db.createStatement()) {
                s.execute("CREATE TABLE items (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(100) NOT NULL UNIQUE,"
                        + " price DECIMAL(20,4), made DATETIME(3), data BLOB, note TEXT) CHARACTER SET utf8mb4");
            }
            try (PreparedStatement s = db.prepareStatement("INSERT INTO items (name, price, made, data) VALUES (?, ?, ?, ?)",
                    Statement.RETURN_GENERATED_KEYS)) {
                s.setString(1, "naïve 😀 it's");
                s.setBigDecimal(2, new BigDecimal("1234567890123456.7891"));
                s.setTimestamp(3, Timestamp.valueOf("2024-02-29 12:34:56.123"));
                s.setBytes(4, new byte[] {0, (byte) 0xff, '\'', '\\', '\n'});
                s.executeUpdate();
                ResultSet keys = s.getGeneratedKeys();
                keys.next();
                System.out.println("id=" + keys.getInt(1));
            }
            try (Statement s = db.createStatement(); ResultSet r = s.executeQuery("SELECT * FROM items")) {
                r.next();
                String note = r.getString("note");
                System.out.println("name=" + r.getString("name") + "\nprice=" + r.getBigDecimal("price") + "\nmade="
                        + r.getTimestamp("made") + "\ndata=" + HexFormat.of().formatHex(r.getBytes("data")) + "\nnote="
                        + (note == null ? "null" : note));
            }
            try (Statement s = db.createStatement()) {
                System.out.println("updated=" + s.executeUpdate("UPDATE items SET note='sold' WHERE id=1"));
            }
            db.setAutoCommit(false);
            insert(db, "second");
            insert(db, "third");
            db.commit();
            tell(db, "committed");
            insert(db, "never");
            db.rollback();
            tell(db, "rolledback");
            insert(db, "fourth");
            Savepoint savepoint = db.setSavepoint("s");
            insert(db, "never");
            db.rollback(savepoint);
            db.commit();
            tell(db, "savepoint");
            db.setAutoCommit(true);
        }
        try (Connection db = connect(address, "&rewriteBatchedStatements=true&allowMultiQueries=true")) {
            try {
                insert(db, "second");
            } catch (SQLException e) {
                System.out.println("duplicate=" + e.getErrorCode());
            }
            try (PreparedStatement s = db.prepareStatement("INSERT INTO items (name) VALUES (?)")) {
                for (String name : new String[] {"batch 1", "batch 2", "batch 3"}) {
                    s.setString(1, name);
                    s.addBatch();
                }
                s.executeBatch();
            }
            try (Statement s = db.createStatement()) {
                s.execute("DELETE FROM items WHERE name='batch 1'; DELETE FROM items WHERE name IN ('batch 2', 'batch 3')");
            }
            try (PreparedStatement s = db.prepareStatement("SELECT GROUP_CONCAT(name ORDER BY name) FROM items WHERE id>? AND name<>?")) {
                s.setInt(1, 1);
                s.setString(2, "third");
                ResultSet r = s.executeQuery();
                r.next();
                System.out.println("selected=" + r.getString(1));
            }
            try (Statement s = db.createStatement()) {
                s.executeUpdate("DELETE FROM items WHERE name='fourth'");
            }
            tell(db, "left");
        }
    }

    static void unit(Connection db, int i) throws SQLException {
        db.setAutoCommit(false);
        try (PreparedStatement s = db.prepareStatement("INSERT INTO work VALUES (?)")) {
            s.setInt(1, i);
            s.executeUpdate();
        }
        try (Statement s = db.createStatement()) {
            s.executeUpdate("UPDATE tally SET n=n+1 WHERE id=1");
        }
        db.commit();
    }

    static boolean isThere(Connection db, int i) throws SQLException {
        db.setAutoCommit(true); // commits what is open
        try (Statement s = db.createStatement(); ResultSet r = s.executeQuery("SELECT COUNT(*) FROM work WHERE id=" + i)) {
            r.next();
            return r.getInt(1) == 1;
        }
    }

    static void close(Connection db) {
        try {
            if (db != null) {
                db.close();
            }
        } catch (SQLException e) {
            // It is lost anyway.
        }
    }

    static void work() throws InterruptedException {
        String[] addresses = System.getenv("NEXUS_ADDRESSES").split(",");
        int count = Integer.parseInt(System.getenv("NEXUS_COUNT")), at = 0;
        Connection db = null;
        for (int i = 1; i <= count; i++) {
            for (boolean there = false; !there;) {
                try {
                    if (db == null) {
                        db = connect(addresses[at], "");
                    }
                    unit(db, i);
                    break;
                } catch (SQLException e) {
                    close(db);
                    db = null;
                }
                while (true) {
                    try {
                        if (db == null) {
                            db = connect(addresses[at], "");
                        }
                        there = isThere(db, i);
                        break;
                    } catch (SQLException e) {
                        close(db);
                        db = null;
                        at = (at + 1) % addresses.length;
                        Thread.sleep(50);
                    }
                }
            }
            System.out.println("done " + i);
        }
        close(db);
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("features")) {
            features();
        } else {
            work();
        }
    }
}
