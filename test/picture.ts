import sharp from "sharp";

/** A small picture in memory: a red box on a blue ground, as PNG. */
export function picture(
  size: { width: number; height: number } = { width: 320, height: 240 },
): Promise<Buffer> {
  const box = {
    create: {
      width: Math.ceil(size.width / 4),
      height: Math.ceil(size.height / 3),
      channels: 3,
      background: "#c33",
    },
  } as const;
  return sharp({ create: { ...size, channels: 3, background: "#35c" } })
    .composite([{ input: box, left: Math.floor(size.width / 4), top: Math.floor(size.height / 4) }])
    .png()
    .toBuffer();
}
