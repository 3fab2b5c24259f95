// Node's fetch: fetch.mjs FILES ORIGIN ECHO; prints JSON of what it got. NODE_EXTRA_CA_CERTS names the authority.
import { createHash } from "node:crypto";

const [files, origin, echo] = process.argv.slice(2);

async function digest(response) {
  const hash = createHash("sha256");
  for await (const piece of response.body) hash.update(piece);
  return hash.digest("hex");
}

async function* pieces() {
  for (let number = 0; number < 200; number++) yield Buffer.alloc(100_000, number);
}

const found = {};
found.big = await digest(await fetch(`${files}/big.bin`));
const stored = await fetch(`${origin}/store`, {
  method: "POST",
  body: ReadableStream.from(pieces()),
  duplex: "half",
});
found.stored = (await stored.json()).sha256;
const echoed = await fetch(`${echo}/echo`, {
  method: "POST",
  body: ReadableStream.from(pieces()),
  duplex: "half",
});
found.echoed = await digest(echoed);
const hash = createHash("sha256");
for await (const piece of pieces()) hash.update(piece);
found.sent = hash.digest("hex");
found.many = (await Promise.all(Array.from({ length: 50 }, async () => {
  const response = await fetch(`${files}/small.txt`);
  return response.ok && (await response.text()).length;
}))).filter(Boolean).length;
console.log(JSON.stringify(found));
