/** What the page says, in the language that the browser asks for. */
const LANGUAGES = ["en", "de", "zh"];
const asked = (navigator.language || "en").slice(0, 2);
export const language = LANGUAGES.includes(asked) ? asked : "en";
export const { text } = await import(`./texts/${language}.js`);
