//! From the greeting to a connection that is ready for MAIL: EHLO, STARTTLS, login. A refusal of a step becomes
//! an error with a fix.

use std::net::IpAddr;

use secrecy::ExposeSecret;

use super::connect::{Connection, Connector};
use super::conversation::Conversation;
use super::credentials::{Credentials, Secret};
use super::ehlo::EhloExtensions;
use super::error::{ConnectError, NoReply};
use super::login::{LoginResult, log_in, mechanism};
use super::step::{Step, TokenFacts, patiently};
use super::token_refusal;
use super::wire::Wire;
use crate::config::{Login, Tls};
use crate::oauth::Claims;
use crate::outcome::{Phase, PhaseResult, Reply, phase_result};
use crate::refusal::{is_throttle, sender_side_remedy};

impl Connector {
    /// From the greeting to a connection that is ready for MAIL.
    pub(super) async fn introduce(
        &self,
        mut conversation: Connection,
        local: IpAddr,
        step: &mut impl FnMut(Step),
    ) -> Result<(Connection, EhloExtensions), ConnectError> {
        let hello = self.hello(local);
        let _ = self.local.set(local);
        if self.smtp.tls == Tls::StartTls {
            let wire = self.start_tls(conversation, &hello, step).await?;
            let limit = self.smtp.deadlines.of(Phase::Tls);
            let wire = self.tls_handshake(wire, limit, step).await?;
            conversation = Conversation::new(wire, self.smtp.deadlines);
        }
        let extensions = self.ehlo(&mut conversation, &hello, false, step).await?;
        if let (Some(Login { username, .. }), Some(credentials)) =
            (&self.smtp.login, &self.credentials)
        {
            self.log_in(&mut conversation, &extensions, username, credentials, step)
                .await?;
        }
        let pipelining = self.smtp.pipelining && !self.pipelining.is_lock_step();
        conversation.use_extensions(&extensions, pipelining);
        Ok((conversation, extensions))
    }

    /// EHLO and STARTTLS in clear text; returns the stream on which TLS begins.
    async fn start_tls(
        &self,
        mut conversation: Connection,
        hello: &str,
        step: &mut impl FnMut(Step),
    ) -> Result<Box<dyn Wire>, ConnectError> {
        let offered = self.ehlo(&mut conversation, hello, true, step).await?;
        if !offered.starttls {
            let why = "it does not offer STARTTLS, and nothing is sent without TLS; if the relay has port 465, set that and `smtp.tls = \"implicit\"`";
            return Err(self.error(Phase::StartTls, false, why));
        }
        let reply = conversation.starttls().await;
        self.check_reply(Phase::StartTls, reply)?;
        conversation.into_stream().await.map_err(|no_reply| {
            let why = format!(
                "{no_reply}; the connection may have been tampered with, so find out why before you send from this network"
            );
            self.error(Phase::StartTls, false, &why)
        })
    }

    async fn ehlo(
        &self,
        conversation: &mut Connection,
        hello: &str,
        before_tls: bool,
        step: &mut impl FnMut(Step),
    ) -> Result<EhloExtensions, ConnectError> {
        let waiting = || "waiting for the reply to EHLO".to_owned();
        match patiently(waiting, step, conversation.ehlo(hello)).await {
            Ok((reply, offered)) => {
                self.check_reply(Phase::Ehlo, Ok(reply))?;
                step(Step::Extensions {
                    hello: hello.to_owned(),
                    before_tls,
                    offered: offered.clone(),
                });
                Ok(offered)
            }
            Err(no_reply) => Err(self.no_reply(Phase::Ehlo, &no_reply)),
        }
    }

    /// Requests an access token before the connection is opened, if the login needs one.
    pub(super) async fn prepare_login(
        &self,
        step: &mut impl FnMut(Step),
    ) -> Result<(), ConnectError> {
        if let Some(credentials) = &self.credentials {
            let waiting = || "waiting for the issuer of access tokens".to_owned();
            let prepared = patiently(waiting, step, credentials.prepare()).await;
            let prepared =
                prepared.map_err(|error| ConnectError::no_credentials(&self.relay(), &error))?;
            if let Some(facts) = prepared {
                step(Step::TokenReceived(facts));
            }
        }
        Ok(())
    }

    /// Logs in. After a refusal, this run does not try again, except with a new access token if the
    /// refused one was accepted before.
    async fn log_in(
        &self,
        conversation: &mut Connection,
        extensions: &EhloExtensions,
        username: &str,
        credentials: &Credentials,
        step: &mut impl FnMut(Step),
    ) -> Result<(), ConnectError> {
        let waiting = || "waiting for the secret of the login".to_owned();
        let no_credentials = |error| ConnectError::no_credentials(&self.relay(), &error);
        let secret = patiently(waiting, step, credentials.secret()).await;
        let secret = secret.map_err(no_credentials)?;
        if let Secret::Printed(token) = &secret {
            step(Step::TokenReceived(TokenFacts {
                source: "`smtp.token_command`".into(),
                valid_for: None,
                claims: Claims::read(token.expose_secret()),
            }));
        }
        let mut logins = self.logins.lock().await;
        logins.check_allowed()?;
        // Another connection may have replaced the token while this one waited for its turn.
        let secret = credentials.replaced(secret).await.map_err(no_credentials)?;
        // If there is none, no credential is sent, so none is refused.
        let mechanism = mechanism(&secret, extensions);
        let mechanism = mechanism.map_err(|why| self.error(Phase::Auth, false, &why))?;
        let relay = (self.smtp.host.as_str(), self.smtp.port);
        let waiting = || format!("logging in as {username}");
        let login = log_in(conversation, mechanism, username, relay, &secret);
        let result = match patiently(waiting, step, login).await {
            Err(no_reply) => Err(self.no_reply(Phase::Auth, &no_reply)),
            // More challenges than the mechanism defines could continue without end.
            Ok(LoginResult::Reply(reply)) if reply.class() == 3 => {
                let why = format!(
                    "unexpected AUTH challenge \"{reply}\"; ask its operator how programs log in"
                );
                Err(self.error(Phase::Auth, false, &why))
            }
            Ok(LoginResult::Reply(reply)) => self.check_reply(Phase::Auth, Ok(reply)),
            Ok(LoginResult::TokenRefused(challenge, reply)) => {
                Err(self.token_refused(challenge, reply))
            }
        };
        if let Secret::Issued(token) = secret {
            match &result {
                Ok(_) => logins.accepted = Some(token),
                Err(error) if !error.temporary && logins.accepted.as_ref() == Some(&token) => {
                    credentials.invalidate(&token);
                    logins.accepted = None;
                    let why = format!("{}; a new access token is requested", error.why);
                    return Err(ConnectError::new(Phase::Auth, true, why));
                }
                Err(_) => {}
            }
        }
        logins.refused = result.as_ref().err().filter(|it| !it.temporary).cloned();
        if result.is_ok() {
            step(Step::LoggedIn {
                username: username.to_owned(),
                mechanism,
            });
        }
        result.map(drop)
    }

    fn token_refused(&self, challenge: Option<String>, reply: Reply) -> ConnectError {
        let temporary = phase_result(Phase::Auth, Some(&reply)) == PhaseResult::Unavailable;
        let of_token =
            challenge.map_or_else(String::new, |it| format!(", and about the token: {it}"));
        let remedy = token_refusal::remedy(&self.smtp, &reply);
        let separator = if remedy.contains('\n') { ":\n" } else { "; " };
        let why = format!("it replied \"{reply}\"{of_token}{separator}{remedy}");
        ConnectError {
            throttled: is_throttle(&reply).then_some(reply),
            ..self.error(Phase::Auth, temporary, &why)
        }
    }

    /// The reply if the phase succeeded, otherwise the error.
    pub(super) fn check_reply(
        &self,
        phase: Phase,
        reply: Result<Reply, NoReply>,
    ) -> Result<Reply, ConnectError> {
        let reply = reply.map_err(|it| self.no_reply(phase, &it))?;
        let result = phase_result(phase, Some(&reply));
        if result == PhaseResult::Proceed {
            return Ok(reply);
        }
        let temporary = result == PhaseResult::Unavailable;
        let fix = sender_side_remedy(&reply).unwrap_or(if temporary {
            "the next run tries again"
        } else {
            "ask its operator whether this machine may send through it"
        });
        let why = format!("it replied \"{reply}\"; {fix}");
        // In reply to STARTTLS, 454 has another meaning (RFC 3207).
        let throttled = phase != Phase::StartTls && is_throttle(&reply);
        Err(ConnectError {
            throttled: throttled.then_some(reply),
            ..self.error(phase, temporary, &why)
        })
    }

    fn no_reply(&self, phase: Phase, no_reply: &NoReply) -> ConnectError {
        let fix = match phase {
            Phase::Banner => self.greeting_fix(),
            _ => "the next run tries again",
        };
        self.error(phase, true, &format!("{no_reply}; {fix}"))
    }

    fn error(&self, phase: Phase, temporary: bool, why: &str) -> ConnectError {
        let relay = self.relay();
        let why = format!("cannot use the relay {relay} ({phase}): {why}");
        ConnectError::new(phase, temporary, why)
    }

    /// What to check if no greeting comes.
    pub(super) fn greeting_fix(&self) -> &'static str {
        match self.smtp.tls {
            Tls::StartTls => {
                "a port that begins with TLS is silent like this: for such a port (465) set `smtp.tls = \"implicit\"`, otherwise check `smtp.port`"
            }
            Tls::Implicit | Tls::None => {
                "check `smtp.port`, and that `smtp.tls` fits it (\"implicit\" for 465, \"starttls\" for 587)"
            }
        }
    }
}
