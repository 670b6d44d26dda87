//! Getting a connection: resolve, connect, TLS, greeting, EHLO, login.
//!
//! The addresses of a relay are tried in turn until one greets; what was wrong with each is
//! reported together. Each step is announced before it can block.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex as SyncMutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::addresses::{Budget, ConnectError, all_failed};
use super::conversation::{Conversation, NoReply, seconds};
use super::ehlo_extensions::EhloExtensions;
use super::hello::hello;
use super::login::{self, Answer};
use super::pipelining::PipeliningProbe;
use super::tls;
use super::wire::{FirstBytes, Wire};
use crate::address::Address;
use crate::config::{Login, Smtp, Tls};
use crate::exit::{self, Exit, OrExit, without_os_code};
use crate::outcome::{Phase, PhaseResult, Reply, phase_result};
use crate::refusal::{SenderIdentity, is_throttle, sender_side_remedy};

/// How long a greeting may take before the steps of a trial say what that may mean.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection on which MAIL may follow.
pub type Connection = Conversation<Box<dyn Wire>>;

/// Where the connections of the simulation lead.
#[cfg(test)]
pub type Dialer = dyn Fn() -> Option<Box<dyn Wire>> + Send + Sync;

/// Opens connections to the configured relay.
pub struct Connector {
    smtp: Smtp,
    tls: Option<TlsConnector>,
    /// Whether a login was refused in this run.
    turned_away: AtomicBool,
    /// Held by the one who logs in, so that a second refusal never follows the first.
    logging_in: Mutex<()>,
    /// This machine's address, as the first connection has shown it.
    local: OnceLock<IpAddr>,
    /// What the run has learnt about pipelining with this relay.
    pub pipelining: PipeliningProbe,
    /// The address that greeted last: later connections try it first.
    greeted: SyncMutex<Option<SocketAddr>>,
    /// Addresses to use instead of those of `smtp.host`.
    addresses: Option<Vec<SocketAddr>>,
    /// In the simulation connections lead here, not to a socket.
    #[cfg(test)]
    staged: Option<Box<Dialer>>,
}

/// An address that has greeted.
struct Greeted {
    conversation: Connection,
    local: IpAddr,
}

impl Connector {
    /// Prepares for this relay, reading the certificates to trust.
    ///
    /// # Errors
    /// When `ca_file` cannot be used.
    pub fn new(smtp: &Smtp) -> exit::Result<Self> {
        let tls = match smtp.tls {
            Tls::None => None,
            Tls::Implicit | Tls::StartTls => Some(tls::connector(smtp).or_exit(Exit::Config)?),
        };
        Ok(Self {
            smtp: smtp.clone(),
            tls,
            turned_away: AtomicBool::new(false),
            logging_in: Mutex::default(),
            local: OnceLock::new(),
            pipelining: PipeliningProbe::default(),
            greeted: SyncMutex::default(),
            addresses: None,
            #[cfg(test)]
            staged: None,
        })
    }

    /// Connections that lead to what `dial` gives; none is a connection refused.
    ///
    /// # Errors
    /// As [`Connector::new`].
    #[cfg(test)]
    pub fn with_test_dialer(smtp: &Smtp, dial: Box<Dialer>) -> exit::Result<Self> {
        Ok(Self {
            staged: Some(dial),
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

    /// The relay's name for the record.
    #[must_use]
    pub fn relay(&self) -> String {
        let Smtp { host, port, .. } = &self.smtp;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    /// What the relay may call us by, as far as the connections so far have shown it.
    #[must_use]
    pub fn sender_identity(&self, sender: &Address) -> SenderIdentity {
        let local = self.local.get().copied();
        let hello = local.map(|it| self.hello(it));
        let login = self.smtp.login.as_ref().map(|it| it.username.as_str());
        SenderIdentity::new(sender, login, hello.as_deref(), local)
    }

    /// Opens one connection on which MAIL may follow.
    ///
    /// # Errors
    /// Where it stopped, and whether another try may help.
    pub async fn open(&self) -> Result<Connection, ConnectError> {
        self.establish(&mut |_: &str| {}).await
    }

    /// Opens a connection and closes it again. `step` is told each step when it begins or has
    /// succeeded, so that a silent wait shows where it hangs.
    ///
    /// # Errors
    /// As [`Connector::open`].
    pub async fn diagnose(&self, step: &mut impl FnMut(&str)) -> Result<(), ConnectError> {
        let connection = self.establish(step).await?;
        connection.quit().await;
        Ok(())
    }

    async fn establish(&self, step: &mut impl FnMut(&str)) -> Result<Connection, ConnectError> {
        self.not_turned_away()?;
        let addresses = self.resolve(step).await?;
        let mut budget = Budget::new(&self.smtp.deadlines, addresses.len());
        let mut failures = Vec::new();
        for address in addresses {
            match self.reach(address, &mut budget, step).await {
                Ok(greeted) => {
                    *self.greeted() = Some(address);
                    return self.introduce(greeted, step).await;
                }
                Err(not_opened) => {
                    if budget.next_address() {
                        step(&format!("{}; trying the next address", not_opened.why));
                    }
                    failures.push((address, not_opened));
                }
            }
        }
        Err(all_failed(&self.relay(), failures))
    }

    fn greeted(&self) -> std::sync::MutexGuard<'_, Option<SocketAddr>> {
        self.greeted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects to one address and waits for its greeting.
    async fn reach(
        &self,
        address: SocketAddr,
        budget: &mut Budget,
        step: &mut impl FnMut(&str),
    ) -> Result<Greeted, ConnectError> {
        let start = Instant::now();
        step(&format!("connecting to {}", self.named(address)));
        let connected = self.connect(address, budget.share(Phase::Connect)).await;
        budget.spend(Phase::Connect, start);
        let (mut wire, local) = connected?;
        step(&format!("connected to {}", self.named(address)));
        if let Some(tls) = self.tls.as_ref().filter(|_| self.smtp.tls == Tls::Implicit) {
            let start = Instant::now();
            let secured = self
                .shake_hands(tls, wire, budget.share(Phase::Tls), step)
                .await;
            budget.spend(Phase::Tls, start);
            wire = secured?;
        }
        let mut conversation = Conversation::new(wire, self.smtp.deadlines);
        let start = Instant::now();
        let limit = budget.share(Phase::Banner);
        step(&format!(
            "waiting for its greeting, for up to {}",
            seconds(limit)
        ));
        let banner = self.greeting(&mut conversation, limit, step).await;
        budget.spend(Phase::Banner, start);
        let text = banner.as_ref().map(ToString::to_string).unwrap_or_default();
        self.meet(banner)?;
        step(&format!("it greets with \"{text}\""));
        Ok(Greeted {
            conversation,
            local,
        })
    }

    /// The greeting; a long wait for it is explained while it lasts.
    async fn greeting(
        &self,
        conversation: &mut Connection,
        limit: Duration,
        step: &mut impl FnMut(&str),
    ) -> Result<Reply, NoReply> {
        let banner = conversation.banner_within(limit);
        tokio::pin!(banner);
        if let Ok(banner) = timeout(PATIENCE, &mut banner).await {
            return banner;
        }
        step(&format!("no greeting yet; {}", self.no_greeting()));
        banner.await
    }

    /// What a relay may be that does not greet.
    fn no_greeting(&self) -> &'static str {
        match self.smtp.tls {
            Tls::StartTls => {
                "a port that speaks TLS from the first byte is silent like this: if it is one (465 is), set `smtp.tls = \"implicit\"`, else see whether `smtp.port` is the relay's"
            }
            Tls::Implicit | Tls::None => {
                "see whether `smtp.port` is the relay's, and `smtp.tls` what it speaks there (\"implicit\" on 465, \"starttls\" on 587)"
            }
        }
    }

    /// From the greeting to a connection on which MAIL may follow.
    async fn introduce(
        &self,
        greeted: Greeted,
        step: &mut impl FnMut(&str),
    ) -> Result<Connection, ConnectError> {
        let Greeted {
            mut conversation,
            local,
        } = greeted;
        let hello = self.hello(local);
        let _ = self.local.set(local);
        if let Some(tls) = self.tls.as_ref().filter(|_| self.smtp.tls == Tls::StartTls) {
            let wire = self.ask_for_tls(conversation, &hello, step).await?;
            let limit = self.smtp.deadlines.of(Phase::Tls);
            let wire = self.shake_hands(tls, wire, limit, step).await?;
            conversation = Conversation::new(wire, self.smtp.deadlines);
        }
        let offers = self.greet(&mut conversation, &hello).await?;
        step(&format!("it answers EHLO {hello}"));
        if let Some(login) = &self.smtp.login {
            step(&format!("logging in as {}", login.username));
            self.log_in(&mut conversation, &offers, login).await?;
            step(&format!("logged in as {}", login.username));
        }
        conversation.settle_on(
            &offers,
            self.smtp.pipelining && !self.pipelining.is_lock_step(),
        );
        Ok(conversation)
    }

    /// The rest of the short conversation in clear that ends with TLS, or not at all.
    async fn ask_for_tls(
        &self,
        mut conversation: Connection,
        hello: &str,
        step: &mut impl FnMut(&str),
    ) -> Result<Box<dyn Wire>, ConnectError> {
        let offers = self.greet(&mut conversation, hello).await?;
        if !offers.starttls {
            let why = "it does not offer STARTTLS, and without TLS nothing is sent; perhaps `smtp.tls = \"implicit\"` with port 465 is right";
            return Err(self.not(Phase::StartTls, false, why));
        }
        step("it offers STARTTLS");
        let go = conversation.starttls().await;
        self.expect(Phase::StartTls, go)?;
        conversation
            .into_stream()
            .await
            .map_err(|silence| {
                let why = format!(
                    "{silence}; somebody may be between this machine and the relay, so send nothing from here before that is clear"
                );
                self.not(Phase::StartTls, false, &why)
            })
    }

    /// Hears the greeting, which may tell who it is.
    fn meet(&self, banner: Result<Reply, NoReply>) -> Result<(), ConnectError> {
        if let Ok(banner) = &banner {
            self.pipelining.inspect_banner(&banner.text);
        }
        self.expect(Phase::Banner, banner)
    }

    async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        conversation: &mut Conversation<S>,
        hello: &str,
    ) -> Result<EhloExtensions, ConnectError> {
        match conversation.ehlo(hello).await {
            Ok((reply, offers)) => self.expect(Phase::Ehlo, Ok(reply)).map(|()| offers),
            Err(silence) => self
                .expect(Phase::Ehlo, Err(silence))
                .map(|()| EhloExtensions::default()),
        }
    }

    /// Logs in. A refusal is the last one of this run, so that no account is locked by trying.
    async fn log_in(
        &self,
        conversation: &mut Connection,
        offers: &EhloExtensions,
        login: &Login,
    ) -> Result<(), ConnectError> {
        let secret = login::secret(login).await.map_err(|failure| {
            let why = format!("cannot log in to the relay {}: {failure}", self.relay());
            ConnectError::new(Phase::Auth, false, why)
        })?;
        let _alone = self.logging_in.lock().await;
        self.not_turned_away()?;
        let answer = login::log_in(conversation, offers, &login.username, &secret).await;
        let judged = match answer {
            Err(silence) => self.expect(Phase::Auth, Err(silence)),
            // A relay that asks for more than the mechanism has would ask again for ever.
            Ok(Answer::Reply(reply)) if reply.class() == 3 => {
                let why = format!("it said \"{reply}\"; it asks for more than there is to say");
                Err(self.not(Phase::Auth, false, &why))
            }
            Ok(Answer::Reply(reply)) => self.expect(Phase::Auth, Ok(reply)),
            Ok(Answer::TokenRefused(why, reply)) => {
                let temporary = phase_result(Phase::Auth, Some(&reply)) == PhaseResult::Unavailable;
                let why = format!(
                    "it said \"{reply}\", and of the token: {why}; see that `token_command` prints a fresh one for this mailbox that may send (SMTP.Send or SMTP.SendAsApp)"
                );
                Err(ConnectError {
                    throttled: is_throttle(&reply).then_some(reply),
                    ..self.not(Phase::Auth, temporary, &why)
                })
            }
            Ok(Answer::NoMechanism(why)) => return Err(self.not(Phase::Auth, false, &why)),
        };
        judged.inspect_err(|not_opened| {
            if !not_opened.temporary {
                self.turned_away.store(true, Ordering::SeqCst);
            }
        })
    }

    /// A login that was refused is not tried again in this run.
    fn not_turned_away(&self) -> Result<(), ConnectError> {
        if self.turned_away.load(Ordering::SeqCst) {
            return Err(self.not(Phase::Auth, false, "it has refused our login in this run"));
        }
        Ok(())
    }

    fn not(&self, phase: Phase, temporary: bool, why: &str) -> ConnectError {
        let why = format!(
            "the relay {} does not take our mail ({phase}): {why}",
            self.relay()
        );
        ConnectError::new(phase, temporary, why)
    }

    /// The addresses of the relay, the one that greeted last before all others.
    async fn resolve(&self, step: &mut impl FnMut(&str)) -> Result<Vec<SocketAddr>, ConnectError> {
        let not = |temporary, why: String| ConnectError::new(Phase::Connect, temporary, why);
        #[cfg(test)]
        if self.staged.is_some() {
            return Ok(vec![SocketAddr::from(([127, 0, 0, 1], self.smtp.port))]);
        }
        let host = self.smtp.host.as_str();
        let mut addresses = match &self.addresses {
            Some(addresses) => addresses.clone(),
            None => self.look_up(host, step).await?,
        };
        let mut seen = std::collections::HashSet::new();
        addresses.retain(|it| seen.insert(*it));
        if addresses.is_empty() {
            let why =
                format!("the relay `{host}` has no address; see whether `smtp.host` is right");
            return Err(not(true, why));
        }
        let outside = |it: &SocketAddr| !it.ip().to_canonical().is_loopback();
        if self.tls.is_none() && addresses.iter().any(outside) {
            return Err(not(
                false,
                format!(
                    "the relay `{host}` is not on this machine, so `smtp.tls = \"none\"` would send the mail in clear"
                ),
            ));
        }
        let greeted = *self.greeted();
        addresses.sort_by_key(|it| Some(*it) != greeted);
        Ok(addresses)
    }

    async fn look_up(
        &self,
        host: &str,
        step: &mut impl FnMut(&str),
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let not = |why: String| ConnectError::new(Phase::Connect, true, why);
        let literal = host.parse::<IpAddr>().is_ok();
        if !literal {
            step(&format!("looking up {host}"));
        }
        let deadline = self.smtp.deadlines.of(Phase::Connect);
        let resolved = timeout(deadline, tokio::net::lookup_host((host, self.smtp.port))).await;
        match resolved {
            Ok(Ok(addresses)) => {
                let addresses: Vec<SocketAddr> = addresses.collect();
                if !literal {
                    let found: Vec<_> = addresses.iter().map(|it| it.ip().to_string()).collect();
                    step(&format!("{host} has the address {}", found.join(" and ")));
                }
                Ok(addresses)
            }
            Ok(Err(error)) => Err(not(format!(
                "cannot find the relay `{host}`: {}; see whether `smtp.host` is right and the name service answers",
                without_os_code(error)
            ))),
            Err(_) => Err(not(format!(
                "cannot find the relay `{host}`: the name service does not answer; the next run tries again"
            ))),
        }
    }

    /// The relay's name, and the address that it was found under.
    fn named(&self, address: SocketAddr) -> String {
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
        let not = |why: String| ConnectError::new(Phase::Connect, true, why);
        #[cfg(test)]
        if let Some(dial) = &self.staged {
            let wire = dial().ok_or_else(|| not("connection refused".into()))?;
            return Ok((wire, address.ip()));
        }
        let cannot = |error: &str| {
            not(format!(
                "cannot connect to the relay {}: {error}; see whether `smtp.host` and `smtp.port` are right, the relay runs, and no firewall is between",
                self.named(address)
            ))
        };
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                let local = tcp.local_addr().map(|it| it.ip());
                // Without it every message would wait for a delayed acknowledgement.
                let local = tcp.set_nodelay(true).and(local);
                let local = local.map_err(|error| not(without_os_code(error)))?;
                Ok((Box::new(tcp), local))
            }
            Ok(Err(error)) => Err(cannot(&without_os_code(error))),
            Err(_) => Err(cannot(&format!("no answer within {}", seconds(limit)))),
        }
    }

    async fn shake_hands(
        &self,
        tls: &TlsConnector,
        wire: Box<dyn Wire>,
        limit: Duration,
        step: &mut impl FnMut(&str),
    ) -> Result<Box<dyn Wire>, ConnectError> {
        let not = |temporary, why: String| {
            let why = format!("no TLS with the relay {}: {why}", self.relay());
            ConnectError::new(Phase::Tls, temporary, why)
        };
        let host = self.smtp.host.clone();
        let name =
            ServerName::try_from(host.clone()).map_err(|error| not(false, error.to_string()))?;
        step("beginning TLS");
        let (wire, first) = FirstBytes::of(wire);
        match timeout(limit, tls.connect(name, wire)).await {
            Ok(Ok(stream)) => {
                step(&format!("TLS, with a certificate that is valid for {host}"));
                Ok(Box::new(stream))
            }
            Ok(Err(error)) => Err(match tls::tls_error(&error) {
                Some(error) => {
                    let first = first.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    not(false, tls::explain(error, &self.smtp, &first))
                }
                None => not(
                    true,
                    format!("the connection was lost: {}", without_os_code(error)),
                ),
            }),
            Err(_) => Err(not(true, format!("no answer within {}", seconds(limit)))),
        }
    }

    fn expect(&self, phase: Phase, heard: Result<Reply, NoReply>) -> Result<(), ConnectError> {
        let verdict = phase_result(phase, heard.as_ref().ok());
        if verdict == PhaseResult::Proceed {
            return Ok(());
        }
        let temporary = verdict == PhaseResult::Unavailable;
        // RFC 3207 gives 454 another meaning in reply to STARTTLS.
        let throttled = heard.as_ref().ok().cloned();
        let throttled = throttled.filter(|it| phase != Phase::StartTls && is_throttle(it));
        let said = match heard {
            Ok(reply) => {
                let cure = sender_side_remedy(&reply).unwrap_or(if temporary {
                    "it may pass: the next run tries again"
                } else {
                    "ask its operator whether this machine may send through it"
                });
                format!("it said \"{reply}\"; {cure}")
            }
            Err(silence) if phase == Phase::Banner => {
                format!("{silence}; {}", self.no_greeting())
            }
            Err(silence) => format!("{silence}; the next run tries again"),
        };
        Err(ConnectError {
            throttled,
            ..self.not(phase, temporary, &said)
        })
    }

    /// The configured name, else this host's if others can resolve it, else the address literal.
    fn hello(&self, local: IpAddr) -> String {
        match &self.smtp.hello {
            Some(name) => name.clone(),
            None => hello(&gethostname::gethostname().to_string_lossy(), local),
        }
    }
}
