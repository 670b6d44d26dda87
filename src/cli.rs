//! The command line: what people type, and which verb it means.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::address::Address;
use crate::approval::Digest;
use crate::commands::{
    Console, PREVIEW, PartnerFilter, accept_older, check, init, preview, resolve, sandbox, send,
    status, test_send,
};
use crate::exit::{self, Exit};
use crate::invitation::{Decision, State};
use crate::report::{Format, LanguagesFormat};

/// Mails partners their whole My Access link: once each, in their language, every result
/// on record.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
#[command(
    after_help = "Examples:\n  access-invite init invitations\n  access-invite send --sandbox"
)]
pub struct Cli {
    /// The configuration
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "ACCESS_INVITE_CONFIG",
        default_value = "config.toml",
        hide_env_values = true
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create config.toml, partners.csv, templates/ and an empty ledger, where they are missing
    #[command(after_help = "Examples:\n  access-invite init\n  access-invite init invitations")]
    Init {
        /// The folder of the new job
        #[arg(value_name = "DIR", default_value = ".")]
        folder: PathBuf,
    },
    /// Prove configuration, link, secrets, templates and CSV, without the network
    #[command(after_help = "Examples:\n  access-invite check\n  access-invite check --connect")]
    Check {
        /// Connect to the relay, too, and log in; no mail is sent
        #[arg(long)]
        connect: bool,
        /// Show which languages the list asks for, and which template each of them gets
        #[arg(long)]
        locales: bool,
        /// How to write the languages
        #[arg(long, value_enum, default_value_t = LanguagesFormat::Text, requires = "locales")]
        format: LanguagesFormat,
    },
    /// Show what a send would send now, as files to open in a browser (the same as send --dry-run)
    #[command(
        after_help = "Examples:\n  access-invite preview\n  access-invite preview --only ada@fabrikam.example --out review"
    )]
    Preview {
        #[command(flatten)]
        partners: PartnerArgs,
        /// Where to write the review
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Send what is due
    #[command(
        after_help = "Examples:\n  access-invite send --test-to you@contoso.example\n  access-invite send --limit 5"
    )]
    Send(SendArgs),
    /// Tell where every invitation stands, or the history of one address
    #[command(
        after_help = "Examples:\n  access-invite status --state unknown\n  access-invite status ada@fabrikam.example --format json"
    )]
    Status(StatusArgs),
    /// Decide what the program must not decide: whether an unknown delivery arrived
    #[command(
        after_help = "Examples:\n  access-invite resolve ada@fabrikam.example --as accepted --note \"queued as 4XyZ at 07:15\"\n  access-invite resolve --all-unknown --as resend --note \"not in the relay's log\""
    )]
    Resolve(ResolveArgs),
}

#[derive(Debug, Args)]
struct PartnerArgs {
    /// Mail at most so many, the first that are due
    #[arg(long, value_name = "N", value_parser = whole_number)]
    limit: Option<u64>,
    /// Mail only these
    #[arg(long, value_name = "ADDRESS", num_args = 1.., value_parser = Address::parse)]
    only: Vec<Address>,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(group = ArgGroup::new("rehearsal").args(["dry_run", "sandbox"]))]
#[command(group = ArgGroup::new("instead").args(["dry_run", "sandbox", "test_to"]))]
struct SendArgs {
    #[command(flatten)]
    partners: PartnerArgs,
    /// Write what would be sent into files, as `preview` does, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Send to a small server inside this process, which keeps the mail as files
    #[arg(long)]
    sandbox: bool,
    /// Send the first message of each language to this address, marked as a test, and to no partner
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    test_to: Option<Address>,
    /// Where --dry-run and --sandbox write [default: preview or sandbox]
    #[arg(long, value_name = "DIR", requires = "rehearsal")]
    out: Option<PathBuf>,
    /// Do not ask before the first message
    #[arg(long)]
    yes: bool,
    /// Send only if configuration, links, templates and list are still those of this digest, as
    /// `preview` printed it
    #[arg(long, value_name = "DIGEST", value_parser = Digest::from_str, conflicts_with = "instead")]
    approved: Option<Digest>,
    /// Invite under a campaign name that is new to the ledger, although another one invited
    /// the same partners
    #[arg(long)]
    new_campaign: bool,
}

#[derive(Debug, Args)]
struct StatusArgs {
    /// The whole history of this address
    #[arg(value_parser = Address::parse)]
    address: Option<Address>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Only invitations in this state
    #[arg(long, value_parser = state)]
    state: Option<State>,
    /// Only invitations to this package, by its name in the configuration or its id
    #[arg(long, value_name = "NAME|ID")]
    package: Option<String>,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(group = ArgGroup::new("whom").required(true).args(["address", "all_unknown", "state", "accept_older_ledger"]))]
struct ResolveArgs {
    /// Whose invitation
    #[arg(value_parser = Address::parse)]
    address: Option<Address>,
    /// Every unknown invitation of the campaign
    #[arg(long)]
    all_unknown: bool,
    /// Every invitation of the campaign in this state: expired, rejected or bounced
    #[arg(long, value_parser = decidable_state)]
    state: Option<State>,
    /// Go on with a ledger that is older than its witness: what may have been mailed since
    /// becomes unknown
    #[arg(long, conflicts_with_all = ["decision", "package", "changed"])]
    accept_older_ledger: bool,
    /// What is to follow
    #[arg(
        long = "as",
        value_enum,
        value_name = "DECISION",
        required_unless_present = "accept_older_ledger"
    )]
    decision: Option<DecisionArg>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    note: String,
    /// Which package, by its name in the configuration or its id, where the address is invited to several
    #[arg(long, value_name = "NAME|ID")]
    package: Option<String>,
    /// Resend an unknown even if the message is no longer the same, byte for byte
    #[arg(long)]
    changed: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DecisionArg {
    /// It arrived
    Accepted,
    /// Send it again
    Resend,
    /// Let it be
    Abandoned,
}

fn whole_number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| "it must be a whole number, such as 5".to_owned())
}

fn state(name: &str) -> Result<State, String> {
    State::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = State::ALL.iter().map(|it| it.as_str()).collect();
        format!("the states are {}", names.join(", "))
    })
}

/// A state whose invitations may be decided about together.
fn decidable_state(name: &str) -> Result<State, String> {
    match state(name) {
        Ok(it @ (State::Expired | State::Rejected | State::Bounced)) => Ok(it),
        _ => Err("it must be expired, rejected or bounced".to_owned()),
    }
}

impl From<PartnerArgs> for PartnerFilter {
    fn from(it: PartnerArgs) -> Self {
        Self {
            only: it.only,
            limit: it.limit,
        }
    }
}

/// Reads the command line.
///
/// # Errors
/// What clap has to say, `--help` and `--version` included.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments)
}

/// Does what was typed.
///
/// # Errors
/// Why it could not be done.
pub async fn run(cli: Cli, console: &mut Console<'_>) -> exit::Result<Exit> {
    let config = &cli.config;
    match cli.command {
        Command::Init { folder } => init::run(&folder, console),
        Command::Check {
            connect,
            locales,
            format,
        } => {
            let options = check::Options {
                connect,
                locales: locales.then_some(format),
            };
            check::run(config, &options, console).await
        }
        Command::Preview { partners, out } => {
            let out = out.unwrap_or_else(|| PREVIEW.into());
            preview::run(config, &out, &partners.into(), console).await
        }
        Command::Send(args) if args.dry_run => {
            let out = args.out.unwrap_or_else(|| PREVIEW.into());
            preview::run(config, &out, &args.partners.into(), console).await
        }
        Command::Send(args) if args.sandbox => {
            let out = args.out.unwrap_or_else(|| "sandbox".into());
            sandbox::run(config, &out, &args.partners.into(), console).await
        }
        Command::Send(SendArgs {
            test_to: Some(address),
            partners,
            ..
        }) => test_send::run(config, &address, &partners.into(), console).await,
        Command::Send(args) => {
            let options = send::Options {
                choice: args.partners.into(),
                yes: args.yes,
                new_campaign: args.new_campaign,
                approved: args.approved,
            };
            Box::pin(send::run(config, &options, console)).await
        }
        Command::Status(args) => {
            let options = status::Options {
                address: args.address,
                format: args.format,
                state: args.state,
                package: args.package,
            };
            status::run(config, &options, console).await
        }
        Command::Resolve(args) => {
            let decision = match args.decision {
                Some(DecisionArg::Accepted) => Decision::Accepted,
                Some(DecisionArg::Resend) => Decision::Resend,
                Some(DecisionArg::Abandoned) => Decision::Abandoned,
                None => {
                    let options = accept_older::Options {
                        note: args.note,
                        yes: args.yes,
                    };
                    return accept_older::run(config, &options, console).await;
                }
            };
            let options = resolve::Options {
                address: args.address,
                state: args.state,
                decision,
                note: args.note,
                package: args.package,
                changed: args.changed,
                yes: args.yes,
            };
            resolve::run(config, &options, console).await
        }
    }
}
