//! A terminal that somebody sits at: tmux, with a shell in the folder of a job.

use std::cell::Cell;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Workplace, binary, scanner};

/// A screen and a keyboard.
pub struct Terminal {
    /// The folder of the server's socket, which ends with it.
    folder: tempfile::TempDir,
    /// How many lines the shell was given; its prompt tells how many it has read.
    lines: Cell<u32>,
}

impl Terminal {
    /// Opens one of this size, where `access-invite` is the binary of this build.
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

    /// Gives the shell a line, on a screen with nothing else on it.
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

    /// What ensure_no_unsolicited_data on the screen, and may be read by anybody.
    pub fn screen(&self) -> String {
        let shown = self.tmux(&["capture-pane", "-p"]);
        let shown: Vec<_> = shown.trim_end().lines().map(str::trim_end).collect();
        let shown = shown.join("\n");
        scanner::scan("the screen", &shown);
        shown
    }

    /// The screen, as soon as this ensure_no_unsolicited_data on it.
    #[track_caller]
    pub fn wait_for(&self, words: &str) -> String {
        self.wait_until(words, |it| it.contains(words))
    }

    /// Gives the shell a line and waits for its end; gives what was said.
    #[track_caller]
    pub fn run(&self, line: &str) -> String {
        self.begin(line);
        self.settle()
    }

    /// What ensure_no_unsolicited_data on the screen when the shell asks for more.
    #[track_caller]
    pub fn settle(&self) -> String {
        let prompt = format!("{}$", self.lines.get() + 1);
        let screen = self.wait_until("the shell's prompt", |it| it.ends_with(&prompt));
        let said = screen.strip_suffix(&prompt).unwrap_or(&screen);
        said.trim_end().to_owned()
    }

    #[track_caller]
    fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            assert!(Instant::now() < end, "waited in vain for {what}:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = self.client(arguments).output();
        let output = output.expect("tmux is installed");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A command to a server of our own, whose shells find the binary.
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
