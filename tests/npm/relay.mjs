// A relay that requires a login over TLS, and fails where its settings say.
// Usage: node relay.mjs SETTINGS.json; prints its port.
//
// The settings: `options` of smtp-server, `user` with `password` and `token`, the path of a `journal` with one recipient
// a line, durable before the message is accepted, and `faults`. A fault has a `stage` (connect, auth, mail, rcpt, data,
// dot, accepted), optionally the `recipient` that it is for, and how many `times` it occurs (1); it replies with `code` and
// `text`, or without them closes the connection. `accepted` is behind the journal, before the reply.
import { fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { SMTPServer } from "smtp-server";

const settings = JSON.parse(readFileSync(process.argv[2]));
const journal = openSync(settings.journal, "a");
const left = settings.faults.map(({ times = 1 }) => times);

function reach(stage, session, proceed, recipient) {
  const index = settings.faults.findIndex(
    (it, at) => it.stage === stage && left[at] > 0 && [undefined, recipient].includes(it.recipient),
  );
  if (index < 0) return proceed();
  left[index] -= 1;
  const { code, text } = settings.faults[index];
  if (code) return proceed(Object.assign(new Error(text), { responseCode: code }));
  for (const connection of server.connections) {
    if (connection.id === session.id) connection.close();
  }
}

function logIn(auth, session, callback) {
  reach("auth", session, (error) => {
    if (error) return callback(error);
    const good = auth.username === settings.user &&
      (auth.method === "XOAUTH2" ? auth.accessToken === settings.token : auth.password === settings.password);
    callback(null, good ? { user: auth.username } : { data: { status: "401", schemes: "bearer" } });
  });
}

const server = new SMTPServer({
  ...settings.options,
  onConnect: (session, callback) => reach("connect", session, callback),
  onAuth: logIn,
  onMailFrom: (_address, session, callback) => reach("mail", session, callback),
  onRcptTo: ({ address }, session, callback) => reach("rcpt", session, callback, address),
  onData(stream, session, callback) {
    const [{ address }] = session.envelope.rcptTo;
    reach("data", session, () => stream.resume(), address);
    stream.once("end", () => {
      if (stream.sizeExceeded) return callback();
      reach("dot", session, (error) => {
        if (error) return callback(error);
        writeSync(journal, `${address}\n`);
        fsyncSync(journal);
        reach("accepted", session, (error) => callback(error, "queued"), address);
      }, address);
    });
  },
});
// A connection that the client or a fault ends.
server.on("error", () => {});
server.listen(0, "127.0.0.1", () => console.log(server.server.address().port));
