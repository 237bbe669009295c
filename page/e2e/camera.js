// What a camera would see: QR codes, one after the other, as the video that Chromium's fake camera plays again and again.

import { writeFile } from "node:fs/promises";

import encode from "qr";

const [WIDTH, HEIGHT] = [640, 480];
/** Pictures in a second, and how many of each code: it is looked at some eight times a second. */
const [RATE, SHOWN] = [10, 6];

/** One picture in YUV 4:2:0, dark on light. */
function picture(text) {
  const rows = encode(text, "raw", { border: 4, ecc: "low" });
  const scale = Math.floor(HEIGHT / rows.length);
  const [left, top] = [Math.floor((WIDTH - scale * rows.length) / 2), Math.floor((HEIGHT - scale * rows.length) / 2)];
  const bytes = Buffer.alloc((WIDTH * HEIGHT * 3) / 2, 128);
  bytes.fill(235, 0, WIDTH * HEIGHT);
  rows.forEach((row, y) =>
    row.forEach((dark, x) => {
      for (let line = 0; dark && line < scale; line++) {
        const at = (top + y * scale + line) * WIDTH + left + x * scale;
        bytes.fill(16, at, at + scale);
      }
    }),
  );
  return bytes;
}

/** Codes of a PSBT in base 64 as another signer makes them: BBQr with hexadecimal digits. */
export function codesOf(psbt, parts) {
  const digits = Buffer.from(psbt, "base64").toString("hex").toUpperCase();
  const size = 2 * Math.ceil(digits.length / 2 / parts);
  const two = (value) => value.toString(36).toUpperCase().padStart(2, "0");
  return Array.from({ length: parts }, (_, at) => `B$HP${two(parts)}${two(at)}${digits.slice(at * size, (at + 1) * size)}`);
}

/** Writes the video, and gives what Chromium is started with to see it. */
export async function cameraOf(file, codes) {
  const frame = Buffer.from("FRAME\n");
  const frames = codes.flatMap((code) => Array.from({ length: SHOWN }).fill([frame, picture(code)]).flat());
  await writeFile(file, Buffer.concat([Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F${RATE}:1 Ip A1:1 C420jpeg\n`), ...frames]));
  return ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", `--use-file-for-fake-video-capture=${file}`];
}
