// The same job by nodemailer's pool and nunjucks: rows read, templates rendered, sent, nothing
// verified or recorded.
// node nodemailer.mjs TEMPLATES JOB-FOLDER PORT
import { readFileSync } from "node:fs";
import { join } from "node:path";
import nodemailer from "nodemailer";
import nunjucks from "nunjucks";

const [templates, job, port, check] = process.argv.slice(2);
if (check) process.exit(0);
const words = new nunjucks.Environment(new nunjucks.FileSystemLoader(templates), { autoescape: true });
words.addTest("starting_with", (text, { pat }) => text.startsWith(pat));
words.addFilter("truncate", (text) => text.slice(0, 70));
const context = JSON.parse(readFileSync(join(job, "context.json"), "utf8"));
const { sender } = context;

const pool = nodemailer.createTransport({
  host: "127.0.0.1", port: Number(port), secure: false, ignoreTLS: true,
  pool: true, maxConnections: 8, maxMessages: Infinity,
});
const rows = readFileSync(join(job, "partners.csv"), "utf8").trim().split("\n").slice(1);
await Promise.all(rows.map((line) => {
  const [email, name, organization, locale] = line.split(",");
  const values = { ...context, partner: { email, name, organization }, locale, direction: "ltr" };
  const part = (file) => words.render(`${locale}/invitation.${file}`, values);
  return pool.sendMail({
    from: { name: sender.name, address: sender.address },
    to: { name, address: email },
    replyTo: sender.reply_to,
    subject: part("subject.txt").trim(), text: part("txt"), html: part("html"),
  });
}));
pool.close();
