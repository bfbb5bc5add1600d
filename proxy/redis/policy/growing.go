package policy

// growing are the commands that Redis refuses when it uses more memory than its
// maxmemory: those with the flag denyoom.
var growing = map[string]bool{
	"append": true, "bitfield": true, "bitop": true, "blmove": true, "brpoplpush": true, "copy": true,
	"decr": true, "decrby": true, "function|load": true, "function|restore": true, "geoadd": true,
	"georadius": true, "georadiusbymember": true, "geosearchstore": true, "getset": true, "hincrby": true,
	"hincrbyfloat": true, "hmset": true, "hset": true, "hsetnx": true, "incr": true, "incrby": true,
	"incrbyfloat": true, "linsert": true, "lmove": true, "lpush": true, "lpushx": true, "lset": true,
	"mset": true, "msetnx": true, "pfadd": true, "pfdebug": true, "pfmerge": true, "psetex": true,
	"restore": true, "restore-asking": true, "rpoplpush": true, "rpush": true, "rpushx": true, "sadd": true,
	"sdiffstore": true, "set": true, "setbit": true, "setex": true, "setnx": true, "setrange": true,
	"sinterstore": true, "sort": true, "sunionstore": true, "xadd": true, "xgroup|create": true,
	"xgroup|createconsumer": true, "xsetid": true, "zadd": true, "zdiffstore": true, "zincrby": true,
	"zinterstore": true, "zrangestore": true, "zunionstore": true,
}
