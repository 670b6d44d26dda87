//! The settings of a connection: those of the URL; what it leaves open comes from a service file, then from the
//! environment, as libpq does it.
//!
//! The password is that of the configuration, of the service file, of `PGPASSWORD` or of the password file, in this
//! order. It is read when a connection is opened.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, LoadBalanceHosts, SslMode, TargetSessionAttrs};

use super::password_file::{Login, PasswordFile};
use super::service_file::{Service, service};
use crate::config::{
    DatabaseParameters, LedgerServer, check_database_parameters, is_local_database,
};
use crate::files;
use crate::ledger::error::{LedgerError, Result};
use crate::secret::{self, SecretError};

/// Where Debian and others have the sockets of servers.
const SOCKETS: [&str; 2] = ["/var/run/postgresql", "/tmp"];
/// Where Debian has the service file of the machine.
const SYSTEM_FOLDER: &str = "/etc/postgresql-common";
/// The largest service file.
const SERVICE_FILE_LIMIT: u64 = 1024 * 1024;
/// How long one address may take to accept a connection, unless `connect_timeout` is set.
const CONNECT: Duration = Duration::from_secs(5);

/// The variables of the environment, and the parameters that they set.
const VARIABLES: [(&str, &str); 15] = [
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGDATABASE", "dbname"),
    ("PGUSER", "user"),
    ("PGPASSFILE", "passfile"),
    ("PGSERVICE", "service"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts"),
    ("PGOPTIONS", "options"),
    ("PGAPPNAME", "application_name"),
];

/// A variable of the environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// How a ledger's server is reached.
pub struct Settings {
    /// The hosts, in the order in which they are tried.
    pub targets: Vec<Target>,
    /// The certificates that are trusted in place of the system's.
    pub only_roots: Option<PathBuf>,
    /// What was ignored.
    pub warnings: Vec<String>,
}

/// A host.
pub struct Target {
    /// What messages call it.
    pub shown: String,
    /// How to connect, with the password.
    pub config: Config,
    /// Whether the connection is encrypted.
    pub encrypted: bool,
    /// How long connecting may take.
    pub limit: Duration,
    /// The line of a password file that it would need.
    pub login: String,
}

impl Settings {
    /// Those of a server, as this process is to use it.
    ///
    /// # Errors
    /// If one of them is wrong, or the password cannot be read.
    pub fn of(server: &LedgerServer) -> Result<Self> {
        Self::resolve(server, &|name| std::env::var_os(name))
    }

    fn resolve(server: &LedgerServer, environment: Environment<'_>) -> Result<Self> {
        let wrong = |why: String| {
            LedgerError::Configuration(format!(
                "the connection to the ledger `{}` {why}",
                server.name()
            ))
        };
        let mut found = server.parameters();
        let mut password = server
            .password
            .as_ref()
            .map(|it| secret::read(it, "password"))
            .transpose()
            .map_err(|error| match error {
                SecretError::Unusable(why) => LedgerError::Configuration(why),
                SecretError::Permissions(why) => LedgerError::NoPermission(why),
            })?;
        let named = found.get("service").cloned();
        if let Some(name) = named.or(variable(environment, "PGSERVICE")) {
            let service = find_service(&name, environment).map_err(wrong)?;
            password = password.or(service.password);
            fill(&mut found, service.parameters);
        }
        let variables = VARIABLES.iter();
        let variables =
            variables.filter_map(|(name, it)| Some((*it, variable(environment, name)?)));
        fill(&mut found, variables.collect());
        let password = password.or(variable(environment, "PGPASSWORD").map(SecretString::from));
        check_database_parameters(&found).map_err(wrong)?;

        let home = environment("HOME").map(PathBuf::from);
        let home = home.filter(|it| !it.as_os_str().is_empty());
        let named = found.get("passfile").map(PathBuf::from);
        let path = named.or(home.map(|it| it.join(".pgpass")));
        let path = path.filter(|_| password.is_none());
        let passwords = path.map(|it| PasswordFile::read(&it)).unwrap_or_default();
        let value = |name: &str| found.get(name).map(String::as_str);
        // `ca_file` of the configuration is trusted beside the system's.
        let only_roots =
            value("sslrootcert").filter(|it| *it != "system" && server.ca_file.is_none());
        let mut targets = targets(&found, password.as_ref(), &passwords).map_err(wrong)?;
        if value("load_balance_hosts") == Some("random") {
            let mut random = [0];
            getrandom::fill(&mut random)?;
            let first = usize::from(random[0]) % targets.len();
            targets.rotate_left(first);
        }
        Ok(Self {
            targets,
            only_roots: only_roots.map(PathBuf::from),
            warnings: passwords.warning.into_iter().collect(),
        })
    }
}

/// The value of a variable that is set and not empty.
fn variable(environment: Environment<'_>, name: &str) -> Option<String> {
    let value = environment(name)?.into_string().ok()?;
    Some(value).filter(|it| !it.is_empty())
}

/// Adds the parameters that are not set. A host is one with its address.
fn fill(found: &mut DatabaseParameters, others: DatabaseParameters) {
    let has_host = found.contains_key("host") || found.contains_key("hostaddr");
    for (name, value) in others {
        if !(has_host && matches!(name, "host" | "hostaddr")) {
            found.entry(name).or_insert(value);
        }
    }
}

/// Looks a service up in the user's file, then in that of the machine.
fn find_service(name: &str, environment: Environment<'_>) -> std::result::Result<Service, String> {
    let set = variable(environment, "PGSERVICEFILE").map(PathBuf::from);
    let own = || Some(PathBuf::from(environment("HOME")?).join(".pg_service.conf"));
    let folder = variable(environment, "PGSYSCONFDIR");
    let folder = PathBuf::from(folder.unwrap_or_else(|| SYSTEM_FOLDER.into()));
    let of_machine = folder.join("pg_service.conf");
    let mut tried = Vec::new();
    let must_exist = set.is_some();
    for path in set.or_else(own).into_iter().chain([of_machine]) {
        let shown = path.display();
        let text = match read_text(&path) {
            Ok(text) => text,
            Err(error) if must_exist && tried.is_empty() => {
                return Err(format!(
                    "needs the service file `{shown}`, which cannot be read ({error}); correct PGSERVICEFILE"
                ));
            }
            Err(_) => {
                tried.push(format!("`{shown}`"));
                continue;
            }
        };
        let found = service(&text, name);
        let found = found.map_err(|why| {
            format!(
                "uses the service `{name}`, and its file `{shown}` is wrong in {why}; correct it"
            )
        })?;
        match found {
            Some(service) => return Ok(service),
            None => tried.push(format!("`{shown}`")),
        }
    }
    Err(format!(
        "uses the service `{name}`, which no service file has ({}); add it, or correct the name",
        tried.join(", ")
    ))
}

fn read_text(path: &Path) -> std::io::Result<String> {
    let bytes = files::read(path, SERVICE_FILE_LIMIT)?;
    String::from_utf8(bytes).map_err(std::io::Error::other)
}

/// The hosts, each with all that is needed to connect.
fn targets(
    found: &DatabaseParameters,
    password: Option<&SecretString>,
    passwords: &PasswordFile,
) -> std::result::Result<Vec<Target>, String> {
    let value = |name: &str| found.get(name).map(String::as_str);
    let list = |name: &str| -> Vec<&str> {
        value(name).map_or_else(Vec::new, |it| it.split(',').collect())
    };
    let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let user = match value("user") {
        Some(user) => user.to_owned(),
        None => whoami::username()
            .map_err(|_| "needs a user, and the name of this one is unknown; name it in the URL")?,
    };
    let database = value("dbname").unwrap_or(&user);
    let count = hosts.len().max(addresses.len()).max(1);
    let mut targets = Vec::new();
    for number in 0..count {
        let port = match ports.get(number).or(ports.first()) {
            Some(port) if !port.is_empty() => *port,
            _ => "5432",
        };
        let address = addresses.get(number).copied().filter(|it| !it.is_empty());
        let host = hosts.get(number).copied().filter(|it| !it.is_empty());
        let host = match (host, address) {
            (Some(host), _) => host.to_owned(),
            (None, Some(address)) => address.to_owned(),
            (None, None) => default_host(port),
        };
        let is_socket = host.starts_with('/');
        let in_file = match host.as_str() {
            it if SOCKETS.contains(&it) || it == "/run/postgresql" => "localhost",
            host => host,
        };
        let login = Login {
            host: in_file,
            port,
            database,
            user: &user,
        };
        let own = passwords.password(login);
        let encrypted = !is_socket && must_encrypt(&host, value("sslmode"));
        let mut config = base_config(&value);
        config
            .user(&user)
            .dbname(database)
            .host(&host)
            .port(port.parse().unwrap_or(5432))
            .ssl_mode(if encrypted {
                SslMode::Require
            } else {
                SslMode::Disable
            });
        if let Some(address) = address.and_then(|it| it.parse::<IpAddr>().ok()) {
            config.hostaddr(address);
        }
        if let Some(password) = password.or(own.as_ref()) {
            config.password(password.expose_secret());
        }
        if value("target_session_attrs").map_or(count > 1, |it| it != "any") {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let limit = match number_of(&value, "connect_timeout") {
            Some(seconds) if seconds > 0 => Duration::from_secs(seconds.max(2)),
            _ => CONNECT,
        };
        config.connect_timeout(limit);
        targets.push(Target {
            shown: if is_socket {
                format!("{host}/.s.PGSQL.{port}")
            } else {
                format!("{host}:{port}")
            },
            config,
            encrypted,
            limit: limit * 3,
            login: format!("{in_file}:{port}:{database}:{user}"),
        });
    }
    Ok(targets)
}

/// Whether a connection must be encrypted, and the server's certificate verified. On this machine only if asked for.
fn must_encrypt(host: &str, mode: Option<&str>) -> bool {
    let asked = matches!(mode, Some("require" | "verify-ca" | "verify-full"));
    asked || !is_local_database(host)
}

/// Where a server of this machine listens on the port: the folder of its socket, or `localhost`.
fn default_host(port: &str) -> String {
    let mut folders = SOCKETS.into_iter();
    let found = folders.find(|it| Path::new(it).join(format!(".s.PGSQL.{port}")).exists());
    found.unwrap_or("localhost").to_owned()
}

fn number_of<'a>(value: &impl Fn(&str) -> Option<&'a str>, name: &str) -> Option<u64> {
    value(name)?.parse().ok()
}

/// What is the same for all hosts.
fn base_config<'a>(value: &impl Fn(&str) -> Option<&'a str>) -> Config {
    let mut config = Config::new();
    let seconds = |name: &str| {
        number_of(value, name)
            .filter(|it| *it > 0)
            .map(Duration::from_secs)
    };
    config
        .application_name(value("application_name").unwrap_or("access-invite"))
        .keepalives(value("keepalives") != Some("0"))
        .keepalives_idle(seconds("keepalives_idle").unwrap_or(Duration::from_mins(1)))
        .keepalives_interval(seconds("keepalives_interval").unwrap_or(Duration::from_secs(10)))
        .keepalives_retries(
            number_of(value, "keepalives_count")
                .and_then(|it| u32::try_from(it).ok())
                .filter(|it| *it > 0)
                .unwrap_or(3),
        );
    if let Some(options) = value("options") {
        config.options(options);
    }
    if let Some(milliseconds) = number_of(value, "tcp_user_timeout").filter(|it| *it > 0) {
        config.tcp_user_timeout(Duration::from_millis(milliseconds));
    }
    match value("channel_binding") {
        Some("require") => config.channel_binding(ChannelBinding::Require),
        Some("disable") => config.channel_binding(ChannelBinding::Disable),
        _ => &mut config,
    };
    if value("load_balance_hosts") == Some("random") {
        config.load_balance_hosts(LoadBalanceHosts::Random);
    }
    config
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    use tokio_postgres::config::Host;

    use super::*;

    fn resolve(url: &str, environment: &[(&str, &str)]) -> Result<Settings> {
        let server = LedgerServer::of_url(url, PathBuf::new()).expect(url);
        let environment: BTreeMap<_, _> = environment.iter().copied().collect();
        Settings::resolve(&server, &|name| environment.get(name).map(OsString::from))
    }

    fn hosts(settings: &Settings) -> Vec<(String, bool)> {
        let targets = settings.targets.iter();
        targets.map(|it| (it.shown.clone(), it.encrypted)).collect()
    }

    #[test]
    fn another_machine_is_reached_by_tls_and_this_one_only_on_demand() {
        for (url, mode, expected) in [
            ("postgres://ada@db.example/x", "", ("db.example:5432", true)),
            (
                "postgres://ada@db.example/x",
                "verify-ca",
                ("db.example:5432", true),
            ),
            (
                "postgres://ada@127.0.0.1:5433/x",
                "",
                ("127.0.0.1:5433", false),
            ),
            (
                "postgres://ada@localhost/x",
                "prefer",
                ("localhost:5432", false),
            ),
            ("postgres://ada@[::1]/x", "require", ("::1:5432", true)),
            (
                "postgres://ada@/x?host=/s",
                "require",
                ("/s/.s.PGSQL.5432", false),
            ),
        ] {
            let settings = resolve(url, &[("PGSSLMODE", mode)]).expect(url);
            assert_eq!(hosts(&settings), [(expected.0.to_owned(), expected.1)]);
        }
        let error = resolve("postgres://db.example/x", &[("PGSSLMODE", "prefer")]).err();
        let error = error.unwrap();
        assert!(matches!(error, LedgerError::Configuration(_)), "{error:?}");
        assert!(error.to_string().contains("another machine"), "{error}");
    }

    #[test]
    fn what_the_url_leaves_open_comes_from_service_file_and_environment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("services");
        std::fs::write(
            &path,
            "[inv]\nhost=db.example\ndbname=of_service\npassword=of service\napplication_name=a\n",
        )
        .unwrap();
        let services = path.to_str().unwrap();
        let environment = [
            ("PGSERVICEFILE", services),
            ("PGHOST", "of.environment"),
            ("PGHOSTADDR", "192.0.2.1"),
            ("PGPORT", "5433"),
            ("PGUSER", "ada"),
            ("PGDATABASE", "of_environment"),
            ("PGPASSWORD", "of environment"),
        ];

        let settings = resolve("postgres://?service=inv", &environment).unwrap();
        assert_eq!(hosts(&settings), [("db.example:5433".to_owned(), true)]);
        let config = &settings.targets[0].config;
        assert_eq!(config.get_user(), Some("ada"));
        assert_eq!(config.get_dbname(), Some("of_service"));
        assert_eq!(config.get_password(), Some(&b"of service"[..]));
        assert_eq!(config.get_application_name(), Some("a"));
        assert!(config.get_hostaddrs().is_empty());

        let settings = resolve("postgres://eve@localhost/of_url", &environment).unwrap();
        assert_eq!(hosts(&settings), [("localhost:5433".to_owned(), false)]);
        let config = &settings.targets[0].config;
        assert_eq!(config.get_user(), Some("eve"));
        assert_eq!(config.get_dbname(), Some("of_url"));
        assert_eq!(config.get_password(), Some(&b"of environment"[..]));
        assert_eq!(config.get_application_name(), Some("access-invite"));

        for (url, reason) in [
            ("postgres://?service=other", "which no service file has"),
            ("postgres://h,i,j/x", "one for each host"),
        ] {
            let environment = [&environment[..2], &[("PGPORT", "1,2")]].concat();
            let error = resolve(url, &environment).err().unwrap().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let missing = [("PGSERVICEFILE", "/nonexistent"), ("PGSERVICE", "inv")];
        let error = resolve("postgres://", &missing).err().unwrap().to_string();
        assert!(error.contains("correct PGSERVICEFILE"), "{error}");
    }

    #[test]
    fn each_host_has_its_own_password_and_only_a_server_that_is_written_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".pgpass");
        std::fs::write(
            &path,
            "a:5432:x:ada:one\nb:5433:*:ada:two\nlocalhost:*:*:*:three\n",
        )
        .unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let home = [("HOME", folder.path().to_str().unwrap())];

        let url = "postgres://ada@a,b:5433,%2Fvar%2Frun%2Fpostgresql,c/x";
        let settings = resolve(url, &home).unwrap();
        let passwords = settings.targets.iter();
        let passwords: Vec<_> = passwords
            .map(|it| it.config.get_password().map(String::from_utf8_lossy))
            .collect();
        let expected = [Some("one"), Some("two"), Some("three"), None];
        assert_eq!(passwords, expected.map(|it| it.map(Into::into)));
        let attributes = settings.targets[0].config.get_target_session_attrs();
        assert_eq!(attributes, TargetSessionAttrs::ReadWrite);
        let sockets = settings.targets[2].config.get_hosts();
        assert_eq!(sockets, [Host::Unix("/var/run/postgresql".into())]);

        let one = resolve("postgres://ada@a/x", &home).unwrap();
        let attributes = one.targets[0].config.get_target_session_attrs();
        assert_eq!(attributes, TargetSessionAttrs::Any);
    }
}
