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
use access_invite::os_error::without_os_code;
use access_invite::output::Output;
use access_invite::panics::catches_panics;
use access_invite::report::printable;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(report_panic));
    let parsed = match cli::parse(std::env::args_os()) {
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
            let _ = write!(stderr(), "{}", printable(&usage.to_string()));
            return ExitCode::from(Exit::Usage as u8);
        }
    };
    let interactive = stdin().is_terminal() && stderr().is_terminal();
    let mut out = Output::new(stdout().lock(), stdout().is_terminal());
    let mut err = Output::new(stderr(), stderr().is_terminal());
    let mut console = Console {
        out: &mut out,
        err: &mut err,
        input: &mut stdin().lock(),
        interactive,
        out_is_terminal: stdout().is_terminal(),
        screen: Screen::detect(),
        clock: access_invite::clock::now,
    };
    // The ledger's writer and other programs need cores, too.
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let workers = (cores / 2).clamp(1, 4);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(async {
            survive_file_size_limit();
            Box::pin(cli::run(parsed, &mut console)).await
        }),
        Err(error) => Err(CommandError::new(Exit::CannotWrite, error)),
    };
    let exit = ended.unwrap_or_else(|error| {
        console.eprint(&format!("error: {error}"));
        error.exit
    });
    ExitCode::from(written(exit, &out.finish(), &err.finish()) as u8)
}

/// The exit code, given whether the output was written, because a script must not take incomplete output
/// for complete. An error that stopped the command before its work keeps its own code.
fn written(exit: Exit, out: &io::Result<()>, err: &io::Result<()>) -> Exit {
    if let Err(error) = out {
        let why = without_os_code(error);
        let _ = writeln!(
            stderr(),
            "error: cannot write to stdout: {why}; the output is incomplete; redirect it to a place with free space and run the command again"
        );
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
    let _ = writeln!(
        stderr(),
        "error: internal error{place}; if the system is not out of memory, threads or files, please report this"
    );
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        let why = panic.payload_as_str().unwrap_or_default();
        let _ = writeln!(stderr(), "{}\n{backtrace}", printable(why));
    }
    if std::thread::current().name() == Some("main") {
        std::process::exit(Exit::InternalError as i32);
    }
}
