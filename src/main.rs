//! The edge: arguments and terminal in, exit code and error line out.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, ErrorKind, IsTerminal, Write, stderr, stdin, stdout};
use std::num::NonZero;
use std::panic::PanicHookInfo;
use std::process::ExitCode;

use access_invite::cli;
use access_invite::commands::Console;
use access_invite::delivery::survive_file_size_limit;
use access_invite::exit::{CommandError, Exit, without_os_code};
use access_invite::output::Output;
use access_invite::report::printable;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(tell_of_fault));
    let parsed = match cli::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(asked) if asked.exit_code() == 0 => {
            let printed = asked.print().and_then(|()| stdout().flush());
            let printed = printed.or_else(|error| match error.kind() {
                ErrorKind::BrokenPipe => Ok(()),
                _ => Err(error),
            });
            return ExitCode::from(written(Exit::Done, &printed, &Ok(())) as u8);
        }
        // What was typed stands in it, and may be anything.
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
        clock: jiff::Timestamp::now,
    };
    // The ledger's writer and whatever runs beside us want cores, too.
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let conversing = (cores / 2).clamp(1, 4);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(conversing)
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(async {
            survive_file_size_limit();
            Box::pin(cli::run(parsed, &mut console)).await
        }),
        Err(error) => Err(CommandError::new(Exit::CannotWrite, error)),
    };
    let exit = ended.unwrap_or_else(|failure| {
        console.eprint(&format!("error: {failure}"));
        failure.exit
    });
    ExitCode::from(written(exit, &out.finish(), &err.finish()) as u8)
}

/// The exit code, given whether the output was written: a script must not take a part of it
/// for the whole. An error that stopped the command before its work keeps its own code.
fn written(exit: Exit, out: &io::Result<()>, err: &io::Result<()>) -> Exit {
    if let Err(error) = out {
        let why = without_os_code(error);
        let _ = writeln!(
            stderr(),
            "error: cannot write to stdout: {why}; what was printed is incomplete, so redirect it to where there is room and run the command again"
        );
    }
    match exit {
        Exit::Usage | Exit::BadInput | Exit::NoPermission | Exit::Config => exit,
        _ if out.is_err() || err.is_err() => Exit::CannotWrite,
        _ => exit,
    }
}

/// A panic is a fault of ours, and is told as one. In a worker it ends the run in good order;
/// here nobody is left to do that, and to unwind would mean to wait for workers, for ever if
/// the system has refused a thread. What is armed then is found at the next start.
#[expect(clippy::exit, reason = "the edge of the program")]
fn tell_of_fault(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map_or_else(String::new, |it| {
        let file = it.file().rsplit('/').next().unwrap_or_default();
        format!(" ({file}, line {})", it.line())
    });
    let _ = writeln!(
        stderr(),
        "error: a part of the program failed{place}; unless the system has no memory, threads or files left to give, please report this"
    );
    // For whoever asks for more.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        let why = panic.payload_as_str().unwrap_or_default();
        let _ = writeln!(stderr(), "{}\n{backtrace}", printable(why));
    }
    if std::thread::current().name() == Some("main") {
        std::process::exit(Exit::InternalError as i32);
    }
}
