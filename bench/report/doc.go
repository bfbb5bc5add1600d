// Package report is what a run of the benchmarks leaves behind: the samples and what they come to, as JSON, as a table,
// and as a chart.
package report
