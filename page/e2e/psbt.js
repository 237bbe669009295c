// Transactions that no wallet makes: raw ones with any outputs, as PSBTs that a wallet signs.

const size = (value) => {
  if (value < 0xfd) return Buffer.from([value]);
  return value < 0x10000 ? Buffer.from([0xfd, value & 255, value >> 8]) : Buffer.concat([Buffer.from([0xfe]), le(value, 4)]);
};
const sized = (bytes) => Buffer.concat([size(bytes.length), bytes]);

function le(value, width) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes.subarray(0, width);
}

/** An output that carries bytes and is spent by nobody. */
export function dataOutput(bytes) {
  const push = bytes.length < 0x4c ? [bytes.length] : [0x4c, bytes.length];
  return { amount: 0n, script: Buffer.from([0x6a, ...push, ...bytes]) };
}

/** A PSBT in base 64 that spends one coin (of `listunspent`), made by a transaction in hex, for the outputs. */
export function psbtOf(coin, previous, outputs) {
  const amount = BigInt(Math.round(coin.amount * 1e7));
  const output = ({ amount, script }) => Buffer.concat([le(amount, 8), sized(script)]);
  const unsigned = Buffer.concat([
    le(2, 4),
    size(1),
    Buffer.from(coin.txid, "hex").reverse(),
    le(coin.vout, 4),
    size(0),
    le(0xffff_fffd, 4),
    size(outputs.length),
    ...outputs.map(output),
    le(0, 4),
  ]);
  const spent = output({ amount, script: Buffer.from(coin.scriptPubKey, "hex") });
  return Buffer.concat([
    Buffer.from("70736274ff", "hex"),
    Buffer.from("0100", "hex"),
    sized(unsigned),
    Buffer.from([0]),
    Buffer.from("0100", "hex"),
    sized(Buffer.from(previous, "hex")),
    Buffer.from("0101", "hex"),
    sized(spent),
    Buffer.from([0]),
    ...outputs.map(() => Buffer.from([0])),
  ]).toString("base64");
}
