// Package measure is what the benchmarks count: latencies in a histogram, and what processes and the network used, from
// /proc. CPU time and bytes tell something on a machine that has other things to do as well; the clock alone does not.
package measure
