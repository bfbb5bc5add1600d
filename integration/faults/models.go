package faults

import (
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/anishathalye/porcupine"
)

// kind of a subject: what operations there are and what they mean.
type kind int

const (
	register kind = iota
	counter
	list
	bank
	lock
	kinds
)

var kindNames = [kinds]string{"register", "counter", "list", "bank", "lock"}

func (k kind) String() string { return kindNames[k] }

// input of an operation. verb decides which of the other fields count.
type input struct {
	verb  string
	value string
	// Of a transfer.
	from, to, amount int
}

func (in input) String() string {
	if in.verb == "transfer" {
		return fmt.Sprintf("transfer %d from %d to %d", in.amount, in.from, in.to)
	}
	return strings.TrimSpace(in.verb + " " + in.value)
}

// reads reports whether the operation changes nothing.
func (in input) reads() bool { return in.verb == "get" }

// accounts of a bank. Their sum is always zero.
const accounts = 4

type balances [accounts]int64

// elements is what a list holds: as much of it as equality needs.
type elements struct {
	length int64
	hash   uint64
}

func (e elements) append(value string) elements {
	h := fnv.New64a()
	fmt.Fprintf(h, "%x %q", e.hash, value)
	return elements{length: e.length + 1, hash: h.Sum64()}
}

func elementsOf(values []string) (e elements) {
	for _, v := range values {
		e = e.append(v)
	}
	return e
}

// Models by kind. An output of nil stands for one that the client did not learn.
var models = [kinds]porcupine.Model{
	register: model("", stepRegister),
	counter:  model(int64(0), stepCounter),
	list:     model(elements{}, stepList),
	bank:     model(balances{}, stepBank),
	lock:     lockModel.ToModel(),
}

func model[S any](initial S, step func(state S, in input, output any) (bool, S)) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return initial },
		Step: func(state, in, output any) (bool, any) {
			return step(state.(S), in.(input), output)
		},
		DescribeOperation: describe,
	}
}

func describe(in, output any) string {
	if output == nil {
		return fmt.Sprintf("%v: ?", in)
	}
	return fmt.Sprintf("%v: %v", in, output)
}

func stepRegister(state string, in input, output any) (bool, string) {
	switch in.verb {
	case "get":
		return output == state, state
	case "swap":
		return output == nil || output == state, in.value
	default: // set
		return true, in.value
	}
}

func stepCounter(state int64, in input, output any) (bool, int64) {
	if in.verb == "get" {
		return output == state, state
	}
	return output == nil || output == state+1, state + 1
}

func stepList(state elements, in input, output any) (bool, elements) {
	if in.verb == "get" {
		return output == state, state
	}
	next := state.append(in.value)
	return output == nil || output == next.length, next
}

func stepBank(state balances, in input, output any) (bool, balances) {
	if in.verb == "get" {
		return output == state, state
	}
	state[in.from] -= int64(in.amount)
	state[in.to] += int64(in.amount)
	return output == nil || output == [2]int64{state[in.from], state[in.to]}, state
}

// lockModel: who holds a lock that may run out at any time. Once somebody was told that it is free, it is.
var lockModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{""} },
	Step: func(state, in, output any) []any {
		holder, op := state.(string), in.(input)
		switch {
		case op.verb == "get" && output == "":
			return []any{""}
		case op.verb == "get" && output == holder:
			return []any{holder}
		case op.verb == "get":
			return nil
		case output == true: // acquired
			return []any{op.value}
		case output == false && holder == "":
			return nil
		case output == false:
			return []any{holder}
		case holder == "":
			return []any{op.value}
		default:
			return []any{op.value, holder}
		}
	},
	DescribeOperation: describe,
}
