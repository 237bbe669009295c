// PSBTs as QR codes: the BBQr format, in which signers with a camera read what does not fit one code.
// https://bbqr.org: eight signs of head (B$, encoding, kind of file, count, number), then the part.

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/** Signs of a code that a small screen and a plain camera still manage. */
const PART_MAX = 480;
const PARTS_MAX = 36 * 36 - 1;
const BYTES_MAX = 1 << 20;

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
}

export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

function toBase32(bytes: Uint8Array): string {
  let [text, bits, held] = ["", 0, 0];
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xffff;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += BASE32[(held >> (bits - 5)) & 31];
  }
  return bits > 0 ? text + BASE32[(held << (5 - bits)) & 31] : text;
}

function fromBase32(text: string): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  let [bits, held] = [0, 0];
  for (const sign of text) {
    const value = BASE32.indexOf(sign);
    if (value < 0) throw new Error("the code has a sign that is not of base 32");
    held = ((held << 5) | value) & 0xffff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((held >> bits) & 255);
    }
  }
  return Uint8Array.from(bytes);
}

/** The texts of the codes that carry a PSBT. */
export function split(psbt: string): string[] {
  const all = toBase32(fromBase64(psbt));
  // Each part but the last is whole bytes: eight signs are five of them.
  const size = PART_MAX - (PART_MAX % 8);
  const count = Math.max(1, Math.ceil(all.length / size));
  if (count > PARTS_MAX) throw new Error("the PSBT is too long for QR codes");
  const two = (value: number): string => value.toString(36).toUpperCase().padStart(2, "0");
  return Array.from({ length: count }, (_, at) => `B$2P${two(count)}${two(at)}${all.slice(at * size, (at + 1) * size)}`);
}

async function inflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const parts: Uint8Array[] = [];
  for (let size = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return Uint8Array.from(parts.flatMap((part) => [...part]));
    size += value.length;
    if (size > BYTES_MAX) throw new Error("the codes unpack to more than a PSBT may have");
    parts.push(value);
  }
}

/** Collects the codes of one PSBT, in any order. */
export class Joiner {
  private parts = new Map<number, string>();
  private kind = "";
  total = 0;

  get got(): number {
    return this.parts.size;
  }

  /** Takes what was read; gives the PSBT once all of it is there. */
  async take(text: string): Promise<string | undefined> {
    const found = /^B\$([H2Z])P([0-9A-Z]{2})([0-9A-Z]{2})(.*)$/s.exec(text);
    if (found === null) return isPsbt(text.trim()) ? text.trim() : undefined;
    const [, encoding, count, number, part] = found;
    if (encoding + count !== this.kind) {
      this.parts = new Map();
      this.kind = encoding + count;
      this.total = Number.parseInt(count, 36);
    }
    const at = Number.parseInt(number, 36);
    if (at >= this.total) return undefined;
    this.parts.set(at, part);
    if (this.parts.size < this.total) return undefined;
    const ordered = Array.from({ length: this.total }, (_, at) => this.parts.get(at) ?? "");
    if (encoding === "H") return toBase64(Uint8Array.from(ordered.join("").match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)));
    const bytes = Uint8Array.from(ordered.flatMap((one) => [...fromBase32(one)]));
    return toBase64(encoding === "Z" ? await inflate(bytes) : bytes);
  }
}

/** Whether a text begins as a PSBT in base 64 does. */
export function isPsbt(text: string): boolean {
  return /^cHNidP[0-9A-Za-z+/]+=*$/.test(text);
}
