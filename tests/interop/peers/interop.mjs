// gRPC's interoperability tests in JavaScript, on @grpc/grpc-js: a foreign client and server.
//
//   node interop.mjs server --protos DIR [--port N]        prints "READY PORT"
//   node interop.mjs client --protos DIR --server_host H --server_port N --test_case NAME
//
// DIR is tests/interop/proto. Run it from a folder whose node_modules has @grpc/grpc-js and
// @grpc/proto-loader. Exit code 0: the case passed; 3: this peer has no such case.
import assert from 'node:assert/strict';
import {createRequire} from 'node:module';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {parseArgs} from 'node:util';

const require = createRequire(path.join(process.cwd(), 'x.js'));
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const {values: flags, positionals} = parseArgs({
  allowPositionals: true,
  options: {
    protos: {type: 'string'},
    port: {type: 'string', default: '0'},
    server_host: {type: 'string', default: '127.0.0.1'},
    server_port: {type: 'string'},
    test_case: {type: 'string'},
  },
});

const {TestService, UnimplementedService} = grpc.loadPackageDefinition(
    loader.loadSync('grpc/testing/test.proto',
                    {includeDirs: [flags.protos], keepCase: true, defaults: true})).grpc.testing;

const INITIAL = 'x-grpc-test-echo-initial';
const TRAILING = 'x-grpc-test-echo-trailing-bin';
const SPECIAL = '\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \u{1f608}\t\n';
const REPLIES = [31415, 9, 2653, 58979];
const REQUESTS = [27182, 8, 1828, 45904];
const zeros = (size) => ({body: Buffer.alloc(size)});

function connect(options = {}) {
  return new TestService(`${flags.server_host}:${flags.server_port}`,
                         grpc.credentials.createInsecure(), options);
}

// A unary call as a promise of {error, reply, headers, trailers}.
function unary(client, method, request, metadata = new grpc.Metadata(), options = {}) {
  return new Promise((resolve) => {
    const result = {};
    let left = 2;
    const done = () => --left === 0 && resolve(result);
    const call = client[method](request, metadata, options, (error, reply) => {
      Object.assign(result, {error, reply});
      done();
    });
    call.on('metadata', (headers) => (result.headers = headers));
    call.on('status', (status) => {
      result.trailers = status.metadata;
      done();
    });
  });
}

// The end of a call that streams: {status, replies, headers}.
function collect(call, onReply = () => {}) {
  return new Promise((resolve) => {
    const result = {replies: []};
    call.on('metadata', (headers) => (result.headers = headers));
    call.on('data', (reply) => {
      result.replies.push(reply);
      onReply(reply);
    });
    call.on('error', () => {});
    call.on('status', (status) => resolve({...result, status}));
  });
}

async function uploadSizes(client, sizes, fields = {}) {
  return new Promise((resolve) => {
    const call = client.StreamingInputCall((error, reply) => resolve({error, reply}));
    for (const size of sizes) call.write({payload: zeros(size), ...fields});
    call.end();
  });
}

const simple = (fields = {}) => ({response_size: 314159, payload: zeros(271828), ...fields});
const output = (sizes, fields = {}) =>
    ({response_parameters: sizes.map((size) => ({size})), ...fields});
const sizesOf = (replies) => replies.map((reply) => reply.payload.body.length);

function checkLarge({error, reply}) {
  assert.equal(error, null);
  assert.equal(reply.payload.body.length, 314159);
}

const cases = {
  async empty_unary(client) {
    const {error, reply} = await unary(client, 'EmptyCall', {});
    assert.equal(error, null);
    assert.deepEqual(reply, {});
  },
  async cacheable_unary(client) {
    const metadata = new grpc.Metadata({cacheableRequest: true});
    metadata.set('x-user-ip', '1.2.3.4');
    const request = {payload: {body: Buffer.from(String(process.hrtime.bigint()))}};
    for (let i = 0; i < 2; ++i) {
      assert.equal((await unary(client, 'CacheableUnaryCall', request, metadata)).error, null);
    }
  },
  async large_unary(client) {
    checkLarge(await unary(client, 'UnaryCall', simple()));
  },
  async client_compressed_unary(client) {
    const expectation = {expect_compressed: {value: true}};
    const probe = await unary(client, 'UnaryCall', simple(expectation));
    assert.equal(probe.error.code, grpc.status.INVALID_ARGUMENT);
    const gzip = connect({'grpc.default_compression_algorithm': 2});
    checkLarge(await unary(gzip, 'UnaryCall', simple(expectation)));
    gzip.close();
    checkLarge(await unary(client, 'UnaryCall', simple({expect_compressed: {value: false}})));
  },
  async server_compressed_unary(client) {
    for (const value of [true, false]) {
      checkLarge(await unary(client, 'UnaryCall', simple({response_compressed: {value}})));
    }
  },
  async client_streaming(client) {
    const {error, reply} = await uploadSizes(client, REQUESTS);
    assert.equal(error, null);
    assert.equal(reply.aggregated_payload_size, 74922);
  },
  async client_compressed_streaming(client) {
    const fields = {expect_compressed: {value: true}};
    const probe = await uploadSizes(client, [27182], fields);
    assert.equal(probe.error.code, grpc.status.INVALID_ARGUMENT);
    const gzip = connect({'grpc.default_compression_algorithm': 2});
    const {error, reply} = await uploadSizes(gzip, [27182, 45904], fields);
    assert.equal(error, null);
    assert.equal(reply.aggregated_payload_size, 73086);
    gzip.close();
  },
  async server_streaming(client) {
    const {status, replies} = await collect(client.StreamingOutputCall(output(REPLIES)));
    assert.equal(status.code, 0);
    assert.deepEqual(sizesOf(replies), REPLIES);
  },
  async server_compressed_streaming(client) {
    const request = {response_parameters: [{size: 31415, compressed: {value: true}},
                                           {size: 92653, compressed: {value: false}}]};
    const {status, replies} = await collect(client.StreamingOutputCall(request));
    assert.equal(status.code, 0);
    assert.deepEqual(sizesOf(replies), [31415, 92653]);
  },
  async ping_pong(client) {
    const call = client.FullDuplexCall();
    let next = 0;
    const send = () => next < REPLIES.length ?
        call.write(output([REPLIES[next]], {payload: zeros(REQUESTS[next++])})) :
        call.end();
    const end = collect(call, send);
    send();
    const {status, replies} = await end;
    assert.equal(status.code, 0);
    assert.deepEqual(sizesOf(replies), REPLIES);
  },
  async half_duplex(client) {
    const call = client.HalfDuplexCall();
    const end = collect(call);
    for (const size of REPLIES) call.write(output([size]));
    call.end();
    assert.deepEqual(sizesOf((await end).replies), REPLIES);
  },
  async empty_stream(client) {
    const call = client.FullDuplexCall();
    const end = collect(call);
    call.end();
    const {status, replies} = await end;
    assert.equal(status.code, 0);
    assert.deepEqual(replies, []);
  },
  async timeout_on_sleeping_server(client) {
    const call = client.FullDuplexCall({deadline: Date.now() + 1});
    const end = collect(call);
    call.write({payload: zeros(27182)});
    assert.equal((await end).status.code, grpc.status.DEADLINE_EXCEEDED);
  },
  async cancel_after_begin(client) {
    const error = await new Promise((resolve) => {
      const call = client.StreamingInputCall((failure) => resolve(failure));
      call.cancel();
    });
    assert.equal(error.code, grpc.status.CANCELLED);
  },
  async cancel_after_first_response(client) {
    const call = client.FullDuplexCall();
    const end = collect(call, () => call.cancel());
    call.write(output([31415], {payload: zeros(27182)}));
    const {status, replies} = await end;
    assert.equal(status.code, grpc.status.CANCELLED);
    assert.deepEqual(sizesOf(replies), [31415]);
  },
  async status_code_and_message(client) {
    const response_status = {code: 2, message: 'test status message'};
    const {error} = await unary(client, 'UnaryCall', {response_status});
    assert.equal(error.code, 2);
    assert.equal(error.details, 'test status message');
    const call = client.FullDuplexCall();
    const end = collect(call);
    call.write({response_status});
    call.end();
    const {status} = await end;
    assert.equal(status.code, 2);
    assert.equal(status.details, 'test status message');
  },
  async special_status_message(client) {
    const {error} =
        await unary(client, 'UnaryCall', {response_status: {code: 2, message: SPECIAL}});
    assert.equal(error.code, 2);
    assert.equal(error.details, SPECIAL);
  },
  async custom_metadata(client) {
    const metadata = new grpc.Metadata();
    metadata.set(INITIAL, 'test_initial_metadata_value');
    metadata.set(TRAILING, Buffer.from([0xab, 0xab, 0xab]));
    const check = (headers, trailers) => {
      assert.deepEqual(headers.get(INITIAL), ['test_initial_metadata_value']);
      assert.deepEqual(trailers.get(TRAILING), [Buffer.from([0xab, 0xab, 0xab])]);
    };
    const result = await unary(client, 'UnaryCall', simple(), metadata);
    checkLarge(result);
    check(result.headers, result.trailers);
    const call = client.FullDuplexCall(metadata);
    const end = collect(call);
    call.write(output([314159], {payload: zeros(271828)}));
    call.end();
    const {headers, status, replies} = await end;
    assert.deepEqual(sizesOf(replies), [314159]);
    check(headers, status.metadata);
  },
  async unimplemented_method(client) {
    const {error} = await unary(client, 'UnimplementedCall', {});
    assert.equal(error.code, grpc.status.UNIMPLEMENTED);
  },
  async unimplemented_service() {
    const client = new UnimplementedService(`${flags.server_host}:${flags.server_port}`,
                                            grpc.credentials.createInsecure());
    const {error} = await unary(client, 'UnimplementedCall', {});
    assert.equal(error.code, grpc.status.UNIMPLEMENTED);
    client.close();
  },
  async pick_first_unary(client) {
    const ids = new Set();
    for (let i = 0; i < 100; ++i) {
      const request = {response_size: 1, fill_server_id: true};
      ids.add((await unary(client, 'UnaryCall', request)).reply.server_id);
    }
    assert.equal(ids.size, 1);
    assert.ok(!ids.has(''));
  },
  async rpc_soak(client) {
    for (let i = 0; i < 10; ++i) checkLarge(await unary(client, 'UnaryCall', simple()));
  },
  async channel_soak() {
    for (let i = 0; i < 10; ++i) {
      const fresh = connect({'grpc.use_local_subchannel_pool': 1});
      checkLarge(await unary(fresh, 'UnaryCall', simple()));
      fresh.close();
    }
  },
  async orca_per_rpc(client) {
    const report = {cpu_utilization: 0.8210, memory_utilization: 0.5847,
                    request_cost: {cost: 3456.32}, utilization: {util: 0.30499}};
    const {trailers} = await unary(client, 'UnaryCall', {orca_per_query_report: report});
    assert.equal(trailers.get('endpoint-load-metrics-bin').length, 1);
  },
};

// TestService as the descriptions define it.
const service = {
  EmptyCall: (call, done) => done(null, {}),
  UnaryCall: (call, done) => answer(call, done),
  CacheableUnaryCall: (call, done) => answer(call, done),
  StreamingInputCall(call, done) {
    let total = 0;
    call.on('data', (request) => {
      if (request.expect_compressed) {
        done({code: grpc.status.UNIMPLEMENTED, details: 'this peer cannot see compression'});
      }
      total += request.payload.body.length;
    });
    call.on('end', () => done(null, {aggregated_payload_size: total}));
  },
  async StreamingOutputCall(call) {
    if (await reply(call, call.request)) call.end();
  },
  FullDuplexCall(call) {
    const trailers = echo(call);
    // Iterating over the call would destroy it at the end of the requests: handle events in turn.
    let turn = Promise.resolve(true);
    call.on('data', (request) => {
      turn = turn.then(async (open) => open && await reply(call, request));
    });
    call.on('end', () => turn.then((open) => open && call.end(trailers)));
  },
  HalfDuplexCall(call) {
    const requests = [];
    call.on('data', (request) => requests.push(request));
    call.on('end', async () => {
      for (const request of requests) await reply(call, request);
      call.end();
    });
  },
};

// Sends the headers asked for; gives the trailers asked for.
function echo(call) {
  const trailers = new grpc.Metadata();
  const initial = call.metadata.get(INITIAL);
  if (initial.length > 0) {
    const headers = new grpc.Metadata();
    headers.set(INITIAL, initial[0]);
    call.sendMetadata(headers);
  }
  for (const value of call.metadata.get(TRAILING)) trailers.set(TRAILING, value);
  return trailers;
}

function answer(call, done) {
  const {request} = call;
  const trailers = echo(call);
  if (request.expect_compressed) {
    return done({code: grpc.status.UNIMPLEMENTED, details: 'this peer cannot see compression'});
  }
  if (request.response_status?.code) {
    return done({code: request.response_status.code, details: request.response_status.message});
  }
  return done(null, {payload: zeros(request.response_size),
                     server_id: request.fill_server_id ? 'node' : ''}, trailers);
}

async function reply(call, request) {
  if (request.response_status?.code) {
    const {code, message} = request.response_status;
    call.emit('error', {code, details: message});
    return false;
  }
  for (const {size, interval_us} of request.response_parameters) {
    if (interval_us > 0) await sleep(interval_us / 1000);
    call.write({payload: zeros(size)});
  }
  return true;
}

if (positionals[0] === 'server') {
  const server = new grpc.Server();
  server.addService(TestService.service, service);
  server.bindAsync(`127.0.0.1:${flags.port}`, grpc.ServerCredentials.createInsecure(),
                   (error, port) => {
                     if (error) throw error;
                     console.log(`READY ${port}`);
                   });
} else if (cases[flags.test_case] === undefined) {
  console.log(`this peer has no case ${flags.test_case}`);
  process.exit(3);
} else {
  const client = connect();
  try {
    await cases[flags.test_case](client);
    client.close();
  } catch (error) {
    console.log(`${flags.test_case}: ${error.message}`);
    process.exit(1);
  }
}
