import sharp from "sharp";

/**
 * Lets libvips read JPEG, PNG, WebP and GIF from memory and nothing else, in the whole process: the
 * loaders of SVG, PDF, TIFF and others are the attack surface of an image service.
 */
export function restrictLoaders(): void {
  sharp.block({ operation: ["VipsForeignLoad"] });
  sharp.unblock({
    operation: ["Jpeg", "Png", "Webp", "Nsgif"].map((format) => `VipsForeignLoad${format}Buffer`),
  });
}
