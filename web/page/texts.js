/** What the page says, in the language that the browser asks for. */
const LANGUAGES = ["en", "de", "zh"];
const asked = (navigator.language || "en").slice(0, 2);
export const language = LANGUAGES.includes(asked) ? asked : "en";
/** How dates are written: also by the country. */
export const locale = asked === language ? navigator.language : language;
export const { text } = await import(`./texts/${language}.js`);
