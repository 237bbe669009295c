// Reads QR codes from pictures and from the camera. The reader is loaded with this file, which is loaded when somebody
// wants to read one.

import decode from "qr/decode.js";

/** Longest side of what is looked at: more is slow and finds no more. */
const SIDE_MAX = 1_200;

function read(source: CanvasImageSource, width: number, height: number): string | undefined {
  const scale = Math.min(1, SIDE_MAX / Math.max(width, height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) return undefined;
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  try {
    return decode({ width: canvas.width, height: canvas.height, data });
  } catch {
    return undefined;
  }
}

/** The text of the code in a picture, if there is one. */
export async function readPicture(file: Blob): Promise<string | undefined> {
  const picture = await createImageBitmap(file);
  try {
    return read(picture, picture.width, picture.height);
  } finally {
    picture.close();
  }
}

/** Shows the camera in `video` and tells each text that it sees, until the function that is returned is called. */
export async function readCamera(video: HTMLVideoElement, see: (text: string) => void): Promise<() => void> {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
  let running = true;
  video.srcObject = stream;
  await video.play();
  const look = (): void => {
    if (!running) return;
    const text = video.videoWidth > 0 ? read(video, video.videoWidth, video.videoHeight) : undefined;
    if (text !== undefined) see(text);
    setTimeout(look, 120);
  };
  look();
  return () => {
    running = false;
    video.srcObject = null;
    for (const track of stream.getTracks()) track.stop();
  };
}
