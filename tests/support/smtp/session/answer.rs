//! The server's actions and replies at a stage: by the script, or those of a correct server.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::wire::Over;
use super::super::{Action, Call, Stage};
use super::{Effect, Session};

impl Session<'_> {
    /// Performs the script's action; returns whether the normal effect was applied.
    pub(super) fn answer(
        &mut self,
        stage: Stage,
        recipient: Option<&str>,
        mut effect: Effect,
    ) -> Result<bool, Over> {
        let nth = {
            let reached = &mut self.shared.journal().reached[stage as usize];
            *reached += 1;
            *reached - 1
        };
        let here = self.reached[stage as usize];
        self.reached[stage as usize] += 1;
        let mut action = (self.shared.script)(&Call {
            line: &self.line,
            stage,
            connection: self.connection,
            recipient,
            nth,
            here,
        });

        let mut taken = false;
        loop {
            match action {
                Action::Delay(time, then) => {
                    self.pause(time)?;
                    action = *then;
                }
                Action::Hold(gate, then) => {
                    gate.report();
                    while !gate.is_open() {
                        self.shared.rest(Duration::from_millis(5))?;
                    }
                    action = *then;
                }
                Action::AcceptThen(then) => {
                    self.take(mem::replace(&mut effect, Effect::None));
                    taken = true;
                    action = *then;
                }
                Action::Normal => {
                    action = Action::Reply(self.normal_reply(stage, recipient, nth));
                }
                Action::Reply(reply) => {
                    return Ok(self.reply(stage, &reply, &mut effect, None)? || taken);
                }
                Action::Drip(pause, reply) => {
                    return Ok(self.reply(stage, &reply, &mut effect, Some(pause))? || taken);
                }
                Action::ReplyThen(reply, then) => {
                    taken |= self.reply(stage, &reply, &mut effect, None)?;
                    action = *then;
                }
                Action::ReplyThenClose(reply) => {
                    self.reply(stage, &reply, &mut effect, None)?;
                    self.reader.get_mut().say_goodbye()?;
                    return Err(Over);
                }
                Action::CloseAfterBytes(bytes) if stage == Stage::Body && bytes > 0 => {
                    self.body_left = bytes as u64;
                    return Ok(true);
                }
                Action::Close | Action::CloseAfterBytes(_) => return Err(Over),
                Action::Reset => {
                    self.reader.get_mut().wire.reset()?;
                    return Err(Over);
                }
                Action::Stall => return Err(self.stall()),
                Action::Endless => return Err(self.endless()),
            }
        }
    }

    /// Applies the effect of a scripted reply and writes it; returns whether it had one.
    pub(super) fn reply(
        &mut self,
        stage: Stage,
        reply: &[u8],
        effect: &mut Effect,
        drip: Option<Duration>,
    ) -> Result<bool, Over> {
        let good = has_effect(stage, reply);
        // A 334 only continues the login.
        if good && !(stage == Stage::Auth && reply.starts_with(b"3")) {
            self.take(mem::replace(effect, Effect::None));
        }
        self.write(Some(stage), reply, drip)?;
        Ok(good)
    }

    /// Writes a reply, one byte at a time if it drips; `stage` is `None` for unscripted commands.
    pub(super) fn write(
        &mut self,
        stage: Option<Stage>,
        reply: &[u8],
        drip: Option<Duration>,
    ) -> Result<(), Over> {
        // Under PIPELINING only these must be the last of a group (RFC 2920 §3.1).
        let last = matches!(
            stage,
            Some(Stage::Ehlo | Stage::StartTls | Stage::Auth | Stage::Data)
        );
        let unasked = matches!(stage, Some(Stage::Connect | Stage::Body));
        if (!self.pipelining || last) && !unasked && !reply.is_empty() && self.more_waits()? {
            let place = stage.map_or("the last command".into(), |stage| format!("{stage:?}"));
            self.violation(&format!(
                "pipelined: bytes came before the reply to {place}"
            ));
        }
        if stage == Some(Stage::Dot) && self.more_waits()? {
            self.shared.journal().pipelined_dots += 1;
        }
        if stage == Some(Stage::Ehlo) {
            self.pipelining = String::from_utf8_lossy(reply)
                .to_ascii_uppercase()
                .contains("PIPELINING");
        }
        let stream = self.reader.get_mut();
        let Some(pause) = drip else {
            stream.write_all(reply)?;
            return Ok(stream.flush()?);
        };
        for byte in reply {
            self.shared.rest(pause)?;
            stream.write_all(&[*byte])?;
            stream.flush()?;
        }
        Ok(())
    }

    /// Whether the client has sent anything behind the current command.
    fn more_waits(&mut self) -> Result<bool, Over> {
        if !self.reader.buffer().is_empty() {
            return Ok(true);
        }
        let socket = Arc::clone(&self.reader.get_ref().wire.socket);
        socket.set_nonblocking(true)?;
        // Over TLS, bytes on the socket need not be application data, so try to read.
        let waits = socket.peek(&mut [0]).is_ok_and(|bytes| bytes > 0)
            && self.reader.fill_buf().is_ok_and(|bytes| !bytes.is_empty());
        socket.set_nonblocking(false)?;
        Ok(waits)
    }

    fn pause(&mut self, time: Duration) -> Result<(), Over> {
        let until = Instant::now() + time;
        if !time.is_zero() {
            let socket = &self.reader.get_ref().wire.socket;
            socket.set_read_timeout(Some(time))?;
            let seen = socket.peek(&mut [0]);
            socket.set_read_timeout(None)?;
            match seen {
                Ok(0) => return Err(Over),
                Err(error) if !is_timeout(&error) => return Err(Over),
                Ok(_) | Err(_) => {}
            }
        }
        self.shared
            .rest(until.saturating_duration_since(Instant::now()))
    }

    fn stall(&mut self) -> Over {
        let limit = match self.shared.setup.window {
            Some(_) => 0,
            None => 64 * 1024,
        };
        let taken = io::copy(&mut (&mut self.reader).take(limit), &mut io::sink());
        if taken.is_ok_and(|bytes| bytes == limit) {
            let socket = &self.reader.get_ref().wire.socket;
            while socket.peek(&mut [0]).is_ok_and(|bytes| bytes > 0)
                && self.shared.rest(Duration::from_millis(20)).is_ok()
            {}
        }
        Over
    }

    fn endless(&mut self) -> Over {
        let stream = self.reader.get_mut();
        let mut written = stream.write_all(b"250-");
        while written.is_ok() {
            written = stream.write_all(&[b'x'; 4096]);
        }
        Over
    }

    fn normal_reply(&self, stage: Stage, recipient: Option<&str>, nth: usize) -> Vec<u8> {
        let reply = match stage {
            Stage::Connect | Stage::Body => return Vec::new(),
            Stage::Banner => "220 localhost ESMTP".into(),
            Stage::Ehlo => self.offers(),
            Stage::StartTls => "220 2.0.0 go".into(),
            Stage::Auth => self.normal_login(),
            Stage::Mail => "250 2.1.0 sender ok".into(),
            Stage::Rcpt => "250 2.1.5 recipient ok".into(),
            // A relay may also reply 354 here, and 554 to the lone dot.
            Stage::Data if recipient.is_none() => "503 5.5.1 no valid recipients".into(),
            Stage::Data => "354 end with <CRLF>.<CRLF>".into(),
            Stage::Dot if recipient.is_none() => "554 5.5.1 no valid recipients".into(),
            Stage::Dot => format!("250 2.0.0 queued as {}", nth + 1),
            Stage::Rset => "250 2.0.0 forgotten".into(),
            Stage::Quit => "221 2.0.0 bye".into(),
        };
        format!("{reply}\r\n").into_bytes()
    }

    fn offers(&self) -> String {
        let setup = &self.shared.setup;
        let safe = self.reader.get_ref().is_safe();
        let mut lines = vec!["localhost".to_owned()];
        lines.extend(setup.offers.iter().map(|it| (*it).to_owned()));
        match &setup.login {
            Some(login) if safe || setup.tls.is_none() => {
                lines.push(format!("AUTH {}", login.mechanisms));
            }
            _ => {}
        }
        if !safe && setup.tls.is_some() {
            lines.push("STARTTLS".into());
        }
        let last = lines.pop().unwrap_or_default();
        let before: Vec<_> = lines.iter().map(|it| format!("250-{it}\r\n")).collect();
        format!("{}250 {last}", before.concat())
    }
}

fn has_effect(stage: Stage, reply: &[u8]) -> bool {
    match reply {
        [b'2', b'0'..=b'9', b'0'..=b'9', ..] => true,
        [b'3', b'0'..=b'9', b'0'..=b'9', ..] => stage != Stage::Dot,
        _ => false,
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
