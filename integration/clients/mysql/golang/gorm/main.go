// Gorm is GORM as an application: see ../../doc.go for what each program does.
package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

type item struct {
	ID    uint
	Name  string     `gorm:"size:100;not null;uniqueIndex"`
	Price *string    `gorm:"type:decimal(20,4)"`
	Made  *time.Time `gorm:"type:datetime(3)"`
	Data  []byte     `gorm:"type:blob"`
	Note  *string
}

type work struct {
	ID int `gorm:"primaryKey;autoIncrement:false"`
}

func (work) TableName() string { return "work" }

type tally struct {
	ID int
	N  int
}

func (tally) TableName() string { return "tally" }

func main() {
	run := map[string]func() error{"features": features, "work": units}[os.Args[1]]
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func open(address string) (*gorm.DB, error) {
	dsn := "app:app@tcp(" + address + ")/" + os.Getenv("NEXUS_DATABASE") + "?charset=utf8mb4&parseTime=true&timeout=2s&readTimeout=10s"
	return gorm.Open(mysql.Open(dsn), &gorm.Config{PrepareStmt: true, Logger: logger.Discard})
}

func features() error {
	db, err := open(os.Getenv("NEXUS_HOST") + ":" + os.Getenv("NEXUS_PORT"))
	if err != nil {
		return err
	}
	for range 2 { // the second finds nothing to do
		if err := db.AutoMigrate(&item{}); err != nil {
			return err
		}
	}
	price, made := "1234567890123456.7891", time.Date(2024, 2, 29, 12, 34, 56, 123e6, time.UTC)
	first := item{Name: "naïve 😀 it's", Price: &price, Made: &made, Data: []byte{0, 0xff, '\'', '\\', '\n'}}
	if err := db.Create(&first).Error; err != nil {
		return err
	}
	fmt.Printf("id=%d\n", first.ID)
	var got item
	if err := db.First(&got, first.ID).Error; err != nil {
		return err
	}
	note := "null"
	if got.Note != nil {
		note = *got.Note
	}
	fmt.Printf("name=%s\nprice=%s\nmade=%s\ndata=%s\nnote=%s\n", got.Name, *got.Price, got.Made.Format("2006-01-02 15:04:05.000"), hex.EncodeToString(got.Data), note)
	r := db.Model(&got).Update("note", "sold")
	if r.Error != nil {
		return r.Error
	}
	fmt.Printf("updated=%d\n", r.RowsAffected)
	return transactions(db)
}

var errNever = errors.New("rolled back on purpose")

func transactions(db *gorm.DB) error {
	create := func(tx *gorm.DB, names ...string) error {
		for _, name := range names {
			if err := tx.Create(&item{Name: name}).Error; err != nil {
				return err
			}
		}
		return nil
	}
	if err := db.Transaction(func(tx *gorm.DB) error { return create(tx, "second", "third") }); err != nil {
		return err
	}
	if err := count(db, "committed"); err != nil {
		return err
	}
	if err := db.Transaction(func(tx *gorm.DB) error { return errors.Join(create(tx, "never"), errNever) }); !errors.Is(err, errNever) {
		return err
	}
	if err := count(db, "rolledback"); err != nil {
		return err
	}
	if err := db.Transaction(func(tx *gorm.DB) error {
		if err := create(tx, "fourth"); err != nil {
			return err
		}
		// One inside of another is a savepoint.
		if err := tx.Transaction(func(tx *gorm.DB) error { return errors.Join(create(tx, "never"), errNever) }); !errors.Is(err, errNever) {
			return err
		}
		return nil
	}); err != nil {
		return err
	}
	if err := count(db, "savepoint"); err != nil {
		return err
	}
	var server *driver.MySQLError
	if err := create(db, "second"); !errors.As(err, &server) {
		return fmt.Errorf("a duplicate: %w", err)
	}
	fmt.Printf("duplicate=%d\n", server.Number)
	var names []string
	if err := db.Model(&item{}).Where("id > ? AND name <> ?", 1, "third").Order("name").Pluck("name", &names).Error; err != nil {
		return err
	}
	fmt.Printf("selected=%s\n", strings.Join(names, ","))
	if err := db.Where("name = ?", "fourth").Delete(&item{}).Error; err != nil {
		return err
	}
	return count(db, "left")
}

func count(db *gorm.DB, name string) error {
	var n int64
	if err := db.Model(&item{}).Count(&n).Error; err != nil {
		return err
	}
	fmt.Printf("%s=%d\n", name, n)
	return nil
}

func units() error {
	addresses := strings.Split(os.Getenv("NEXUS_ADDRESSES"), ",")
	n, err := strconv.Atoi(os.Getenv("NEXUS_COUNT"))
	if err != nil {
		return err
	}
	at := 0
	db, err := open(addresses[at])
	if err != nil {
		return err
	}
	for i := 1; i <= n; i++ {
		for unit(db, i) != nil {
			var there int64
			for db == nil || db.Model(&work{}).Where("id = ?", i).Count(&there).Error != nil {
				at = (at + 1) % len(addresses)
				time.Sleep(50 * time.Millisecond)
				if db, err = open(addresses[at]); err != nil {
					db = nil
				}
			}
			if there == 1 {
				break
			}
		}
		fmt.Println("done", i)
	}
	return nil
}

func unit(db *gorm.DB, i int) error {
	return db.Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&work{ID: i}).Error; err != nil {
			return err
		}
		return tx.Model(&tally{ID: 1}).Update("n", gorm.Expr("n + 1")).Error
	})
}
