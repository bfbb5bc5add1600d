// Driver is go-sql-driver/mysql as an application: see ../../doc.go for what each program does.
package main

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

func main() {
	run := map[string]func() error{"features": features, "work": work}[os.Args[1]]
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func open(address string) (*sql.DB, error) {
	return sql.Open("mysql", "app:app@tcp("+address+")/"+os.Getenv("NEXUS_DATABASE")+"?parseTime=true&timeout=2s&readTimeout=10s")
}

func features() error {
	db, err := open(os.Getenv("NEXUS_HOST") + ":" + os.Getenv("NEXUS_PORT"))
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE items (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(100) NOT NULL UNIQUE," +
		" price DECIMAL(20,4), made DATETIME(3), data BLOB, note TEXT) CHARACTER SET utf8mb4"); err != nil {
		return err
	}
	made := time.Date(2024, 2, 29, 12, 34, 56, 123e6, time.UTC)
	r, err := db.Exec("INSERT INTO items (name, price, made, data) VALUES (?, ?, ?, ?)", "naïve 😀 it's", "1234567890123456.7891", made, []byte{0, 0xff, '\'', '\\', '\n'})
	if err != nil {
		return err
	}
	id, err := r.LastInsertId()
	if err != nil {
		return err
	}
	fmt.Printf("id=%d\n", id)
	var name, price string
	var data []byte
	var note sql.NullString
	if err := db.QueryRow("SELECT name, price, made, data, note FROM items WHERE id=?", id).Scan(&name, &price, &made, &data, &note); err != nil {
		return err
	}
	if !note.Valid {
		note.String = "null"
	}
	fmt.Printf("name=%s\nprice=%s\nmade=%s\ndata=%s\nnote=%s\n", name, price, made.Format("2006-01-02 15:04:05.000"), hex.EncodeToString(data), note.String)
	if r, err = db.Exec("UPDATE items SET note='sold' WHERE id=?", id); err != nil {
		return err
	}
	updated, err := r.RowsAffected()
	if err != nil {
		return err
	}
	fmt.Printf("updated=%d\n", updated)
	return transactions(db)
}

func transactions(db *sql.DB) error {
	insert := func(name string) string { return "INSERT INTO items (name) VALUES ('" + name + "')" }
	for _, step := range []struct {
		name  string
		end   func(*sql.Tx) error
		texts []string
	}{
		{"committed", (*sql.Tx).Commit, []string{insert("second"), insert("third")}},
		{"rolledback", (*sql.Tx).Rollback, []string{insert("never")}},
		{"savepoint", (*sql.Tx).Commit, []string{insert("fourth"), "SAVEPOINT s", insert("never"), "ROLLBACK TO s"}},
	} {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		for _, text := range step.texts {
			if _, err := tx.Exec(text); err != nil {
				return err
			}
		}
		if err := step.end(tx); err != nil {
			return err
		}
		if err := count(db, step.name); err != nil {
			return err
		}
	}
	var server *mysql.MySQLError
	if _, err := db.Exec(insert("second")); !errors.As(err, &server) {
		return fmt.Errorf("a duplicate: %w", err)
	}
	fmt.Printf("duplicate=%d\n", server.Number)
	statement, err := db.Prepare("SELECT GROUP_CONCAT(name ORDER BY name) FROM items WHERE id>? AND name<>?")
	if err != nil {
		return err
	}
	defer statement.Close()
	var names string
	if err := statement.QueryRow(1, "third").Scan(&names); err != nil {
		return err
	}
	fmt.Printf("selected=%s\n", names)
	if _, err := db.Exec("DELETE FROM items WHERE name=?", "fourth"); err != nil {
		return err
	}
	return count(db, "left")
}

func count(db *sql.DB, name string) error {
	var n int
	if err := db.QueryRow("SELECT COUNT(*) FROM items").Scan(&n); err != nil {
		return err
	}
	fmt.Printf("%s=%d\n", name, n)
	return nil
}

func work() error {
	var pools []*sql.DB
	for _, address := range strings.Split(os.Getenv("NEXUS_ADDRESSES"), ",") {
		db, err := open(address)
		if err != nil {
			return err
		}
		defer db.Close()
		pools = append(pools, db)
	}
	units, err := strconv.Atoi(os.Getenv("NEXUS_COUNT"))
	if err != nil {
		return err
	}
	at := 0
	for i := 1; i <= units; i++ {
		for unit(pools[at], i) != nil {
			there := 0
			for pools[at].QueryRow("SELECT COUNT(*) FROM work WHERE id=?", i).Scan(&there) != nil {
				at = (at + 1) % len(pools)
				time.Sleep(50 * time.Millisecond)
			}
			if there == 1 {
				break
			}
		}
		fmt.Println("done", i)
	}
	return nil
}

func unit(db *sql.DB, i int) error {
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if _, err := tx.Exec("INSERT INTO work VALUES (?)", i); err != nil {
		return err
	}
	if _, err := tx.Exec("UPDATE tally SET n=n+1 WHERE id=1"); err != nil {
		return err
	}
	return tx.Commit()
}
