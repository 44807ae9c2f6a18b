// One of bench/compare's peers: the requests of a file against Redis, with or without the
// client's own cache.
//
// usage: node peer.mjs CLIENT plain|cached SOCKET REQUESTS SECONDS VALUE-BYTES
//
// CLIENT is the folder that @redis/client was installed below.  Prints as peer.php does.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [, , folder, kind, socket, file, seconds, bytes] = process.argv;
const { createClient, BasicClientSideCache } = createRequire(`${folder}/`)('@redis/client');
const options = { socket: { path: socket }, RESP: 3 };

if (kind === 'cached') {
	options.clientSideCache = new BasicClientSideCache({ maxEntries: 0, ttl: 0 });
}
const client = createClient(options);
client.on('error', (error) => {
	console.error(error.message);
	process.exit(1);
});
await client.connect();

const requests = readFileSync(file, 'utf8').trimEnd().split('\n').map((line) => {
	const [, key, , operation] = line.split(',');
	return [key, operation === 'set'];
});
const valueOf = (key) => `${key}:`.padEnd(Number(bytes), 'v');

async function run(length, latencies) {
	const begun = process.hrtime.bigint();
	const end = begun + BigInt(Math.round(length * 1e9));
	let done = 0;

	for (; process.hrtime.bigint() < end; done++) {
		const [key, isSet] = requests[done % requests.length];

		if (isSet) {
			await client.set(key, valueOf(key));
			continue;
		}
		const before = process.hrtime.bigint();
		const value = await client.get(key);
		latencies?.push(Number(process.hrtime.bigint() - before));
		if (value === null) {
			await client.set(key, valueOf(key));
		} else if (value !== valueOf(key)) {
			console.error(`a wrong value of ${key}`);
			process.exit(1);
		}
	}
	return done / (Number(process.hrtime.bigint() - begun) / 1e9);
}

await run(Number(seconds) / 2, null);
const latencies = [];
const rate = await run(Number(seconds), latencies);
latencies.sort((a, b) => a - b);
const at = (share) => latencies[Math.floor(share * (latencies.length - 1))];
console.log(JSON.stringify({ requests_per_second: rate, p50_ns: at(0.5), p99_ns: at(0.99) }));
client.destroy();
