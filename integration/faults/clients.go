package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/go-redis/redis/v8"

	"github.com/nexus-replication/nexus/integration/cluster"
)

const (
	clientsPerNode = 3
	// lockTime is for how long a lock is taken.
	lockTime = 150 * time.Millisecond
	// Pauses of a client between operations: few enough of these that the checker is done soon.
	minPause = 2 * time.Millisecond
	maxPause = 14 * time.Millisecond
	// errorPause keeps a client of a node that is away from asking in a tight loop.
	errorPause = 20 * time.Millisecond
	// latecomerPause is between clients that come for one read each.
	latecomerPause = 100 * time.Millisecond
)

// subjectsOf are those of one round: fresh keys, a few of each kind.
func subjectsOf(round int) []subject {
	var subjects []subject
	for k, n := range [kinds]int{register: 3, counter: 2, list: 2, bank: 1, lock: 2} {
		for i := range n {
			subjects = append(subjects, subject{kind(k), fmt.Sprintf("r%d:%v:%d", round, kind(k), i)})
		}
	}
	return subjects
}

// load is the clients of a round.
type load struct {
	history  *history
	subjects []subject
	patience time.Duration // of a client with its node
	stop     context.CancelFunc
	wg       sync.WaitGroup
}

// startLoad starts clients of each of the nodes, which go on until finish.
func startLoad(ctx context.Context, nodes []*cluster.Node, round int, seed uint64, patience time.Duration) *load {
	subjects := subjectsOf(round)
	l := &load{history: newHistory(subjects), subjects: subjects, patience: patience}
	ctx, l.stop = context.WithCancel(ctx)
	for i := range clientsPerNode * len(nodes) {
		w := &worker{
			load: l, id: l.history.client(), name: strconv.Itoa(i), rng: rand.New(rand.NewPCG(seed, uint64(i))),
			conn: connect(nodes[i%len(nodes)], patience),
		}
		l.wg.Go(func() { w.work(ctx) })
	}
	for i, n := range nodes {
		l.wg.Go(func() { l.sendLatecomers(ctx, n, rand.New(rand.NewPCG(seed, uint64(1000+i)))) })
	}
	return l
}

// sendLatecomers has a new client come to a node every now and then for one read. The others wait for their answers one
// at a time, so that at a node that is paused all of them have asked before it was: what it believes when it wakes up can
// only be told wrong by who has come since.
func (l *load) sendLatecomers(ctx context.Context, n *cluster.Node, rng *rand.Rand) {
	for ctx.Err() == nil {
		w := &worker{load: l, id: l.history.client(), conn: connect(n, l.patience)}
		s := l.subjects[rng.IntN(len(l.subjects))]
		l.wg.Go(func() {
			defer w.conn.Close()
			// What a failed read tells is nothing.
			_ = w.do(context.WithoutCancel(ctx), s, input{verb: "get"})
		})
		sleep(ctx, latecomerPause)
	}
}

// finish lets the clients end what they are doing.
func (l *load) finish() {
	l.stop()
	l.wg.Wait()
}

// connect returns a client of one connection that tries nothing twice.
func connect(n *cluster.Node, patience time.Duration) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: n.Addr(), MaxRetries: -1, PoolSize: 1, DialTimeout: time.Second, ReadTimeout: patience,
	})
}

// readLast reads each subject once more, when all is over, so that the history tells what became of it.
func (l *load) readLast(ctx context.Context, n *cluster.Node) error {
	w := &worker{load: l, id: l.history.client(), conn: connect(n, l.patience)}
	defer w.conn.Close()
	for _, s := range l.subjects {
		for {
			err := w.do(ctx, s, input{verb: "get"})
			if judge(err) == answered {
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("read %s: %w", s.key, err)
			}
			time.Sleep(errorPause)
		}
	}
	return nil
}

// worker is one client.
type worker struct {
	load *load
	id   int
	name string
	next int
	rng  *rand.Rand
	conn *redis.Client
}

func (w *worker) work(ctx context.Context) {
	defer w.conn.Close()
	for ctx.Err() == nil {
		s := w.load.subjects[w.rng.IntN(len(w.load.subjects))]
		// What was sent is waited for, so that few outcomes are unknown.
		err := w.do(context.WithoutCancel(ctx), s, w.choose(s.kind))
		pause := minPause + rand.N(maxPause-minPause)
		if judge(err) != answered {
			pause = errorPause
		}
		time.Sleep(pause)
	}
}

// choose makes up an operation. Values are unique.
func (w *worker) choose(k kind) input {
	w.next++
	value := fmt.Sprintf("%s.%d", w.name, w.next)
	reads := w.rng.IntN(2) == 0
	switch {
	case reads:
		return input{verb: "get"}
	case k == register && w.rng.IntN(3) == 0:
		return input{verb: "swap", value: value}
	case k == register:
		return input{verb: "set", value: value}
	case k == counter:
		return input{verb: "incr"}
	case k == list:
		return input{verb: "append", value: value}
	case k == lock:
		return input{verb: "lock", value: value}
	default:
		from := w.rng.IntN(accounts)
		return input{verb: "transfer", from: from, to: (from + 1 + w.rng.IntN(accounts-1)) % accounts, amount: 1 + w.rng.IntN(100)}
	}
}

// do executes one operation and records it.
func (w *worker) do(ctx context.Context, s subject, in input) error {
	call := w.load.history.now()
	output, err := w.execute(ctx, s, in)
	if !w.load.history.record(s, w.id, in, output, call, err) {
		w.id = w.load.history.client()
	}
	return err
}

func (w *worker) execute(ctx context.Context, s subject, in input) (output any, err error) {
	switch in.verb {
	case "set":
		return nil, w.conn.Set(ctx, s.key, in.value, 0).Err()
	case "swap":
		return orEmpty(w.conn.GetSet(ctx, s.key, in.value).Result())
	case "incr":
		return w.conn.Incr(ctx, s.key).Result()
	case "append":
		return w.conn.RPush(ctx, s.key, in.value).Result()
	case "lock":
		return w.conn.SetNX(ctx, s.key, in.value, lockTime).Result()
	case "transfer":
		return w.transfer(ctx, s.key, in)
	}
	switch s.kind {
	case counter:
		n, err := w.conn.Get(ctx, s.key).Int64()
		if errors.Is(err, redis.Nil) {
			return int64(0), nil
		}
		return n, err
	case list:
		values, err := w.conn.LRange(ctx, s.key, 0, -1).Result()
		return elementsOf(values), err
	case bank:
		return w.balances(ctx, s.key)
	default:
		return orEmpty(w.conn.Get(ctx, s.key).Result())
	}
}

func orEmpty(value string, err error) (any, error) {
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return value, err
}

func accountKey(bank string, i int) string { return fmt.Sprintf("%s:%d", bank, i) }

// transfer moves money between two accounts in one transaction.
func (w *worker) transfer(ctx context.Context, bank string, in input) (any, error) {
	var from, to *redis.IntCmd
	_, err := w.conn.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		from = tx.DecrBy(ctx, accountKey(bank, in.from), int64(in.amount))
		to = tx.IncrBy(ctx, accountKey(bank, in.to), int64(in.amount))
		return nil
	})
	return [2]int64{from.Val(), to.Val()}, err
}

// balances reads all accounts in one transaction.
func (w *worker) balances(ctx context.Context, bank string) (any, error) {
	var gets [accounts]*redis.StringCmd
	_, err := w.conn.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		for i := range gets {
			gets[i] = tx.Get(ctx, accountKey(bank, i))
		}
		return nil
	})
	var out balances
	if err != nil && !errors.Is(err, redis.Nil) {
		return out, err
	}
	for i, get := range gets {
		if errors.Is(get.Err(), redis.Nil) {
			continue
		}
		if out[i], err = get.Int64(); err != nil {
			return out, err
		}
	}
	return out, nil
}
