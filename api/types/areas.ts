import type { Size } from "../../schema/geometry.ts";

/**
 * A result in which every area has become a field with the argument `unit`. Areas are stored in
 * pixels of the image of the given size; they are known by their field names, whatever the type of
 * the result, so that a new kind of result needs no resolver.
 */
export function withUnits(value: unknown, size: Size): unknown {
  if (Array.isArray(value)) return value.map((item) => withUnits(item, size));
  if (!isObject(value)) return value;
  const entries = Object.entries(value).map(([name, inner]) => [
    name,
    areaFields.has(name) ? areaField(inner, size) : withUnits(inner, size),
  ]);
  return Object.fromEntries(entries);
}

const areaFields: ReadonlySet<string> = new Set(["box", "boxes", "quad", "polygons", "region"]);

function areaField(area: unknown, size: Size) {
  return ({ unit }: { unit: "PIXEL" | "NORMALIZED" }) =>
    unit === "PIXEL" ? area : normalized(area, size);
}

/** Boxes, points, and whatever is made of them, with coordinates from 0 to 1. */
function normalized(area: unknown, size: Size): unknown {
  if (Array.isArray(area)) return area.map((item) => normalized(item, size));
  if (!isObject(area)) return area;
  const entries = Object.entries(area).map(([name, value]) => {
    if (typeof value !== "number") return [name, normalized(value, size)];
    return [name, value / (name.startsWith("x") ? size.width : size.height)];
  });
  return Object.fromEntries(entries);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
