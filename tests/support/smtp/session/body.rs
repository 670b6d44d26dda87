//! Reading a message, as a strict server does and as a lax one does.

use std::io::{BufRead, Read};
use std::mem;

use super::super::Stage;
use super::super::wire::Over;
use super::{Effect, Session};

impl Session<'_> {
    /// From the 354 to the reply to the dot, which ends the transaction in any case.
    pub(super) fn message(&mut self, to: Option<&str>) -> Result<(), Over> {
        self.body_left = u64::MAX;
        self.answer(Stage::Body, to, Effect::None)?;
        let data = if self.shared.setup.lax {
            self.body_of_the_lax()?
        } else {
            self.body()?
        };
        let early = self.shared.setup.answers_early;
        if early > 0 && !self.reader.buffer().is_empty() {
            return self.answer_envelope_first(to, data, early);
        }
        self.answer(Stage::Dot, to, Effect::Accept(data))?;
        if self.shared.setup.forgets {
            let waiting = self.reader.buffer().len();
            self.reader.consume(waiting);
        }
        self.take(Effect::Forget);
        Ok(())
    }

    /// Answers this many commands of the envelope behind a final dot, then the dot, then the rest.
    fn answer_envelope_first(
        &mut self,
        to: Option<&str>,
        data: Vec<u8>,
        early: usize,
    ) -> Result<(), Over> {
        let before = (self.sender.take(), mem::take(&mut self.recipients));
        let mut next_is_written = false;
        for _ in 0..early {
            let line = self.next_line()?;
            if line == "DATA" {
                let to = self.recipients.last().cloned();
                next_is_written = self.answer(Stage::Data, to.as_deref(), Effect::None)?;
            } else {
                self.execute(&line)?;
            }
        }
        let next = (self.sender.take(), mem::take(&mut self.recipients));
        (self.sender, self.recipients) = before;
        if self.reader.buffer().is_empty() {
            self.shared.journal().pipelined_dots += 1;
        }
        self.answer(Stage::Dot, to, Effect::Accept(data))?;
        (self.sender, self.recipients) = next;
        if next_is_written {
            let to = self.recipients.last().cloned();
            return self.message(to.as_deref());
        }
        Ok(())
    }

    /// Reads a message. Only CRLF ends a line, so `LF . LF` does not end the message.
    fn body(&mut self) -> Result<Vec<u8>, Over> {
        let mut data = Vec::new();
        let mut line_start = 0;
        loop {
            let at = data.len();
            let mut limited = (&mut self.reader).take(self.body_left);
            let read = limited.read_until(b'\n', &mut data)?;
            self.body_left -= read as u64;
            if self.body_left == 0 || data[at..].last() != Some(&b'\n') {
                return Err(Over);
            }

            if at == line_start && data[at] == b'.' {
                if &data[at..] == b".\r\n" {
                    data.truncate(at);
                    return Ok(data);
                }
                if data[at + 1] != b'.' {
                    self.violation("a dot at the start of a line is not doubled");
                }
                data.remove(at);
            }
            let crlf = data[line_start..].ends_with(b"\r\n");
            let text = &data[at..data.len() - if crlf { 2 } else { 1 }];
            if text.contains(&b'\r') {
                self.violation("bare CR in the body");
            }
            if crlf {
                // RFC 5321 §4.5.3.1.6; the doubled dot does not count.
                let octets = data.len() - line_start;
                if octets > 1000 {
                    self.violation(&format!("a body line of {octets} octets"));
                }
                line_start = data.len();
            } else {
                self.violation("bare LF in the body");
            }
        }
    }

    /// Reads a message as a vulnerable server does: any line end around a dot ends it.
    fn body_of_the_lax(&mut self) -> Result<Vec<u8>, Over> {
        const LINE_ENDS: [&[u8]; 3] = [b"\r\n", b"\n", b"\r"];
        let mut data = b"\r\n".to_vec();
        loop {
            let mut byte = [0];
            self.reader.read_exact(&mut byte)?;
            data.extend(byte);
            let dotted = LINE_ENDS.iter().find_map(|it| {
                let before = data.strip_suffix(*it)?.strip_suffix(b".")?;
                LINE_ENDS
                    .iter()
                    .any(|it| before.ends_with(it))
                    .then_some(before.len())
            });
            // `CR LF` ends a line, not its `CR` alone.
            let half = byte == *b"\r" && self.reader.fill_buf()?.first() == Some(&b'\n');
            if let Some(length) = dotted.filter(|_| !half) {
                let text = String::from_utf8_lossy(&data[2..length]).replace("\r\n..", "\r\n.");
                return Ok(text.into_bytes());
            }
        }
    }
}
