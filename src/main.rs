//! The edge: arguments and terminal in, exit code and error line out.

use std::io::{IsTerminal, Write, stderr, stdin, stdout};
use std::process::ExitCode;

use access_invite::cli;
use access_invite::commands::Console;
use access_invite::exit::{Exit, Failure};
use access_invite::report::printable;

fn main() -> ExitCode {
    let parsed = match cli::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(asked) if asked.exit_code() == 0 => {
            let _ = asked.print();
            return ExitCode::SUCCESS;
        }
        // What was typed stands in it, and may be anything.
        Err(usage) => {
            let _ = write!(stderr(), "{}", printable(&usage.to_string()));
            return ExitCode::from(Exit::Usage as u8);
        }
    };
    let interactive = stdin().is_terminal() && stderr().is_terminal();
    let mut console = Console {
        out: &mut stdout().lock(),
        err: &mut stderr(),
        input: &mut stdin().lock(),
        interactive,
        out_is_terminal: stdout().is_terminal(),
        clock: jiff::Timestamp::now,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(cli::run(parsed, &mut console)),
        Err(error) => Err(Failure::new(Exit::CannotWrite, error)),
    };
    let exit = ended.unwrap_or_else(|failure| {
        console.tell(&format!("error: {failure}"));
        failure.exit
    });
    let _ = console.out.flush();
    ExitCode::from(exit as u8)
}
