// How a benchmark's server and the runner speak: the server says READY and its port, then obeys
// lines on its standard input until that closes.
//
//   bench::SayReady(port);
//   bench::ObeyRunner();      // returns when the runner closes our standard input, or has died
//   server->Shutdown();
//
// "count" zeroes callgrind's counters and starts counting, "dump" writes them out; both are
// answered with "OK". Outside valgrind they do nothing. Because the runner's end of the pipe closes
// with the runner, no server outlives it.

#ifndef ROOKERY_TESTS_BENCH_SERVER_CONTROL_H_
#define ROOKERY_TESTS_BENCH_SERVER_CONTROL_H_

namespace rookery::bench {

// Tells the runner that calls are served on 127.0.0.1:`port` from now on.
void SayReady(int port);

// Blocks, obeying the runner, until standard input is closed.
void ObeyRunner();

}  // namespace rookery::bench

#endif  // ROOKERY_TESTS_BENCH_SERVER_CONTROL_H_
