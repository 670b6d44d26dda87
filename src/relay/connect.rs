//! Opening a connection: addresses, TCP, TLS, greeting. EHLO, STARTTLS and login follow in `handshake`.
//!
//! The addresses of the relay are tried in turn until one sends a greeting; if none does, all failures
//! are reported together. Each step is announced before it can block.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::addresses::{DeadlineBudget, all_failed, look_up};
use super::conversation::Conversation;
use super::credentials::Credentials;
use super::ehlo::{EhloExtensions, client_name};
use super::error::{ConnectError, NoReply, SetupError, seconds};
use super::pipelining::PipeliningProbe;
use super::step::{Step, patiently};
use super::tls;
use super::wire::Wire;
use crate::address::Address;
use crate::config::{Smtp, Tls};
use crate::oauth::Token;
use crate::os_error::without_os_code;
use crate::outcome::{Phase, Reply};
use crate::refusal::SenderIdentity;

/// How long `check --connect` waits for the greeting before it explains what a silent port may mean.
const SILENCE: Duration = Duration::from_secs(10);

/// A connection that is ready for MAIL.
pub type Connection = Conversation<Box<dyn Wire>>;

/// Opens the connections of the simulation; `None` is a refused connection.
#[cfg(test)]
pub type Dialer = dyn Fn() -> Option<Box<dyn Wire>> + Send + Sync;

/// What the logins so far have shown.
#[derive(Default)]
pub struct Logins {
    /// Why one was refused for good.
    pub refused: Option<ConnectError>,
    /// The access token with which the last one succeeded.
    pub accepted: Option<Token>,
}

impl Logins {
    /// Fails with the first refusal of this run, if there was one.
    pub fn check_allowed(&self) -> Result<(), ConnectError> {
        self.refused.clone().map_or(Ok(()), Err)
    }
}

/// Opens connections to the configured relay, and holds the state that the connections of a run share.
pub struct Connector {
    pub(super) smtp: Smtp,
    tls: Option<TlsConnector>,
    pub(super) credentials: Option<Credentials>,
    /// The logins so far. Locked during a login, so that one refusal is the only one of a run and no
    /// account is locked.
    pub(super) logins: Mutex<Logins>,
    /// This machine's address on the first connection.
    pub(super) local: OnceLock<IpAddr>,
    /// Whether pipelining has worked with this relay.
    pub pipelining: PipeliningProbe,
    /// The address that sent a greeting last; later connections try it first.
    greeted: parking_lot::Mutex<Option<SocketAddr>>,
    /// Addresses to use instead of those of `smtp.host`.
    addresses: Option<Vec<SocketAddr>>,
    #[cfg(test)]
    dialer: Option<Box<Dialer>>,
}

impl Connector {
    /// A connector for this relay that logs in if there are credentials. Reads the trusted certificates.
    ///
    /// # Errors
    /// If `ca_file` cannot be used.
    pub fn new(smtp: &Smtp, credentials: Option<Credentials>) -> Result<Self, SetupError> {
        let tls = match smtp.tls {
            Tls::None => None,
            Tls::Implicit | Tls::StartTls => {
                Some(tls::trusting(smtp.ca_file.as_deref(), "smtp.ca_file")?)
            }
        };
        Ok(Self {
            smtp: smtp.clone(),
            tls,
            credentials,
            logins: Mutex::default(),
            local: OnceLock::new(),
            pipelining: PipeliningProbe::default(),
            greeted: parking_lot::Mutex::default(),
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
            ..Self::new(smtp, None)?
        })
    }

    /// Connects to these addresses instead of those of `smtp.host`. Tests use it to give a relay
    /// several addresses.
    #[must_use]
    pub fn with_addresses(mut self, addresses: Vec<SocketAddr>) -> Self {
        self.addresses = Some(addresses);
        self
    }

    /// The relay's name and port, as the ledger records them.
    #[must_use]
    pub fn relay(&self) -> String {
        let Smtp { host, port, .. } = &self.smtp;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    /// The login and the relay, to which limits belong.
    #[must_use]
    pub fn account(&self) -> String {
        let relay = self.relay();
        match &self.smtp.login {
            Some(login) => format!("{} at {relay}", login.username),
            None => relay,
        }
    }

    /// The known names by which the relay may refer to the sender.
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
    /// The phase that failed, why, and whether a retry may help.
    pub async fn open(&self) -> Result<Connection, ConnectError> {
        let step = &mut Step::log;
        let (mut addresses, mut budget) = self.begin(step).await?;
        let (conversation, local) = self.reach_any(&mut addresses, &mut budget, step).await?;
        let (connection, _) = self.introduce(conversation, local, step).await?;
        Ok(connection)
    }

    /// Opens a connection and closes it again, and tries the other addresses as far as the greeting. `step`
    /// receives each step when it has ended, and what is waited for if it takes long. Returns what the relay
    /// offers.
    ///
    /// # Errors
    /// As [`Connector::open`].
    pub async fn diagnose(
        &self,
        step: &mut impl FnMut(Step),
    ) -> Result<EhloExtensions, ConnectError> {
        let (mut addresses, mut budget) = self.begin(step).await?;
        let (conversation, local) = self.reach_any(&mut addresses, &mut budget, step).await?;
        let introduced = match self.introduce(conversation, local, step).await {
            Ok((connection, offered)) => {
                connection.quit().await;
                Ok(offered)
            }
            Err(error) => Err(error),
        };
        while budget.next_address()
            && let Some(address) = addresses.next()
        {
            match self.reach(address, &mut budget, step).await {
                Ok((conversation, _)) => conversation.quit().await,
                Err(error) => step(Step::AddressFailed { address, error }),
            }
        }
        introduced
    }

    /// Gets an access token if the login needs one, and the addresses with their deadlines.
    async fn begin(
        &self,
        step: &mut impl FnMut(Step),
    ) -> Result<(std::vec::IntoIter<SocketAddr>, DeadlineBudget), ConnectError> {
        // If another connection is logging in, the result is checked before this one does.
        if let Ok(logins) = self.logins.try_lock() {
            logins.check_allowed()?;
        }
        self.prepare_login(step).await?;
        let addresses = self.resolve(step).await?;
        let budget = DeadlineBudget::new(&self.smtp.deadlines, addresses.len());
        Ok((addresses.into_iter(), budget))
    }

    /// Connects to the first address that sends a greeting.
    async fn reach_any(
        &self,
        addresses: &mut impl Iterator<Item = SocketAddr>,
        budget: &mut DeadlineBudget,
        step: &mut impl FnMut(Step),
    ) -> Result<(Connection, IpAddr), ConnectError> {
        let mut failures = Vec::new();
        for address in addresses {
            match self.reach(address, budget, step).await {
                Ok(reached) => {
                    *self.greeted.lock() = Some(address);
                    return Ok(reached);
                }
                Err(error) => {
                    if budget.next_address() {
                        let error = error.clone();
                        step(Step::AddressFailed { address, error });
                    }
                    failures.push((address, error));
                }
            }
        }
        Err(all_failed(&self.relay(), failures))
    }

    /// The addresses of the relay, first the one that sent a greeting last.
    async fn resolve(&self, step: &mut impl FnMut(Step)) -> Result<Vec<SocketAddr>, ConnectError> {
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
        let greeted = *self.greeted.lock();
        addresses.sort_by_key(|it| Some(*it) != greeted);
        Ok(addresses)
    }

    /// Connects to one address and waits for its greeting. Also returns the local address.
    async fn reach(
        &self,
        address: SocketAddr,
        budget: &mut DeadlineBudget,
        step: &mut impl FnMut(Step),
    ) -> Result<(Connection, IpAddr), ConnectError> {
        let limit = budget.begin(Phase::Connect);
        let begun = Instant::now();
        let waiting = || format!("connecting to {address}, for up to {}", seconds(limit));
        let (mut wire, local) = patiently(waiting, step, self.connect(address, limit)).await?;
        let took = begun.elapsed();
        if self.smtp.tls == Tls::Implicit {
            let limit = budget.begin(Phase::Tls);
            wire = self.tls_handshake(wire, limit, step).await?;
        }
        let mut conversation = Conversation::new(wire, self.smtp.deadlines);
        let limit = budget.begin(Phase::Banner);
        let banner = self.greeting(&mut conversation, limit, step).await;
        let banner = self.check_reply(Phase::Banner, banner)?;
        self.pipelining.inspect_banner(&banner.text);
        step(Step::Greeted {
            address,
            took,
            greeting: banner.to_string(),
        });
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
            // Nagle's algorithm would delay every message until an acknowledgement arrives.
            tcp.set_nodelay(true)?;
            let local = tcp.local_addr()?.ip();
            Ok((Box::new(tcp) as Box<dyn Wire>, local))
        });
        local.map_err(|it| error(&without_os_code(it)))
    }

    pub(super) async fn tls_handshake(
        &self,
        wire: Box<dyn Wire>,
        limit: Duration,
        step: &mut impl FnMut(Step),
    ) -> Result<Box<dyn Wire>, ConnectError> {
        let tls = self.tls.as_ref().expect("it was made for this mode");
        let waiting = || format!("beginning TLS, for up to {}", seconds(limit));
        let handshake = tls::handshake(tls, wire, limit, &self.smtp);
        let secured = patiently(waiting, step, handshake).await;
        let (secured, session) = secured.map_err(|error| ConnectError {
            why: format!("no TLS with the relay {}: {error}", self.relay()),
            ..error
        })?;
        step(Step::Secured(session));
        Ok(secured)
    }

    /// Waits for the greeting; reports a hint during a long wait.
    async fn greeting(
        &self,
        conversation: &mut Connection,
        limit: Duration,
        step: &mut impl FnMut(Step),
    ) -> Result<Reply, NoReply> {
        let banner = conversation.banner(limit);
        tokio::pin!(banner);
        let waiting = || format!("waiting for the greeting, for up to {}", seconds(limit));
        let first = timeout(SILENCE, &mut banner);
        if let Ok(banner) = patiently(waiting, step, first).await {
            return banner;
        }
        step(Step::Waiting(format!(
            "no greeting yet; {}",
            self.greeting_fix()
        )));
        banner.await
    }

    /// The configured name for EHLO, otherwise one that fits this machine.
    pub(super) fn hello(&self, local: IpAddr) -> String {
        let host_name = || client_name(&gethostname::gethostname().to_string_lossy(), local);
        self.smtp.hello.clone().unwrap_or_else(host_name)
    }
}
