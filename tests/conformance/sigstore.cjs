// Checks checkpoint and receipts with @sigstore/verify, the code that npm trusts for provenance.
const fs = require("node:fs");
const path = require("node:path");
const { createPublicKey } = require("node:crypto");

const [, , library, folder] = process.argv;
const { verifyCheckpoint } = require(path.join(library, "dist/tlog/checkpoint.js"));
const { verifyMerkleInclusion } = require(path.join(library, "dist/tlog/merkle.js"));

const read = (...parts) => fs.readFileSync(path.join(folder, ...parts), "utf8");
const SPKI = Buffer.from("302a300506032b6570032100", "hex");

// Keys of the log alone: the library knows no cosignatures.
const logs = read("log.vkey").split("\n").filter(Boolean).flatMap((vkey) => {
  const [name, id, rest] = vkey.split(/\+(.{8})\+/);
  const key = Buffer.from(rest, "base64");
  if (key[0] !== 1) return [];
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI, key.subarray(1)]), format: "der", type: "spki" });
  return [{ logID: Buffer.from(id, "hex"), baseURL: name, publicKey }];
});

const open = (envelope) => verifyCheckpoint({ inclusionProof: { checkpoint: { envelope } } }, logs);

open(read("log", "checkpoint"));
const receipts = fs.readdirSync(path.join(folder, "receipts"));
for (const file of receipts) {
  const [head, ...note] = read("receipts", file).split("\n\n");
  const [, extra, index, ...hashes] = head.split("\n");
  const entry = {
    canonicalizedBody: Buffer.from(extra.slice("extra ".length), "base64"),
    inclusionProof: {
      logIndex: index.slice("index ".length),
      hashes: hashes.map((hash) => Buffer.from(hash, "base64")),
    },
  };
  verifyMerkleInclusion(entry, open(note.join("\n\n")));
}
console.log(`1 checkpoint, ${receipts.length} receipts`);
