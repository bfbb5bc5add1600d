#!/usr/bin/env bash
# What scripts do with redis-cli: cli.sh PORT. Prints what was done, or fails at the first surprise.
set -euo pipefail
port=$1
cli() { redis-cli -p "$port" "$@"; }

expect() { # what, got, want
  [[ $2 == "$3" ]] || { echo "$1: got '$2', want '$3'"; exit 1; }
}

cli flushall >/dev/null
expect "set and get" "$(cli set cli:a 1) $(cli get cli:a)" "OK 1"
expect "value from standard input" "$(printf 'a\nb' | cli -x set cli:x) $(cli strlen cli:x)" "OK 3"
expect "a file of commands" "$(printf 'incr cli:n\nincr cli:n\nmulti\nincr cli:n\nget cli:n\nexec\n' | cli | tr '\n' ' ')" "1 2 OK QUEUED QUEUED 3 3 "
expect "repetition" "$(cli -r 3 incr cli:r | tr '\n' ' ')" "1 2 3 "
expect "csv" "$(cli rpush cli:l a b c >/dev/null && cli --csv lrange cli:l 0 -1)" '"a","b","c"'
expect "database" "$(cli -n 3 set cli:db v) $(cli exists cli:db)" "OK 0"
expect "RESP3" "$(cli hset cli:h f v >/dev/null && cli -3 --json hgetall cli:h)" '{"f":"v"}'
expect "script" "$(cli --eval /dev/stdin cli:a , 41 <<<"return redis.call('INCRBY', KEYS[1], ARGV[1])")" "42"
expect "exit status of errors" "$(cli -e lpush cli:a x >/dev/null 2>&1 || echo failed)" "failed"
expect "bulk loading" "$(for i in {1..500}; do printf '*3\r\n$3\r\nSET\r\n$%d\r\ncli:bulk:%d\r\n$1\r\nv\r\n' $((9 + ${#i})) "$i"; done | cli --pipe | tail -1)" "errors: 0, replies: 500"
expect "scan" "$(cli --scan --pattern 'cli:bulk:*' | sort -u | wc -l)" "500"
expect "subscribe" "$( (sleep 0.5; cli publish cli:ch hello >/dev/null) & timeout 2 redis-cli -p "$port" subscribe cli:ch | tail -1)" "hello"
[[ $(cli --bigkeys) == *"Sampled"* ]] || { echo "--bigkeys"; exit 1; }
[[ $(cli info server) == *redis_version* ]] || { echo "info"; exit 1; }
echo "-x, commands from a file, MULTI, -r, --csv, -n, -3 --json, --eval, -e, --pipe, --scan, subscribe, --bigkeys, info"
