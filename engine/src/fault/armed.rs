//! The faults of a development build.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{POINTS, TASK_POINTS};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Kill,
    Pause,
    Panic,
    IoError,
    DiskFull,
}

const ACTIONS: [(&str, Action); 5] = [
    ("kill", Action::Kill),
    ("pause", Action::Pause),
    ("panic", Action::Panic),
    ("io_error", Action::IoError),
    ("enospc", Action::DiskFull),
];

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ACTIONS.iter().find(|(_, action)| action == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// When a fault happens.
#[derive(Debug)]
enum Passes {
    Every,
    Nth(AtomicU64),
}

/// One fault that the environment asks for.
#[derive(Debug)]
pub(super) struct Fault {
    point: String,
    action: Action,
    passes: Passes,
}

impl Fault {
    fn is_due(&self, point: &str) -> bool {
        self.point == point
            && match &self.passes {
                Passes::Every => true,
                Passes::Nth(left) => left.fetch_sub(1, Ordering::SeqCst) == 1,
            }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':');
        let (Some(point), Some(action)) = (parts.next(), parts.next()) else {
            return Err(format!("`{text}`, expected point:action[:n]"));
        };
        if !POINTS.contains(&point) {
            return Err(format!("unknown point `{point}`, expected one of {}", POINTS.join(", ")));
        }
        let Some((_, action)) = ACTIONS.iter().find(|(name, _)| *name == action) else {
            let names: Vec<&str> = ACTIONS.iter().map(|(name, _)| *name).collect();
            return Err(format!("unknown action `{action}`, expected one of {}", names.join(", ")));
        };
        let is_error = matches!(action, Action::IoError | Action::DiskFull);
        if is_error && !TASK_POINTS.contains(&point) {
            return Err(format!("`{point}` raises no errors, expected one of {}", TASK_POINTS.join(", ")));
        }
        let passes = match parts.next() {
            None => Passes::Nth(AtomicU64::new(1)),
            Some("*") => Passes::Every,
            Some(nth) => {
                let nth = nth.parse().map_err(|_| format!("pass `{nth}`, expected a number or `*`"))?;
                Passes::Nth(AtomicU64::new(nth))
            }
        };
        Ok(Self { point: point.to_owned(), action: *action, passes })
    }
}

/// What the environment asks for.
#[derive(Debug, Default)]
pub(super) struct Faults {
    faults: Vec<Fault>,
    token: Option<PathBuf>,
    log: Option<PathBuf>,
}

impl Faults {
    pub(super) fn new(settings: &str, token: Option<PathBuf>, log: Option<PathBuf>) -> Result<Self, String> {
        let faults = settings.split(',').filter(|setting| !setting.is_empty()).map(str::parse);
        Ok(Self { faults: faults.collect::<Result<_, _>>()?, token, log })
    }

    fn from_environment() -> Result<Self, String> {
        let mut settings = std::env::var("CAMBIST_FAULT").unwrap_or_default();
        if let Ok(kill_at) = std::env::var("CAMBIST_KILL_AT") {
            let (point, nth) = kill_at.split_once(':').unwrap_or((&kill_at, "1"));
            settings.push_str(&format!(",{point}:kill:{nth}"));
        }
        let path = |name| std::env::var_os(name).map(PathBuf::from);
        Self::new(&settings, path("CAMBIST_FAULT_TOKEN"), path("CAMBIST_FAULT_LOG"))
    }

    /// Returns what is to happen at this pass of `point`, after it was noted.
    pub(super) fn due(&self, point: &str) -> Option<Action> {
        let fault = self.faults.iter().find(|fault| fault.is_due(point))?;
        let line = format!("{point} {} pid {}\n", fault.action, std::process::id());
        if let Some(token) = &self.token
            && !take(token, &line)
        {
            return None;
        }
        if let Some(log) = &self.log {
            let opened = File::options().create(true).append(true).open(log);
            let written = opened.and_then(|mut log| log.write_all(line.as_bytes()));
            refuse(written.map_err(|error| format!("the fault log cannot be written: {error}")));
        }
        Some(fault.action)
    }
}

/// Creates the token; of several processes one can.
fn take(token: &Path, line: &str) -> bool {
    match File::create_new(token) {
        Ok(mut file) => {
            refuse(file.write_all(line.as_bytes()).map_err(|error| error.to_string()));
            true
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => {
            refuse::<()>(Err(format!("the fault token cannot be made: {error}")));
            false
        }
    }
}

static FAULTS: OnceLock<Faults> = OnceLock::new();

pub(super) fn pass(name: &'static str) -> io::Result<()> {
    debug_assert!(POINTS.contains(&name), "fault point `{name}` is not listed");
    let faults = FAULTS.get_or_init(|| refuse(Faults::from_environment()).unwrap_or_default());
    match faults.due(name) {
        None => Ok(()),
        Some(action) => happen(name, action),
    }
}

fn happen(name: &str, action: Action) -> io::Result<()> {
    eprintln!("fault injected at {name}: {action}");
    match action {
        Action::Kill => {
            signal("-9");
            loop {
                std::thread::park();
            }
        }
        Action::Pause => {
            stop();
            Ok(())
        }
        #[expect(clippy::panic, reason = "a test asks for it")]
        Action::Panic => panic!("injected panic at {name}"),
        Action::IoError => Err(io::Error::other(format!("injected I/O error at {name}"))),
        Action::DiskFull => Err(io::Error::from(io::ErrorKind::StorageFull)),
    }
}

/// The signal comes from outside, so that nothing of this process runs on the way out.
fn signal(signal: &str) {
    run(Command::new("kill").args([signal, &std::process::id().to_string()]));
}

/// Stops the process as SIGSTOP does, at this very place: a signal from outside reaches some thread at some time, so
/// whoever sends it ends, and lets this thread go on, only when all threads have stopped. Looks a bounded number of
/// times, should they be woken meanwhile.
fn stop() {
    const SCRIPT: &str = r#"kill -STOP "$1"
        looks=0
        while [ $looks -lt 1000 ] && cat /proc/"$1"/task/*/stat | grep -qv ') T '; do
            looks=$((looks + 1))
        done"#;
    run(Command::new("sh").args(["-c", SCRIPT, "stop", &std::process::id().to_string()]));
}

fn run(command: &mut Command) {
    if command.status().is_err() {
        std::process::abort();
    }
}

/// A test whose fault cannot happen must not pass.
fn refuse<T>(setting: Result<T, String>) -> Option<T> {
    match setting {
        Ok(value) => Some(value),
        Err(text) => {
            eprintln!("fault injection: {text}");
            std::process::abort();
        }
    }
}
