// The same partners by nodemailer's pool: rows read, words filled in, sent, nothing recorded.
// node nodemailer.mjs MESSAGES-FOLDER JOB-FOLDER PORT
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import nodemailer from "nodemailer";

const [messages, job, port, check] = process.argv.slice(2);
if (check) process.exit(0);
const [first] = readdirSync(messages).filter((name) => name.endsWith(".html"));
const html = readFileSync(join(messages, first), "utf8");
const text = readFileSync(join(messages, first.replace(/html$/, "txt")), "utf8");
const fill = (words, row) =>
  words.replaceAll("Ada Partner 0", row.name).replaceAll("partner0@company0.example", row.email);

const pool = nodemailer.createTransport({
  host: "127.0.0.1", port: Number(port), secure: false, ignoreTLS: true,
  pool: true, maxConnections: 8, maxMessages: Infinity,
});
const rows = readFileSync(join(job, "partners.csv"), "utf8").trim().split("\n").slice(1);
await Promise.all(rows.map((line) => {
  const [email, name] = line.split(",");
  return pool.sendMail({
    from: "Contoso Partner Access <access@contoso.example>",
    to: { name, address: email },
    subject: "Contoso invites you to request access: Project space",
    text: fill(text, { name, email }), html: fill(html, { name, email }),
  });
}));
pool.close();
