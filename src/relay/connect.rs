//! Opening a connection: addresses, TCP, TLS, greeting, EHLO, login.
//!
//! The addresses of the relay are tried in turn until one sends a greeting; if none does, all failures
//! are reported together. Each step is announced before it can block.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex as SyncMutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::addresses::{Budget, all_failed, look_up};
use super::conversation::Conversation;
use super::credentials::secret;
use super::ehlo::{EhloExtensions, client_name};
use super::error::{ConnectError, NoReply, SetupError, seconds};
use super::login::{LoginResult, log_in};
use super::pipelining::PipeliningProbe;
use super::tls;
use super::wire::Wire;
use crate::address::Address;
use crate::config::{Login, Smtp, Tls};
use crate::os_error::without_os_code;
use crate::outcome::{Phase, PhaseResult, Reply, phase_result};
use crate::refusal::{SenderIdentity, is_throttle, sender_side_remedy};

/// How long a diagnosis waits for the greeting before it says what a silent port may mean.
const SILENCE: Duration = Duration::from_secs(10);

/// A connection that is ready for MAIL.
pub type Connection = Conversation<Box<dyn Wire>>;

/// Opens the connections of the simulation; none means that the connection is refused.
#[cfg(test)]
pub type Dialer = dyn Fn() -> Option<Box<dyn Wire>> + Send + Sync;

/// Opens connections to the configured relay, and keeps what the connections of a run share.
pub struct Connector {
    smtp: Smtp,
    tls: Option<TlsConnector>,
    /// Whether a login was refused. Locked during a login, so that one refusal is the only one of a
    /// run and no account is locked.
    login_refused: Mutex<bool>,
    /// This machine's address on the first connection.
    local: OnceLock<IpAddr>,
    /// What the run has learnt about pipelining with this relay.
    pub pipelining: PipeliningProbe,
    /// The address that sent a greeting last; later connections try it first.
    greeted: SyncMutex<Option<SocketAddr>>,
    /// Addresses to use instead of those of `smtp.host`.
    addresses: Option<Vec<SocketAddr>>,
    #[cfg(test)]
    dialer: Option<Box<Dialer>>,
}

impl Connector {
    /// A connector for this relay. Reads the trusted certificates.
    ///
    /// # Errors
    /// If `ca_file` cannot be used.
    pub fn new(smtp: &Smtp) -> Result<Self, SetupError> {
        let tls = match smtp.tls {
            Tls::None => None,
            Tls::Implicit | Tls::StartTls => Some(tls::connector(smtp)?),
        };
        Ok(Self {
            smtp: smtp.clone(),
            tls,
            login_refused: Mutex::default(),
            local: OnceLock::new(),
            pipelining: PipeliningProbe::default(),
            greeted: SyncMutex::default(),
            addresses: None,
            #[cfg(test)]
            dialer: None,
        })
    }

    /// A connector whose connections come from `dial`.
    ///
    /// # Errors
    /// As [`Connector::new`].
    #[cfg(test)]
    pub fn with_test_dialer(smtp: &Smtp, dial: Box<Dialer>) -> Result<Self, SetupError> {
        Ok(Self {
            dialer: Some(dial),
            addresses: Some(vec![SocketAddr::from(([127, 0, 0, 1], smtp.port))]),
            ..Self::new(smtp)?
        })
    }

    /// Connects to these addresses instead of those of `smtp.host`. Tests use it to give a relay
    /// several addresses.
    #[must_use]
    pub fn with_addresses(mut self, addresses: Vec<SocketAddr>) -> Self {
        self.addresses = Some(addresses);
        self
    }

    /// The relay's name and port, for the record.
    #[must_use]
    pub fn relay(&self) -> String {
        let Smtp { host, port, .. } = &self.smtp;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    /// The names by which the relay may refer to the sender, as far as they are known.
    #[must_use]
    pub fn sender_identity(&self, sender: &Address) -> SenderIdentity {
        let local = self.local.get().copied();
        let hello = local.map(|it| self.hello(it));
        let login = self.smtp.login.as_ref().map(|it| it.username.as_str());
        SenderIdentity::new(sender, login, hello.as_deref(), local)
    }

    /// Opens a connection that is ready for MAIL.
    ///
    /// # Errors
    /// Where it failed, and whether another try may help.
    pub async fn open(&self) -> Result<Connection, ConnectError> {
        self.establish(&mut |_: &str| {}).await
    }

    /// Opens a connection and closes it again. `step` receives each step when it begins and when it has
    /// succeeded, so that the last one shows where a connection hangs.
    ///
    /// # Errors
    /// As [`Connector::open`].
    pub async fn diagnose(&self, step: &mut impl FnMut(&str)) -> Result<(), ConnectError> {
        self.establish(step).await?.quit().await;
        Ok(())
    }

    async fn establish(&self, step: &mut impl FnMut(&str)) -> Result<Connection, ConnectError> {
        // If another connection is logging in, the result is checked before this one does.
        if let Ok(refused) = self.login_refused.try_lock() {
            self.check_login_allowed(*refused)?;
        }
        let addresses = self.resolve(step).await?;
        let mut budget = Budget::new(&self.smtp.deadlines, addresses.len());
        let mut failures = Vec::new();
        for address in addresses {
            match self.reach(address, &mut budget, step).await {
                Ok((conversation, local)) => {
                    *self.greeted() = Some(address);
                    return self.introduce(conversation, local, step).await;
                }
                Err(error) => {
                    if budget.next_address() {
                        step(&format!("{error}; trying the next address"));
                    }
                    failures.push((address, error));
                }
            }
        }
        Err(all_failed(&self.relay(), failures))
    }

    fn greeted(&self) -> std::sync::MutexGuard<'_, Option<SocketAddr>> {
        self.greeted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses of the relay, the one that sent a greeting last before all others.
    async fn resolve(&self, step: &mut impl FnMut(&str)) -> Result<Vec<SocketAddr>, ConnectError> {
        let host = &self.smtp.host;
        let mut addresses = match &self.addresses {
            Some(addresses) => addresses.clone(),
            None => look_up(&self.smtp, step).await?,
        };
        let mut seen = HashSet::new();
        addresses.retain(|it| seen.insert(*it));
        if addresses.is_empty() {
            let why = format!("the relay `{host}` has no address; check `smtp.host`");
            return Err(ConnectError::new(Phase::Connect, true, why));
        }
        let is_remote = |it: &SocketAddr| !it.ip().to_canonical().is_loopback();
        if self.tls.is_none() && addresses.iter().any(is_remote) {
            let why = format!(
                "the relay `{host}` is not on this machine, and `smtp.tls = \"none\"` would send the mail unencrypted; use \"starttls\" or \"implicit\""
            );
            return Err(ConnectError::new(Phase::Connect, false, why));
        }
        let greeted = *self.greeted();
        addresses.sort_by_key(|it| Some(*it) != greeted);
        Ok(addresses)
    }

    /// Connects to one address and waits for its greeting. Gives the local address, too.
    async fn reach(
        &self,
        address: SocketAddr,
        budget: &mut Budget,
        step: &mut impl FnMut(&str),
    ) -> Result<(Connection, IpAddr), ConnectError> {
        let name = self.name_of(address);
        step(&format!("connecting to {name}"));
        let limit = budget.begin(Phase::Connect);
        let (mut wire, local) = self.connect(address, limit).await?;
        step(&format!("connected to {name}"));
        if self.smtp.tls == Tls::Implicit {
            let limit = budget.begin(Phase::Tls);
            wire = self.tls_handshake(wire, limit, step).await?;
        }
        let mut conversation = Conversation::new(wire, self.smtp.deadlines);
        let limit = budget.begin(Phase::Banner);
        let up_to = seconds(limit);
        step(&format!("waiting for the greeting, for up to {up_to}"));
        let banner = self.greeting(&mut conversation, limit, step).await;
        let banner = self.check_reply(Phase::Banner, banner)?;
        self.pipelining.inspect_banner(&banner.text);
        step(&format!("received the greeting \"{banner}\""));
        Ok((conversation, local))
    }

    /// The relay's name, and the address if that is another.
    fn name_of(&self, address: SocketAddr) -> String {
        let (relay, address) = (self.relay(), address.to_string());
        if address == relay {
            relay
        } else {
            format!("{relay} ({address})")
        }
    }

    async fn connect(
        &self,
        address: SocketAddr,
        limit: Duration,
    ) -> Result<(Box<dyn Wire>, IpAddr), ConnectError> {
        let error = |why: &str| {
            let why = format!(
                "cannot connect to the relay {}: {why}; check `smtp.host` and `smtp.port`, that the relay runs, and that no firewall blocks the connection",
                self.name_of(address)
            );
            ConnectError::new(Phase::Connect, true, why)
        };
        #[cfg(test)]
        if let Some(dial) = &self.dialer {
            let wire = dial().ok_or_else(|| error("connection refused"))?;
            return Ok((wire, address.ip()));
        }
        let connected = timeout(limit, TcpStream::connect(address)).await;
        let connected =
            connected.map_err(|_| error(&format!("no answer within {}", seconds(limit))))?;
        let local = connected.and_then(|tcp| {
            // Otherwise every message would wait for a delayed acknowledgement.
            tcp.set_nodelay(true)?;
            let local = tcp.local_addr()?.ip();
            Ok((Box::new(tcp) as Box<dyn Wire>, local))
        });
        local.map_err(|it| error(&without_os_code(it)))
    }

    async fn tls_handshake(
        &self,
        wire: Box<dyn Wire>,
        limit: Duration,
        step: &mut impl FnMut(&str),
    ) -> Result<Box<dyn Wire>, ConnectError> {
        let tls = self.tls.as_ref().expect("it was made for this mode");
        step("beginning TLS");
        let secured = tls::handshake(tls, wire, limit, &self.smtp).await;
        let secured = secured.map_err(|error| ConnectError {
            why: format!("no TLS with the relay {}: {error}", self.relay()),
            ..error
        })?;
        let host = &self.smtp.host;
        step(&format!("TLS, with a certificate that is valid for {host}"));
        Ok(secured)
    }

    /// The greeting; a long wait is explained while it lasts.
    async fn greeting(
        &self,
        conversation: &mut Connection,
        limit: Duration,
        step: &mut impl FnMut(&str),
    ) -> Result<Reply, NoReply> {
        let banner = conversation.banner_within(limit);
        tokio::pin!(banner);
        if let Ok(banner) = timeout(SILENCE, &mut banner).await {
            return banner;
        }
        step(&format!("no greeting yet; {}", self.greeting_fix()));
        banner.await
    }

    /// What to check if no greeting comes.
    fn greeting_fix(&self) -> &'static str {
        match self.smtp.tls {
            Tls::StartTls => {
                "a port that begins with TLS is silent like this: for such a port (465) set `smtp.tls = \"implicit\"`, otherwise check `smtp.port`"
            }
            Tls::Implicit | Tls::None => {
                "check `smtp.port`, and that `smtp.tls` fits it (\"implicit\" for 465, \"starttls\" for 587)"
            }
        }
    }

    /// From the greeting to a connection that is ready for MAIL.
    async fn introduce(
        &self,
        mut conversation: Connection,
        local: IpAddr,
        step: &mut impl FnMut(&str),
    ) -> Result<Connection, ConnectError> {
        let hello = self.hello(local);
        let _ = self.local.set(local);
        if self.smtp.tls == Tls::StartTls {
            let wire = self.start_tls(conversation, &hello, step).await?;
            let limit = self.smtp.deadlines.of(Phase::Tls);
            let wire = self.tls_handshake(wire, limit, step).await?;
            conversation = Conversation::new(wire, self.smtp.deadlines);
        }
        let extensions = self.ehlo(&mut conversation, &hello).await?;
        step(&format!("EHLO {hello} accepted"));
        if let Some(login) = &self.smtp.login {
            step(&format!("logging in as {}", login.username));
            self.log_in(&mut conversation, &extensions, login).await?;
            step(&format!("logged in as {}", login.username));
        }
        let pipelining = self.smtp.pipelining && !self.pipelining.is_lock_step();
        conversation.use_extensions(&extensions, pipelining);
        Ok(conversation)
    }

    /// EHLO and STARTTLS in clear text; gives the stream on which TLS begins.
    async fn start_tls(
        &self,
        mut conversation: Connection,
        hello: &str,
        step: &mut impl FnMut(&str),
    ) -> Result<Box<dyn Wire>, ConnectError> {
        if !self.ehlo(&mut conversation, hello).await?.starttls {
            let why = "it does not offer STARTTLS, and nothing is sent without TLS; if the relay has port 465, set that and `smtp.tls = \"implicit\"`";
            return Err(self.error(Phase::StartTls, false, why));
        }
        step("STARTTLS is offered");
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
    ) -> Result<EhloExtensions, ConnectError> {
        match conversation.ehlo(hello).await {
            Ok((reply, extensions)) => self.check_reply(Phase::Ehlo, Ok(reply)).map(|_| extensions),
            Err(no_reply) => Err(self.no_reply(Phase::Ehlo, &no_reply)),
        }
    }

    /// Logs in. After a refusal no login is tried in this run.
    async fn log_in(
        &self,
        conversation: &mut Connection,
        extensions: &EhloExtensions,
        login: &Login,
    ) -> Result<(), ConnectError> {
        let secret = secret(login).await.map_err(|error| {
            let error = without_os_code(error);
            let why = format!("cannot log in to the relay {}: {error}", self.relay());
            ConnectError::new(Phase::Auth, false, why)
        })?;
        let mut login_refused = self.login_refused.lock().await;
        self.check_login_allowed(*login_refused)?;
        let result = match log_in(conversation, extensions, &login.username, &secret).await {
            Err(no_reply) => Err(self.no_reply(Phase::Auth, &no_reply)),
            // A relay that asks for more than the mechanism defines might go on without end.
            Ok(LoginResult::Reply(reply)) if reply.class() == 3 => {
                let why = format!(
                    "unexpected AUTH challenge \"{reply}\"; ask its operator how programs log in"
                );
                Err(self.error(Phase::Auth, false, &why))
            }
            Ok(LoginResult::Reply(reply)) => self.check_reply(Phase::Auth, Ok(reply)),
            Ok(LoginResult::TokenRefused(challenge, reply)) => {
                let temporary = phase_result(Phase::Auth, Some(&reply)) == PhaseResult::Unavailable;
                let why = format!(
                    "it said \"{reply}\", and of the token: {challenge}; check that `smtp.token_command` prints a fresh token, for this mailbox and with the permission to send (SMTP.Send or SMTP.SendAsApp)"
                );
                Err(ConnectError {
                    throttled: is_throttle(&reply).then_some(reply),
                    ..self.error(Phase::Auth, temporary, &why)
                })
            }
            // Nothing was tried, so nothing was refused.
            Ok(LoginResult::NoMechanism(why)) => return Err(self.error(Phase::Auth, false, &why)),
        };
        *login_refused = result.as_ref().is_err_and(|it| !it.temporary);
        result.map(drop)
    }

    fn check_login_allowed(&self, refused: bool) -> Result<(), ConnectError> {
        if refused {
            return Err(self.error(Phase::Auth, false, "it has refused the login in this run"));
        }
        Ok(())
    }

    /// The reply, if the phase has succeeded.
    fn check_reply(
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
        let why = format!("it said \"{reply}\"; {fix}");
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

    /// The configured name for EHLO, otherwise one that fits this machine.
    fn hello(&self, local: IpAddr) -> String {
        let host_name = || client_name(&gethostname::gethostname().to_string_lossy(), local);
        self.smtp.hello.clone().unwrap_or_else(host_name)
    }
}
