// Backends and load generators of the load benchmark.
module sluice.example/bench

go 1.25
