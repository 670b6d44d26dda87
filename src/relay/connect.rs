//! Getting a connection: resolve, connect, TLS, greeting, EHLO.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, Error as TlsError, InvalidMessage, RootCertStore, crypto::ring,
};

use super::login::{self, Answer};
use super::{Ahead, Conversation, Offers, Silence};
use crate::address::Address;
use crate::config::{Login, Smtp, Tls};
use crate::exit::{self, Exit, OrExit, plain};
use crate::files;
use crate::outcome::{Phase, Reply, Verdict, judge};
use crate::refusal::{SenderIdentity, about_us};

/// What a conversation is held over.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A connection on which MAIL may follow.
pub type Connection = Conversation<Box<dyn Wire>>;

/// Why there is no connection.
#[derive(Clone, Debug)]
pub struct NotOpened {
    /// Where it stopped.
    pub phase: Phase,
    /// Whether trying again may help.
    pub temporary: bool,
    /// What happened.
    pub why: String,
}

impl fmt::Display for NotOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// Where the connections of the simulation lead.
#[cfg(test)]
pub type Dial = dyn Fn() -> Option<Box<dyn Wire>> + Send + Sync;

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
    /// Whether an envelope may go out together with the dot before it.
    pub ahead: Ahead,
    /// In the simulation connections lead here, not to a socket.
    #[cfg(test)]
    staged: Option<Box<Dial>>,
}

impl Connector {
    /// Prepares for this relay, reading the certificates to trust.
    ///
    /// # Errors
    /// When `ca_file` cannot be used.
    pub fn new(smtp: &Smtp) -> exit::Result<Self> {
        let tls = match smtp.tls {
            Tls::None => None,
            Tls::Implicit | Tls::StartTls => Some(tls_connector(smtp).or_exit(Exit::Config)?),
        };
        Ok(Self {
            smtp: smtp.clone(),
            tls,
            turned_away: AtomicBool::new(false),
            logging_in: Mutex::default(),
            local: OnceLock::new(),
            ahead: Ahead::default(),
            #[cfg(test)]
            staged: None,
        })
    }

    /// Connections that lead to what `dial` gives; none is a connection refused.
    ///
    /// # Errors
    /// As [`Connector::new`].
    #[cfg(test)]
    pub fn to_stage(smtp: &Smtp, dial: Box<Dial>) -> exit::Result<Self> {
        Ok(Self {
            staged: Some(dial),
            ..Self::new(smtp)?
        })
    }

    /// The relay's name for the record.
    #[must_use]
    pub fn relay(&self) -> String {
        format!("{}:{}", self.smtp.host, self.smtp.port)
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
    pub async fn open(&self) -> Result<Connection, NotOpened> {
        self.establish(&mut Vec::new()).await
    }

    /// Opens a connection and closes it again; tells step by step how far it came, and what
    /// stopped it.
    pub async fn try_out(&self) -> (Vec<String>, Result<(), NotOpened>) {
        let mut steps = Vec::new();
        match self.establish(&mut steps).await {
            Ok(connection) => {
                connection.quit().await;
                (steps, Ok(()))
            }
            Err(not_opened) => (steps, Err(not_opened)),
        }
    }

    /// The steps of a connection, each noted once it is taken.
    async fn establish(&self, steps: &mut Vec<String>) -> Result<Connection, NotOpened> {
        self.not_turned_away()?;
        let (mut wire, local) = self.connect(steps).await?;
        let hello = self.hello(local);
        let _ = self.local.set(local);
        if self.smtp.tls == Tls::StartTls {
            wire = self.ask_for_tls(wire, &hello).await?;
            steps.push("it offers STARTTLS".into());
        }
        if let Some(tls) = &self.tls {
            wire = self.shake_hands(tls, wire).await?;
            let host = &self.smtp.host;
            steps.push(format!("TLS, with a certificate that is valid for {host}"));
        }
        let mut conversation = Conversation::new(wire, self.smtp.deadlines);
        if self.smtp.tls != Tls::StartTls {
            let banner = conversation.banner().await;
            self.meet(banner)?;
        }
        let offers = self.greet(&mut conversation, &hello).await?;
        steps.push(format!("it answers EHLO {hello}"));
        if let Some(login) = &self.smtp.login {
            self.log_in(&mut conversation, &offers, login).await?;
            steps.push(format!("logged in as {}", login.username));
        }
        conversation.settle_on(&offers, self.smtp.pipelining);
        Ok(conversation)
    }

    /// The short conversation in clear that ends with TLS, or not at all.
    async fn ask_for_tls(
        &self,
        wire: Box<dyn Wire>,
        hello: &str,
    ) -> Result<Box<dyn Wire>, NotOpened> {
        let mut conversation = Conversation::new(wire, self.smtp.deadlines);
        let banner = conversation.banner().await;
        self.meet(banner)?;
        let offers = self.greet(&mut conversation, hello).await?;
        if !offers.starttls {
            let why = "it does not offer STARTTLS, and without TLS nothing is sent; perhaps `smtp.tls = \"implicit\"` with port 465 is right";
            return Err(self.not(Phase::StartTls, false, why));
        }
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
    fn meet(&self, banner: Result<Reply, Silence>) -> Result<(), NotOpened> {
        if let Ok(banner) = &banner {
            self.ahead.meet(&banner.text);
        }
        self.expect(Phase::Banner, banner)
    }

    async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        conversation: &mut Conversation<S>,
        hello: &str,
    ) -> Result<Offers, NotOpened> {
        match conversation.ehlo(hello).await {
            Ok((reply, offers)) => self.expect(Phase::Ehlo, Ok(reply)).map(|()| offers),
            Err(silence) => self
                .expect(Phase::Ehlo, Err(silence))
                .map(|()| Offers::default()),
        }
    }

    /// Logs in. A refusal is the last one of this run, so that no account is locked by trying.
    async fn log_in(
        &self,
        conversation: &mut Connection,
        offers: &Offers,
        login: &Login,
    ) -> Result<(), NotOpened> {
        let secret = login::secret(login).await.map_err(|failure| NotOpened {
            phase: Phase::Auth,
            temporary: false,
            why: format!("cannot log in to the relay {}: {failure}", self.relay()),
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
                let temporary = judge(Phase::Auth, Some(&reply)) == Verdict::Unavailable;
                let why = format!(
                    "it said \"{reply}\", and of the token: {why}; see that `token_command` prints a fresh one for this mailbox that may send (SMTP.Send or SMTP.SendAsApp)"
                );
                Err(self.not(Phase::Auth, temporary, &why))
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
    fn not_turned_away(&self) -> Result<(), NotOpened> {
        if self.turned_away.load(Ordering::SeqCst) {
            return Err(self.not(Phase::Auth, false, "it has refused our login in this run"));
        }
        Ok(())
    }

    fn not(&self, phase: Phase, temporary: bool, why: &str) -> NotOpened {
        let why = format!(
            "the relay {} does not take our mail ({phase}): {why}",
            self.relay()
        );
        NotOpened {
            phase,
            temporary,
            why,
        }
    }

    async fn connect(&self, steps: &mut Vec<String>) -> Result<(Box<dyn Wire>, IpAddr), NotOpened> {
        let deadline = self.smtp.deadlines.of(Phase::Connect);
        let not = |temporary, why: String| NotOpened {
            phase: Phase::Connect,
            temporary,
            why,
        };
        #[cfg(test)]
        if let Some(dial) = &self.staged {
            let wire = dial().ok_or_else(|| not(true, "connection refused".into()))?;
            return Ok((wire, IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)));
        }
        let host = self.smtp.host.trim_matches(['[', ']']);
        let resolved = timeout(deadline, tokio::net::lookup_host((host, self.smtp.port))).await;
        let addresses: Vec<SocketAddr> = match resolved {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(error)) => {
                return Err(not(
                    true,
                    format!(
                        "cannot find the relay `{host}`: {}; see whether `smtp.host` is right and the name service answers",
                        plain(error)
                    ),
                ));
            }
            Err(_) => {
                return Err(not(
                    true,
                    format!(
                        "cannot find the relay `{host}`: the name service does not answer; the next run tries again"
                    ),
                ));
            }
        };
        if self.tls.is_none() && addresses.iter().any(|it| !it.ip().is_loopback()) {
            return Err(not(
                false,
                format!(
                    "the relay `{host}` is not on this machine, so `smtp.tls = \"none\"` would send the mail in clear"
                ),
            ));
        }
        // The name, and the address that it was found under.
        let found = |address: SocketAddr| {
            let (relay, address) = (self.relay(), address.to_string());
            if address == relay {
                relay
            } else {
                format!("{relay} ({address})")
            }
        };
        let cannot = |address: SocketAddr, error: &str| {
            let relay = found(address);
            format!(
                "cannot connect to the relay {relay}: {error}; see whether `smtp.host` and `smtp.port` are right, the relay runs, and no firewall is between"
            )
        };
        let mut why =
            format!("the relay `{host}` has no address; see whether `smtp.host` is right");
        for address in addresses {
            match timeout(deadline, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => {
                    let local = tcp.local_addr().map(|it| it.ip());
                    // Without it every message would wait for a delayed acknowledgement.
                    let local = tcp.set_nodelay(true).and(local);
                    let local = local.map_err(|error| not(true, plain(error)))?;
                    steps.push(format!("connected to {}", found(address)));
                    return Ok((Box::new(tcp), local));
                }
                Ok(Err(error)) => {
                    why = cannot(address, &plain(error));
                }
                Err(_) => {
                    let seconds = deadline.as_secs();
                    why = cannot(address, &format!("no answer within {seconds} s"));
                }
            }
        }
        Err(not(true, why))
    }

    async fn shake_hands(
        &self,
        tls: &TlsConnector,
        tcp: Box<dyn Wire>,
    ) -> Result<Box<dyn Wire>, NotOpened> {
        let not = |temporary, why: String| NotOpened {
            phase: Phase::Tls,
            temporary,
            why: format!("no TLS with the relay {}: {why}", self.relay()),
        };
        let host = self.smtp.host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(|error| not(false, error.to_string()))?;
        let deadline: Duration = self.smtp.deadlines.of(Phase::Tls);
        match timeout(deadline, tls.connect(name, tcp)).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(match tls_error(&error) {
                Some(error) => not(false, self.explain(error)),
                None => not(true, format!("the connection was lost: {}", plain(error))),
            }),
            Err(_) => Err(not(
                true,
                format!("no answer within {} s", deadline.as_secs()),
            )),
        }
    }

    /// A TLS error in words, with what to do.
    fn explain(&self, error: &TlsError) -> String {
        let host = &self.smtp.host;
        match error {
            TlsError::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => "its certificate has expired; the relay's operator must renew it, or this machine's clock is wrong".into(),
            TlsError::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            ) => "its certificate is not valid yet; perhaps this machine's clock is wrong".into(),
            TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => format!("its certificate is not for the name `{host}`; set `smtp.host` to the name that it is for"),
            // Another kind of key: an issuer of that name is known, but it is not this one.
            TlsError::InvalidCertificate(
                CertificateError::UnknownIssuer
                | CertificateError::BadSignature
                | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
            ) => {
                "its certificate comes from an issuer that this machine does not know; name the issuer's certificate (PEM) in `smtp.ca_file`".into()
            }
            TlsError::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge) => {
                "its certificates are too large to be in earnest; the relay's operator must replace them".into()
            }
            TlsError::InvalidMessage(_) => {
                "it does not speak TLS on this port; `tls = \"implicit\"` is for port 465, `\"starttls\"` for 587".into()
            }
            TlsError::AlertReceived(_) | TlsError::PeerIncompatible(_) => {
                "it and this program have no version or cipher in common; it must speak TLS 1.2 or 1.3".into()
            }
            TlsError::InvalidCertificate(CertificateError::Other(other))
                if other.to_string().contains("CaUsedAsEndEntity") =>
            {
                "its certificate is an authority's, as `openssl req -x509` makes them, and not fit for a server; the relay's operator must make one with `basicConstraints = CA:FALSE`".into()
            }
            TlsError::InvalidCertificate(_) => {
                "its certificate is malformed or not fit for a server; the relay's operator must replace it".into()
            }
            _ => "its handshake is not as TLS prescribes it; see whether this is the relay's port".into(),
        }
    }

    fn expect(&self, phase: Phase, heard: Result<Reply, Silence>) -> Result<(), NotOpened> {
        let verdict = judge(phase, heard.as_ref().ok());
        if verdict == Verdict::Proceed {
            return Ok(());
        }
        let temporary = verdict == Verdict::Unavailable;
        let said = match heard {
            Ok(reply) => {
                let cure = about_us(&reply).unwrap_or(if temporary {
                    "it may pass: the next run tries again"
                } else {
                    "ask its operator whether this machine may send through it"
                });
                format!("it said \"{reply}\"; {cure}")
            }
            Err(silence) if phase == Phase::Banner => format!(
                "{silence}; see whether `smtp.port` is the relay's, and `smtp.tls` what it speaks there (\"implicit\" on 465, \"starttls\" on 587)"
            ),
            Err(silence) => format!("{silence}; the next run tries again"),
        };
        Err(self.not(phase, temporary, &said))
    }

    /// The configured name, else this host's if it is a full one, else the address literal
    /// (RFC 5321 §4.1.1.1).
    fn hello(&self, local: IpAddr) -> String {
        if let Some(hello) = &self.smtp.hello {
            return hello.clone();
        }
        let host = gethostname::gethostname().to_string_lossy().into_owned();
        let full =
            host.contains('.') && idna::domain_to_ascii_strict(&host).is_ok_and(|it| it == host);
        match local {
            _ if full => host,
            IpAddr::V4(address) => format!("[{address}]"),
            IpAddr::V6(address) => format!("[IPv6:{address}]"),
        }
    }
}

fn tls_error(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

/// The largest file of certificates; those of a whole system have a quarter of it.
const CA_FILE_LIMIT: u64 = 1024 * 1024;

/// Trusts the system's roots and those in `ca_file`.
fn tls_connector(smtp: &Smtp) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &smtp.ca_file {
        let context = || format!("cannot use `smtp.ca_file` (`{}`)", path.display());
        let mut found = 0;
        let pem = files::read(path, CA_FILE_LIMIT).map_err(|error| {
            anyhow::anyhow!(
                "{}: {error}; it must hold the certificates of the relay's issuer, as PEM",
                context()
            )
        })?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            found += 1;
            let taken = certificate.is_ok_and(|it| roots.add(it).is_ok());
            anyhow::ensure!(
                taken,
                "{}: certificate {found} in it is damaged; copy it again, from BEGIN to END",
                context()
            );
        }
        anyhow::ensure!(
            found > 0,
            "{}: there is no certificate in it; it must hold the certificates of the relay's issuer, as PEM",
            context()
        );
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("cannot set up TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
