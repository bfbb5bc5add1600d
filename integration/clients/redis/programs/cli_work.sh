#!/usr/bin/env bash
# Appends to a list with redis-cli until standard input ends: cli_work.sh PORT
set -euo pipefail
port=$1
report() { printf '{"event":"%s","name":"list","id":"%s"}\n' "$1" "$2"; }

for ((n = 0; ; n++)); do
  if read -r -t 0.01; then :; elif (($? <= 128)); then break; fi # 1 at the end, over 128 if nothing came
  while :; do
    reply=$(redis-cli -p "$port" rpush cli:list "at-$n" 2>&1) || true
    case $reply in
      TRYAGAIN* | *"Connection refused"*) sleep 0.05 ;;
      [0-9]*) report ack "at-$n"; break ;;
      *) report unknown "at-$n"; break ;;
    esac
  done
done
report done ""
