//! One conversation: a correct server, except for its script.

mod answer;
mod body;

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::sync::Arc;

use super::journal::Accepted;
use super::wire::{Over, Stream, Wire};
use super::{Open, STAGES, Shared, Stage, Swallows, Tls};

pub fn converse(socket: Arc<TcpStream>, shared: &Shared, connection: usize) -> Result<(), Over> {
    let stream = Stream::new(Wire::new(socket, shared, connection)?);
    let mut session = Session {
        shared,
        connection,
        reader: BufReader::with_capacity(16 * 1024, stream),
        reached: [0; STAGES],
        pipelining: false,
        greeted: false,
        logged_in: false,
        line: String::new(),
        login: None,
        sender: None,
        recipients: Vec::new(),
        body_left: u64::MAX,
    };
    // Declared after the session, so it is dropped before the socket closes and no client sees the end earlier.
    let _open = Open::enter(shared);
    session.run()
}

/// The normal effect of an accepted command.
enum Effect {
    None,
    Greet,
    Protect,
    LogIn,
    From(String),
    To(String),
    Accept(Vec<u8>),
    Forget,
}

struct Session<'s> {
    shared: &'s Shared,
    connection: usize,
    reader: BufReader<Stream<'s>>,
    reached: [usize; STAGES],
    /// Whether the reply to EHLO offered it.
    pipelining: bool,
    greeted: bool,
    logged_in: bool,
    /// The last command.
    line: String,
    /// The lines of an unfinished login.
    login: Option<Vec<String>>,
    sender: Option<String>,
    recipients: Vec<String>,
    /// Remaining bytes of the body until the connection closes.
    body_left: u64,
}

impl Session<'_> {
    fn run(&mut self) -> Result<(), Over> {
        self.answer(Stage::Connect, None, Effect::None)?;
        if let Some((Tls::Implicit, config)) = &self.shared.setup.tls {
            self.reader.get_mut().shake_hands(Arc::clone(config))?;
        }
        self.answer(Stage::Banner, None, Effect::None)?;
        loop {
            let line = self.command()?;
            if self.login.is_some() {
                self.log_in(&line)?;
            } else {
                self.execute(&line)?;
            }
        }
    }

    fn command(&mut self) -> Result<String, Over> {
        let line = self.next_line()?;
        let more = !self.reader.buffer().is_empty();
        let swallowed = match self.shared.setup.swallows {
            Swallows::FirstCommand | Swallows::All => line.starts_with("MAIL"),
            Swallows::SecondCommand => line.starts_with("RCPT"),
            Swallows::Rest | Swallows::Nothing => false,
        };
        match self.shared.setup.swallows {
            Swallows::Rest | Swallows::All if line.starts_with("MAIL") => {
                let waiting = self.reader.buffer().len();
                self.reader.consume(waiting);
            }
            _ => {}
        }
        if more && swallowed {
            return self.command();
        }
        Ok(line)
    }

    fn next_line(&mut self) -> Result<String, Over> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(Over);
        }
        let crlf = line.pop_if(|last| *last == b'\r').is_some();

        let text = String::from_utf8_lossy(&line).into_owned();
        if !crlf {
            self.violation(&format!("bare LF after the command {text:?}"));
        }
        if line.contains(&b'\r') {
            self.violation(&format!("bare CR in the command {text:?}"));
        }
        let mut journal = self.shared.journal();
        journal.commands.push((self.connection, text.clone()));
        drop(journal);
        self.line.clone_from(&text);
        Ok(text)
    }

    fn execute(&mut self, line: &str) -> Result<(), Over> {
        let verb = line.split(' ').next().unwrap_or(line).to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => {
                self.answer(Stage::Ehlo, None, Effect::Greet)?;
            }
            "HELO" => {
                self.take(Effect::Greet);
                self.write(None, b"250 localhost\r\n", None)?;
            }
            "STARTTLS" => self.protect(line)?,
            "AUTH" => {
                self.must_be_safe(line);
                if line.len() + 2 > 512 {
                    self.violation("a command of more than 512 bytes");
                }
                self.login = Some(Vec::new());
                self.log_in(line)?;
            }
            "MAIL" => match path(line, "MAIL FROM:<") {
                None => self.bad_syntax(line)?,
                Some(_) if !self.greeted || self.sender.is_some() => self.out_of_order(line)?,
                Some(from) => {
                    self.must_be_safe(line);
                    if self.shared.setup.login.is_some() && !self.logged_in {
                        self.violation("MAIL without a login");
                    }
                    self.answer(Stage::Mail, None, Effect::From(from.to_owned()))?;
                }
            },
            "RCPT" => match path(line, "RCPT TO:<") {
                None | Some("") => self.bad_syntax(line)?,
                Some(_) if self.sender.is_none() => self.out_of_order(line)?,
                Some(to) => {
                    self.answer(Stage::Rcpt, Some(to), Effect::To(to.to_owned()))?;
                }
            },
            "DATA" => match self.recipients.last().cloned() {
                None if !self.pipelining || self.sender.is_none() => self.out_of_order(line)?,
                to => {
                    if self.answer(Stage::Data, to.as_deref(), Effect::None)? {
                        self.message(to.as_deref())?;
                    }
                }
            },
            "RSET" => {
                self.answer(Stage::Rset, None, Effect::Forget)?;
            }
            "NOOP" => self.write(None, b"250 2.0.0 ok\r\n", None)?,
            "QUIT" => {
                self.answer(Stage::Quit, None, Effect::None)?;
                self.reader.get_mut().say_goodbye()?;
                return Err(Over);
            }
            _ => self.write(None, b"500 5.5.2 unknown command\r\n", None)?,
        }
        Ok(())
    }

    fn protect(&mut self, line: &str) -> Result<(), Over> {
        let Some((Tls::StartTls, config)) = &self.shared.setup.tls else {
            return self.write(None, b"502 5.5.1 no TLS here\r\n", None);
        };
        if self.reader.get_ref().is_safe() {
            return self.out_of_order(line);
        }
        if self.answer(Stage::StartTls, None, Effect::Protect)? {
            self.reader.get_mut().shake_hands(Arc::clone(config))?;
        }
        Ok(())
    }

    /// One line of a login; a 334 asks for another.
    fn log_in(&mut self, line: &str) -> Result<(), Over> {
        if let Some(lines) = &mut self.login {
            lines.push(line.to_owned());
        }
        let more = self.answer(Stage::Auth, None, Effect::LogIn)?;
        if self.logged_in || !more {
            self.login = None;
        }
        Ok(())
    }

    /// The reply of a correct server to the lines of a login so far.
    fn normal_login(&self) -> String {
        let lines = self.login.as_deref().unwrap_or_default();
        let Some(login) = &self.shared.setup.login else {
            return "502 5.5.1 no AUTH here".into();
        };
        let mut words = lines[0].split(' ').skip(1);
        let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
        let given: Vec<&str> = words.chain(lines[1..].iter().map(String::as_str)).collect();
        match (mechanism.as_str(), given.as_slice()) {
            ("LOGIN", []) => return "334 VXNlcm5hbWU6".into(),
            ("LOGIN", [_]) => return "334 UGFzc3dvcmQ6".into(),
            (_, []) => return "334 ".into(),
            _ if given.join(" ") == login.takes => return "235 2.7.0 welcome".into(),
            (mechanism, [response]) if login.tokens.accept(mechanism, response) => {
                return "235 2.7.0 welcome".into();
            }
            ("XOAUTH2" | "OAUTHBEARER", [_]) if !login.challenge.is_empty() => {
                return format!("334 {}", login.challenge);
            }
            // RFC 7628 §3.2.3; XOAUTH2 takes an empty line.
            ("OAUTHBEARER", [_, end]) if *end != "AQ==" => return "501 5.5.2 not AQ==".into(),
            ("XOAUTH2", [_, end]) if !end.is_empty() => return "501 5.5.2 not empty".into(),
            _ => {}
        }
        "535 5.7.8 bad credentials".into()
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::None => {}
            Effect::LogIn => self.logged_in = true,
            Effect::From(sender) => self.sender = Some(sender),
            Effect::To(recipient) => self.recipients.push(recipient),
            Effect::Accept(data) => {
                let message = Accepted {
                    connection: self.connection,
                    sender: self.sender.clone().unwrap_or_default(),
                    recipients: self.recipients.clone(),
                    data,
                };
                self.shared.journal().accept(message);
            }
            Effect::Greet | Effect::Forget | Effect::Protect => {
                self.greeted = match effect {
                    Effect::Greet => true,
                    // The state from before TLS is discarded (RFC 3207 §4.2).
                    Effect::Protect => false,
                    _ => self.greeted,
                };
                self.sender = None;
                self.recipients.clear();
            }
        }
    }

    fn must_be_safe(&self, line: &str) {
        if self.shared.setup.tls.is_some() && !self.reader.get_ref().is_safe() {
            let verb = line.split(' ').next().unwrap_or(line);
            self.violation(&format!("{verb} in clear"));
        }
    }

    fn bad_syntax(&mut self, line: &str) -> Result<(), Over> {
        self.violation(&format!("bad syntax in {line:?}"));
        self.write(None, b"501 5.5.4 bad syntax\r\n", None)
    }

    fn out_of_order(&mut self, line: &str) -> Result<(), Over> {
        // A pipelining client could not know that the previous command would be refused.
        if !self.pipelining {
            self.violation(&format!("out of order: {line:?}"));
        }
        self.write(None, b"503 5.5.1 out of order\r\n", None)
    }

    fn violation(&self, what: &str) {
        let what = format!("connection {}: {what}", self.connection);
        self.shared.journal().violations.push(what);
    }
}

/// The path of `MAIL FROM:<path> parameters`, `head` being the part up to `<` in any case.
fn path<'l>(line: &'l str, head: &str) -> Option<&'l str> {
    let (start, rest) = line.split_at_checked(head.len())?;
    let (path, parameters) = rest.split_once('>')?;
    let sound =
        start.eq_ignore_ascii_case(head) && (parameters.is_empty() || parameters.starts_with(' '));
    sound.then_some(path)
}
