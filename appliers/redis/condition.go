package redis

import (
	"errors"
	"fmt"
	"strconv"
)

// conditionWord is the first word of a condition. A backend never sees it.
const conditionWord = "UNTOUCHED-AFTER"

var errCondition = errors.New("not a condition on keys")

// ConditionItem returns an item that makes the op it stands in conditional: the leader lets the op through only if, at
// its place in the log, no entry after index has touched one of the keys of db. The condition stays in the op, because
// an op that was not committed may come to another leader, which has to decide again.
func ConditionItem(index uint64, db int, keys []string) Item {
	args := make([]string, 0, len(keys)+2)
	args = append(args, conditionWord, strconv.FormatUint(index, 10))
	return Item{DB: db, Flags: ItemCondition, Cmd: appendStrings(nil, append(args, keys...)...)}
}

// ParseCondition is the inverse of ConditionItem. It appends the keys to keys[:0]; they are parts of the item, not copies.
func ParseCondition(item Item, keys [][]byte) (index uint64, _ [][]byte, err error) {
	args, err := ParseCommand(item.Cmd, keys)
	if err != nil {
		return 0, keys, err
	}
	if item.Flags&ItemCondition == 0 || len(args) < 2 || string(args[0]) != conditionWord {
		return 0, keys, errCondition
	}
	if index, err = strconv.ParseUint(string(args[1]), 10, 64); err != nil {
		return 0, keys, fmt.Errorf("%w: index %w", errCondition, err)
	}
	return index, args[2:], nil
}
