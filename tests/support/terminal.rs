//! A terminal: tmux, with a shell in the folder of a job.

use std::cell::Cell;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Workplace, binary, scanner};

/// A screen and a keyboard.
pub struct Terminal {
    /// The folder of the tmux socket.
    folder: tempfile::TempDir,
    /// The number of command lines so far; the prompt shows how many the shell has read.
    lines: Cell<u32>,
}

impl Terminal {
    /// Opens a terminal of this size, in which `access-invite` is the binary under test.
    pub fn open(workplace: &Workplace, columns: u16, rows: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(binary(), folder.path().join("access-invite")).unwrap();
        let lines = Cell::new(0);
        let terminal = Self { folder, lines };
        let size = [columns, rows].map(|it| it.to_string());
        let [columns, rows] = size.each_ref().map(String::as_str);
        terminal.tmux(&[
            "new-session",
            "-d",
            "-x",
            columns,
            "-y",
            rows,
            "-c",
            workplace.path().to_str().unwrap(),
            "-e",
            "TZ=UTC",
            "-e",
            "PS1=\\#$ ",
            "-e",
            "LANG=C.UTF-8",
            "bash",
            "--norc",
            "--noprofile",
        ]);
        terminal.settle();
        terminal
    }

    /// Clears the screen and enters a command line.
    #[track_caller]
    pub fn begin(&self, line: &str) {
        self.lines.update(|it| it + 2);
        self.answer("clear");
        let prompt = format!("{}$", self.lines.get());
        self.wait_until("the screen is clear", |it| it == prompt);
        self.answer(line);
    }

    /// Types a line.
    pub fn answer(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.press("Enter");
    }

    /// Presses a key, by tmux's name for it.
    pub fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// The content of the screen, after the scan for forbidden output.
    pub fn screen(&self) -> String {
        let shown = self.tmux(&["capture-pane", "-p"]);
        let shown: Vec<_> = shown.trim_end().lines().map(str::trim_end).collect();
        let shown = shown.join("\n");
        scanner::scan("the screen", &shown);
        shown
    }

    /// The content of the screen with its colours, as control sequences.
    pub fn coloured_screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Waits for this text and returns the screen.
    #[track_caller]
    pub fn wait_for(&self, words: &str) -> String {
        self.wait_until(words, |it| it.contains(words))
    }

    /// Runs a command line to its end and returns its output.
    #[track_caller]
    pub fn run(&self, line: &str) -> String {
        self.begin(line);
        self.settle()
    }

    /// Waits for the prompt and returns the screen before it.
    #[track_caller]
    pub fn settle(&self) -> String {
        let prompt = format!("{}$", self.lines.get() + 1);
        let screen = self.wait_until("the shell's prompt", |it| it.ends_with(&prompt));
        let text = screen.strip_suffix(&prompt).unwrap_or(&screen);
        text.trim_end().to_owned()
    }

    #[track_caller]
    fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            assert!(
                Instant::now() < end,
                "timed out waiting for {what}:\n{screen}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = self.client(arguments).output();
        let output = output.expect("tmux is installed");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A command to the tmux server of this test, whose shells find the binary.
    fn client(&self, arguments: &[&str]) -> Command {
        let folder = self.folder.path();
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("tmux");
        command
            .args(["-u", "-f", "/dev/null", "-S"])
            .arg(folder.join("tmux"))
            .args(arguments)
            .env("PATH", format!("{}:{path}", folder.display()))
            .env_remove("TMUX")
            .env_remove("ACCESS_INVITE_CONFIG")
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.client(&["kill-server"]).output();
    }
}
