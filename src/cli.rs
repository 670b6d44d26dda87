//! The command line: which verb, with which arguments. Each verb declares its own arguments.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::approve::ApproveOptions;
use crate::commands::check::CheckOptions;
use crate::commands::export::ExportOptions;
use crate::commands::forget::ForgetOptions;
use crate::commands::init::InitOptions;
use crate::commands::ledger::LedgerOptions;
use crate::commands::manual::{self, CompletionsOptions, ManOptions};
use crate::commands::monitoring::MonitoredRun;
use crate::commands::packages::PackagesOptions;
use crate::commands::preview::PreviewOptions;
use crate::commands::report::ReportOptions;
use crate::commands::resolve::ResolveOptions;
use crate::commands::send::SendOptions;
use crate::commands::status::StatusOptions;
use crate::commands::suppress::SuppressOptions;
use crate::commands::sync::SyncOptions;
use crate::commands::{
    PREVIEW, SANDBOX, approve, check, export, forget, init, ledger, packages, preview, report,
    resolve, sandbox, send, status, suppress, sync, test_send,
};
use crate::console::{Console, Messages};
use crate::exit::{Exit, Result};
use crate::log::LogFormat;

/// Mails each partner the complete My Access link of an access package, once, in their language,
/// and records every result
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
#[command(
    after_help = "Examples:\n  access-invite init invitations\n  access-invite send --sandbox"
)]
pub struct Cli {
    /// The configuration file
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
    /// Write messages as text or json; with json, nothing is asked
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    log_format: LogFormat,
    /// Print no warnings and notes, only errors
    #[arg(long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print what the program does, with masked addresses
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create config.toml, partners.csv, templates/ and an empty ledger, unless they exist
    #[command(
        after_help = "Examples:\n  access-invite init invitations --provider microsoft365\n  access-invite init example --example"
    )]
    Init(InitOptions),
    /// List the access packages of your tenant with their links, from Microsoft Graph
    #[command(
        after_help = "Examples:\n  access-invite packages --search harbour\n  access-invite packages --format toml"
    )]
    Packages(PackagesOptions),
    /// Check configuration, link, secrets, templates and list, without the network
    #[command(after_help = "Examples:\n  access-invite check\n  access-invite check --connect")]
    Check(CheckOptions),
    /// Write a review of what would be sent, to open in a browser (the same as send --dry-run)
    #[command(
        after_help = "Examples:\n  access-invite preview\n  access-invite preview --only ada@fabrikam.example --out review"
    )]
    Preview(PreviewOptions),
    /// Record your approval of what the last preview shows
    #[command(
        after_help = "Examples:\n  access-invite approve\n  access-invite approve --by \"Ada Lovelace\" --note \"ticket 4711\""
    )]
    Approve(ApproveOptions),
    /// Write the invitations that are due as drafts or texts, to deliver in another way; record nothing
    #[command(
        after_help = "Examples:\n  access-invite export drafts\n  access-invite export texts --format text --only ada@fabrikam.example"
    )]
    Export(ExportOptions),
    /// Send the invitations that are due
    #[command(
        after_help = "Examples:\n  access-invite send --test-to you@contoso.example\n  access-invite send --limit 5"
    )]
    Send(SendOptions),
    /// Show the state of the invitations, or the history of one address
    #[command(
        after_help = "Examples:\n  access-invite status --state unknown\n  access-invite status ada@fabrikam.example --format json"
    )]
    Status(StatusOptions),
    /// Write a report of the campaign for people and auditors: partners, runs, approvals, texts
    #[command(
        after_help = "Examples:\n  access-invite report\n  access-invite report --format csv --out spring.csv"
    )]
    Report(ReportOptions),
    /// Read delivery reports and requests for access, and record them
    #[command(
        after_help = "Examples:\n  access-invite sync\n  access-invite sync --bounces returned.eml bounces.mbox"
    )]
    Sync(SyncOptions),
    /// Change or print the list of addresses and domains that no campaign mails
    #[command(
        after_help = "Examples:\n  access-invite suppress ada@fabrikam.example @northwind.example --note \"asked by phone\"\n  access-invite suppress --list"
    )]
    Suppress(SuppressOptions),
    /// Record your decision about an invitation, for example one whose delivery is unknown
    #[command(
        after_help = "Examples:\n  access-invite resolve ada@fabrikam.example --as accepted --note \"queued as 4XyZ at 07:15\"\n  access-invite resolve --all-unknown --as resend --note \"not in the relay's log\""
    )]
    Resolve(ResolveOptions),
    /// Erase an address from ledger, results and reviews, and never mail it again
    #[command(
        after_help = "Examples:\n  access-invite status ada@fabrikam.example --campaign all --format json\n  access-invite forget ada@fabrikam.example"
    )]
    Forget(ForgetOptions),
    /// Copy the ledger, examine it, or move it into a database
    #[command(
        after_help = "Examples:\n  access-invite ledger backup ledger-backup.sqlite3\n  access-invite ledger verify"
    )]
    Ledger(LedgerOptions),
    /// Write the manual pages of all verbs into a folder
    #[command(
        after_help = "Examples:\n  access-invite man man1\n  access-invite man /usr/local/share/man/man1"
    )]
    Man(ManOptions),
    /// Print the completions for a shell
    #[command(
        after_help = "Examples:\n  access-invite completions bash\n  access-invite completions zsh"
    )]
    Completions(CompletionsOptions),
    /// Print a JSON Schema of the configuration, for editors
    #[command(
        after_help = "Examples:\n  access-invite schema\n  access-invite --config other.toml schema"
    )]
    Schema,
}

/// Parses the command line.
///
/// # Errors
/// An error of clap, also for `--help` and `--version`.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> std::result::Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments)
}

/// Whether the arguments ask for JSON on stderr, also if they are wrong otherwise.
#[must_use]
pub fn wants_json(arguments: &[OsString]) -> bool {
    let pairs = arguments.windows(2);
    let mut pairs = pairs.filter(|it| it[0] == "--log-format");
    arguments.iter().any(|it| it == "--log-format=json") || pairs.any(|it| it[1] == "json")
}

impl Cli {
    /// How messages are written to stderr, and which.
    #[must_use]
    pub fn messages(&self) -> Messages {
        Messages::new(self.log_format, self.quiet, self.verbose)
    }

    /// The name of the verb if it writes records, of which others may learn.
    fn writing_verb(&self) -> Option<&'static str> {
        match &self.command {
            Command::Send(options) => {
                let sends = !options.dry_run && !options.sandbox && options.test_to.is_none();
                sends.then_some("send")
            }
            Command::Sync(_) => Some("sync"),
            Command::Resolve(_) => Some("resolve"),
            Command::Suppress(options) => (!options.list).then_some("suppress"),
            Command::Approve(_) => Some("approve"),
            Command::Forget(_) => Some("forget"),
            _ => None,
        }
    }
}

/// Runs the verb, prints its error, and lets others learn how it ended.
pub async fn run_to_end(cli: Cli, console: &mut Console<'_>) -> Exit {
    let monitored = MonitoredRun::begin(cli.writing_verb(), &cli.config, console.now());
    let ended = Box::pin(run(cli, console)).await.unwrap_or_else(|error| {
        console.fail(&error.to_string(), error.exit as u8);
        error.exit
    });
    if let Some(monitored) = monitored {
        monitored.end(ended, console).await;
    }
    ended
}

/// Runs the verb.
///
/// # Errors
/// The error of the verb.
pub async fn run(cli: Cli, console: &mut Console<'_>) -> Result<Exit> {
    let config = &cli.config;
    match cli.command {
        Command::Init(options) => init::run(&options, console),
        Command::Packages(options) => packages::run(config, &options, console).await,
        Command::Check(options) => check::run(config, &options, console).await,
        Command::Preview(options) => preview::run(config, &options, console).await,
        Command::Approve(options) => approve::run(config, &options, console).await,
        Command::Export(options) => export::run(config, &options, console).await,
        Command::Send(options) if options.dry_run => {
            preview::run(config, &options.for_review(PREVIEW), console).await
        }
        Command::Send(options) if options.sandbox => {
            sandbox::run(config, &options.for_review(SANDBOX), console).await
        }
        Command::Send(options) => match &options.test_to {
            Some(address) => test_send::run(config, address, &options.filter, console).await,
            None => Box::pin(send::run(config, &options, console)).await,
        },
        Command::Status(options) => status::run(config, &options, console).await,
        Command::Report(options) => report::run(config, &options, console).await,
        Command::Sync(options) => sync::run(config, &options, console).await,
        Command::Suppress(options) => suppress::run(config, &options, console).await,
        Command::Resolve(options) => resolve::run(config, &options, console).await,
        Command::Forget(options) => forget::run(config, &options, console).await,
        Command::Ledger(options) => ledger::run(config, &options, console).await,
        Command::Man(options) => manual::man(&options, &Cli::command()),
        Command::Completions(options) => {
            Ok(manual::completions(&options, Cli::command(), console.out))
        }
        Command::Schema => Ok(manual::schema(console)),
    }
}
