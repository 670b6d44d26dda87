//! The program: arguments and terminal in, exit code and error line out.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, ErrorKind, IsTerminal, Write, stderr, stdin, stdout};
use std::num::NonZero;
use std::panic::PanicHookInfo;
use std::process::ExitCode;

use access_invite::cli;
use access_invite::console::{Console, Screen};
use access_invite::delivery::survive_file_size_limit;
use access_invite::exit::{CommandError, Exit};
use access_invite::log::{self, LogFormat};
use access_invite::os_error::without_os_code;
use access_invite::output::Output;
use access_invite::panics::catches_panics;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(report_panic));
    let arguments: Vec<_> = std::env::args_os().collect();
    let parsed = match cli::parse(arguments.iter().cloned()) {
        Ok(parsed) => parsed,
        Err(help) if help.exit_code() == 0 => {
            let printed = match help.print().and_then(|()| stdout().flush()) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                printed => printed,
            };
            return ExitCode::from(written(Exit::Done, &printed, &Ok(())) as u8);
        }
        // The message quotes the arguments, which may be anything.
        Err(usage) => {
            if cli::wants_json(&arguments) {
                log::start(LogFormat::Json, false);
            }
            log::write_error(&usage.to_string(), Some(Exit::Usage as u8));
            return ExitCode::from(Exit::Usage as u8);
        }
    };
    let messages = parsed.messages();
    log::start(messages.format, messages.verbose);
    let is_text = messages.format == LogFormat::Text;
    let interactive = is_text && stdin().is_terminal() && stderr().is_terminal();
    let mut out = Output::new(stdout().lock(), stdout().is_terminal());
    let mut err = Output::new(stderr(), stderr().is_terminal());
    let mut console = Console {
        out: &mut out,
        err: &mut err,
        input: &mut stdin().lock(),
        interactive,
        screen: Screen::detect(),
        clock: access_invite::clock::now,
        messages,
    };
    // The ledger's writer and other programs need cores, too.
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let workers = (cores / 2).clamp(1, 4);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build();
    let exit = match runtime {
        Ok(runtime) => runtime.block_on(async {
            survive_file_size_limit();
            Box::pin(cli::run_to_end(parsed, &mut console)).await
        }),
        Err(error) => {
            let error = CommandError::new(Exit::CannotWrite, error);
            console.fail(&error.to_string(), error.exit as u8);
            error.exit
        }
    };
    ExitCode::from(written(exit, &out.finish(), &err.finish()) as u8)
}

/// The exit code, given whether the output was written, because a script must not take incomplete output
/// for complete. An error that stopped the command before its work keeps its own code.
fn written(exit: Exit, out: &io::Result<()>, err: &io::Result<()>) -> Exit {
    if let Err(error) = out {
        let why = without_os_code(error);
        let message = format!(
            "error: cannot write to stdout: {why}; the output is incomplete; redirect it to a place with free space and run the command again"
        );
        log::write_error(&message, None);
    }
    match exit {
        Exit::Usage | Exit::BadInput | Exit::NoPermission | Exit::Config => exit,
        _ if out.is_err() || err.is_err() => Exit::CannotWrite,
        _ => exit,
    }
}

/// Reports a panic as an internal error. In a worker, it ends the run in good order. On the main thread the
/// process exits at once, because unwinding would wait for workers that may never end; the next start
/// recovers what is armed. A panic over a damaged workbook or mail is caught.
#[expect(clippy::exit, reason = "the end of the program")]
fn report_panic(panic: &PanicHookInfo<'_>) {
    if catches_panics() {
        return;
    }
    let place = panic.location().map_or_else(String::new, |it| {
        let file = it.file().rsplit('/').next().unwrap_or_default();
        format!(" ({file}, line {})", it.line())
    });
    let mut message = format!(
        "error: internal error{place}; if the system is not out of memory, threads or files, please report this"
    );
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        let why = panic.payload_as_str().unwrap_or_default();
        message = format!("{message}\n{why}\n{backtrace}");
    }
    log::write_error(&message, None);
    if std::thread::current().name() == Some("main") {
        std::process::exit(Exit::InternalError as i32);
    }
}
