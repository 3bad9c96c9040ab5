import sharp from "sharp";
import type { Box } from "../schema/geometry.ts";
import type { TaskResult } from "../schema/result.ts";
import {
  type Canvas,
  type Colour,
  drawRing,
  drawText,
  fillBox,
  fillRings,
  widthOf,
} from "./drawing/canvas.ts";
import { type Shape, shapesOf } from "./drawing/shapes.ts";

/**
 * Draws the boxes, quads, polygons and labels of results on their image, as it is seen (EXIF
 * orientation applied, alpha over white), and returns it as a PNG of the same size. Results without
 * a place in the image (captions, answers) leave no mark.
 */
export async function annotate(image: Uint8Array, results: readonly TaskResult[]): Promise<Buffer> {
  const { data, info } = await sharp(image)
    .autoOrient()
    .flatten({ background: "white" })
    .toColourspace("srgb")
    .raw()
    .toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const canvas: Canvas = { width, height, pixels: data };
  draw(canvas, results.flatMap(shapesOf));
  return sharp(canvas.pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

function draw(canvas: Canvas, shapes: readonly Shape[]): void {
  const side = Math.sqrt(canvas.width * canvas.height);
  const pen = { width: Math.max(1.5, side / 260) };
  const colours = colourLabels(shapes);
  const colourOf = (shape: Shape) => colours.get(shape.label) ?? black;
  for (const shape of shapes)
    if (shape.isArea && shape.rings.length > 0)
      fillRings(canvas, shape.rings, { colour: colourOf(shape), opacity: 0.3 });
  for (const shape of shapes) {
    const rings =
      shape.rings.length > 0 ? shape.rings.map((ring) => ring.points) : [cornersOf(shape.box)];
    for (const ring of rings) {
      drawRing(canvas, ring, { colour: black, width: pen.width + Math.max(1, pen.width / 2) }); // a dark rim keeps any colour visible on any ground
      drawRing(canvas, ring, { colour: colourOf(shape), width: pen.width });
    }
  }
  const taken: Box[] = [];
  for (const shape of shapes)
    drawPlate(canvas, {
      shape,
      colour: colourOf(shape),
      capitalHeight: Math.max(7, side / 58),
      taken,
    });
}

/**
 * Writes a label on a plate in its colour: wholly inside the picture, at the place beside its shape
 * where it covers other plates least.
 */
function drawPlate(
  canvas: Canvas,
  plate: { shape: Shape; colour: Colour; capitalHeight: number; taken: Box[] },
): void {
  const { shape, colour, capitalHeight, taken } = plate;
  const padding = Math.round(capitalHeight * 0.45);
  const widthMax = Math.max(shape.box.x1 - shape.box.x0, canvas.width / 2) - 2 * padding;
  const text = cutToWidth(shape.label.replace(/\s+/g, " ").trim(), widthMax, capitalHeight);
  if (text === "") return;
  const width = Math.ceil(widthOf(text, capitalHeight)) + 2 * padding;
  const height = Math.ceil(capitalHeight * (9 / 7)) + 2 * padding; // room for descenders
  const { x0, y0, x1, y1 } = shape.box;
  const places = [
    { x: x0, y: y0 - height },
    { x: x0, y: y1 },
    { x: x0, y: y0 },
    { x: x1 - width, y: y0 - height },
    { x: x1 - width, y: y1 },
    { x: x1 - width, y: y1 - height },
  ].map(({ x, y }): Box => {
    const left = Math.round(Math.max(0, Math.min(x, canvas.width - width)));
    const top = Math.round(Math.max(0, Math.min(y, canvas.height - height)));
    return { x0: left, y0: top, x1: left + width, y1: top + height };
  });
  const covered = (place: Box) => taken.reduce((sum, other) => sum + overlap(place, other), 0);
  const place = places.reduce((best, next) => (covered(next) < covered(best) ? next : best));
  taken.push(place);
  fillBox(canvas, place, colour);
  const isBright = 0.299 * colour.red + 0.587 * colour.green + 0.114 * colour.blue > 140;
  drawText(canvas, text, {
    at: { x: place.x0 + padding, y: place.y0 + padding },
    capitalHeight,
    colour: isBright ? black : white,
  });
}

function cutToWidth(text: string, width: number, capitalHeight: number): string {
  if (widthOf(text, capitalHeight) <= width) return text;
  let end = text.length;
  while (end > 0 && widthOf(`${text.slice(0, end)}...`, capitalHeight) > width) end -= 1;
  return end === 0 ? "" : `${text.slice(0, end)}...`;
}

function cornersOf({ x0, y0, x1, y1 }: Box) {
  return [
    { x: x0, y: y0 },
    { x: x1, y: y0 },
    { x: x1, y: y1 },
    { x: x0, y: y1 },
  ];
}

function overlap(a: Box, b: Box): number {
  return (
    Math.max(0, Math.min(a.x1, b.x1) - Math.max(a.x0, b.x0)) *
    Math.max(0, Math.min(a.y1, b.y1) - Math.max(a.y0, b.y0))
  );
}

const black: Colour = { red: 12, green: 14, blue: 18 };
const white: Colour = { red: 255, green: 255, blue: 255 };

/**
 * Neighbours in this list are far apart in hue and lightness; after the last one it starts again.
 */
const palette: readonly Colour[] = [
  [255, 92, 71],
  [46, 196, 255],
  [255, 209, 56],
  [168, 102, 255],
  [88, 214, 112],
  [255, 122, 217],
  [25, 118, 210],
  [255, 153, 41],
  [20, 160, 133],
  [214, 40, 90],
  [178, 223, 64],
  [121, 85, 72],
].map(([red = 0, green = 0, blue = 0]) => ({ red, green, blue }));

function colourLabels(shapes: readonly Shape[]): Map<string, Colour> {
  const labels = [...new Set(shapes.map((shape) => shape.label))];
  return new Map(labels.map((label, i) => [label, palette[i % palette.length] ?? black]));
}
