/**
 * The sentences Florence-2 was trained on, by its own task tokens; a word more or less and the
 * model guesses.
 */
export const plainPrompts = {
  "<CAPTION>": "What does the image describe?",
  "<DETAILED_CAPTION>": "Describe in detail what is shown in the image.",
  "<MORE_DETAILED_CAPTION>": "Describe with a paragraph what is shown in the image.",
  "<OD>": "Locate the objects with category name in the image.",
  "<DENSE_REGION_CAPTION>": "Locate the objects in the image, with their descriptions.",
  "<REGION_PROPOSAL>": "Locate the region proposals in the image.",
  "<OCR>": "What is the text in the image?",
  "<OCR_WITH_REGION>": "What is the text in the image, with regions?",
} as const;

/** Prompts around a text. `<VQA>` is the question itself: only fine-tuned models answer it. */
export const textPrompts = {
  "<CAPTION_TO_PHRASE_GROUNDING>": (caption: string) =>
    `Locate the phrases in the caption: ${caption}`,
  "<REFERRING_EXPRESSION_SEGMENTATION>": (expression: string) =>
    `Locate ${expression} in the image with mask`,
  "<OPEN_VOCABULARY_DETECTION>": (classes: string) => `Locate ${classes} in the image.`,
  "<VQA>": (question: string) => question,
} as const;

/** Prompts around the four location tokens of a region. */
export const regionPrompts = {
  "<REGION_TO_SEGMENTATION>": (region: string) => `What is the polygon mask of region ${region}`,
  "<REGION_TO_CATEGORY>": (region: string) => `What is the region ${region}?`,
  "<REGION_TO_DESCRIPTION>": (region: string) => `What does the region ${region} describe?`,
  "<REGION_TO_OCR>": (region: string) => `What text is in the region ${region}?`,
} as const;

/** What stands between the classes of one `<OPEN_VOCABULARY_DETECTION>`. */
export const classSeparator = " <and> ";
