// Writes the licences of everything that the build contains beside it.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

const bundled = [
  "three",
  ...readdirSync("node_modules/@pixiv").filter((name) => name.startsWith("three-vrm")).map((name) => `@pixiv/${name}`),
  "@fontsource-variable/archivo",
];
const notices = bundled.map((name) => {
  const folder = `node_modules/${name}`;
  const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${name} has no licence file`);
  const text = readFileSync(`${folder}/${file}`, "utf8");
  return `${name} ${version} (${license})\n\n${text.trim()}\n`;
});
const target = "../bailando/engine/viewer/static/LICENSES.txt";
writeFileSync(target, `The viewer contains these works:\n\n${notices.join(`\n${"-".repeat(78)}\n\n`)}`);
