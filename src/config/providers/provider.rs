//! What the table of providers says about each of them.

use crate::config::microsoft::Cloud;
use crate::config::tls::Tls;

/// What is known about the relay of a provider.
#[derive(Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Its host; `{region}` stands for `smtp.region`.
    pub host: &'static str,
    /// Other hosts, by region or by Microsoft's cloud.
    pub place: Place,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// How it knows who sends.
    pub login: ProviderLogin,
    /// The user name of every login, if it is always the same.
    pub username: Option<&'static str>,
    /// How many connections are opened; `None`: this program's default.
    pub connections: Option<u32>,
    /// Messages in any 60 seconds; `None`: unknown or by account.
    pub per_minute: Option<u32>,
    /// Messages in any 24 hours; `None`: unknown or by account.
    pub per_day: Option<u32>,
    /// How the limits depend on the account, if they do.
    pub limits_by_account: Option<&'static str>,
    /// The largest message in MB of 1,000,000 bytes; `None`: only as the relay's EHLO says.
    pub max_megabytes: Option<u32>,
    /// Which addresses it accepts as the sender.
    pub sender: SenderRule,
    /// Whether it replaces the Message-ID.
    pub replaces_message_id: bool,
    /// How its click tracking, which rewrites links, is turned off.
    pub link_tracking: Option<&'static str>,
    /// Where these facts are from.
    pub sources: &'static [Source],
}

/// How a provider knows who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderLogin {
    /// By a login, with an access token for `[microsoft]` unless another credential is configured.
    Microsoft,
    /// By a login.
    Required,
    /// By a login, or by the address of this machine.
    Optional,
}

/// On what the host of a provider depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On nothing.
    Anywhere,
    /// On `smtp.region`, which must be set; with an example.
    Region(&'static str),
    /// On `smtp.region`, if it is one of these.
    Regions(&'static [(&'static str, &'static str)]),
    /// On `microsoft.cloud`, which must be one of these; the first one if it is unknown.
    Clouds(&'static [(Cloud, &'static str)]),
}

/// Which addresses a provider accepts as the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderRule {
    /// Those that the relay's operator allows.
    Operator,
    /// The login's; what happens with another one, and the fix.
    Login(&'static str, &'static str),
    /// Those at the login's domain; what happens with another one.
    LoginDomain(&'static str),
    /// Those that were verified; where that is done.
    Verified(&'static str),
}

/// A key that a configuration with the provider must set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequiredKey {
    /// Its table: `smtp` or `microsoft`.
    pub table: &'static str,
    /// Its name in the table.
    pub name: &'static str,
    /// Its value, if the provider determines it or there is an example.
    pub value: Option<&'static str>,
}

/// A public page with facts about a provider.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// Who published it.
    pub publisher: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Its address.
    pub url: &'static str,
    /// Which facts are from it.
    pub facts: &'static str,
    /// When a copy of it was last read for these facts.
    pub read: &'static str,
}

/// What all providers have in common, unless their row says otherwise.
pub const UNKNOWN: Provider = Provider {
    name: "",
    host: "",
    place: Place::Anywhere,
    port: 587,
    tls: Tls::StartTls,
    login: ProviderLogin::Required,
    username: None,
    connections: None,
    per_minute: None,
    per_day: None,
    limits_by_account: None,
    max_megabytes: None,
    sender: SenderRule::Operator,
    replaces_message_id: false,
    link_tracking: None,
    sources: &[],
};

impl Provider {
    /// The keys that a configuration with it must set, except for `provider` itself; of the possible
    /// credentials, a secret in a file.
    #[must_use]
    pub fn required_keys(&self) -> Vec<RequiredKey> {
        let key = |table, name, value| RequiredKey { table, name, value };
        let mut keys = Vec::new();
        if let Place::Region(example) = self.place {
            keys.push(key("smtp", "region", Some(example)));
        }
        if self.login != ProviderLogin::Optional && self.username.is_none() {
            keys.push(key("smtp", "username", None));
        }
        match self.login {
            ProviderLogin::Microsoft => {
                let names = ["tenant", "client_id", "client_secret_file"];
                keys.extend(names.map(|it| key("microsoft", it, None)));
            }
            ProviderLogin::Required => keys.push(key("smtp", "password_file", None)),
            ProviderLogin::Optional => {}
        }
        if let Place::Clouds([(cloud, _), ..]) = self.place
            && *cloud != Cloud::Global
        {
            keys.push(key("microsoft", "cloud", Some(cloud.name())));
        }
        keys
    }

    /// The host in this region or cloud.
    ///
    /// # Errors
    /// The key that is wrong or missing, and a message.
    pub fn host_in(
        &self,
        region: Option<&str>,
        cloud: Option<Cloud>,
    ) -> Result<String, (&'static str, String)> {
        let name = self.name;
        match (self.place, region) {
            (Place::Region(_), Some(region)) => Ok(self.host.replace("{region}", region)),
            (Place::Region(example), None) => {
                let message = format!(
                    "`smtp.provider` = \"{name}\" needs `smtp.region`, such as \"{example}\", or `smtp.host`"
                );
                Err(("provider", message))
            }
            (Place::Regions(regions), Some(region)) => {
                let host = regions.iter().find(|it| it.0 == region).map(|it| it.1);
                let known: Vec<_> = regions.iter().map(|it| format!("\"{}\"", it.0)).collect();
                let known = known.join(" or ");
                let message = format!(
                    "`smtp.region` must be {known} for `smtp.provider` = \"{name}\", or unset"
                );
                host.map(str::to_owned).ok_or(("region", message))
            }
            (Place::Anywhere | Place::Clouds(_), Some(_)) => {
                let message =
                    format!("`smtp.provider` = \"{name}\" has no regions; remove `smtp.region`");
                Err(("region", message))
            }
            (Place::Clouds(clouds), None) => self.host_in_cloud(clouds, cloud),
            (Place::Anywhere | Place::Regions(_), None) => Ok(self.host.to_owned()),
        }
    }

    fn host_in_cloud(
        &self,
        clouds: &[(Cloud, &'static str)],
        cloud: Option<Cloud>,
    ) -> Result<String, (&'static str, String)> {
        let Some(cloud) = cloud else {
            return Ok(self.host.to_owned());
        };
        let host = clouds.iter().find(|it| it.0 == cloud).map(|it| it.1);
        host.map(str::to_owned).ok_or_else(|| {
            let fix = match cloud {
                Cloud::Global => "use `provider = \"microsoft365\"`, or set `microsoft.cloud`",
                Cloud::UsGov | Cloud::UsGovDod => "use `provider = \"microsoft365-gov\"`",
                Cloud::China => "set `smtp.host` to the host that your operator names",
            };
            let message = format!(
                "`smtp.provider` = \"{}\" has no relay in the cloud `microsoft.cloud` = \"{}\"; {fix}",
                self.name,
                cloud.name()
            );
            ("provider", message)
        })
    }
}
