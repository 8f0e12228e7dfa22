//! Processes that outlive the command that starts them, found again by number and time of birth.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};
use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, Signal, System};

/// The kernel's clock and the wall clock that births are told by drift apart by this much at most.
const BIRTH_TOLERANCE_SECONDS: u64 = 2;

/// A log's end that is worth showing.
const LOG_TAIL_BYTES: i64 = 2048;

/// A process that was started, as it is kept in a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Process {
    /// Its number; another process may have it by now.
    pub(crate) pid: u32,
    /// When it was born, seconds of the Unix epoch: with the number it names one process.
    born: u64,
    /// Where its output goes.
    pub(crate) log: PathBuf,
}

impl Process {
    /// Starts this program with `arguments`, its output appended to `log`.
    pub(super) fn start(arguments: &[String], log: &Path) -> io::Result<(Self, Child)> {
        let output = OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // Out of the terminal's foreground: Ctrl-C there is not meant for it.
        command.process_group(0);
        let mut child = command.spawn()?;
        let pid = child.id();
        let Some(born) = born(pid) else {
            child.kill()?;
            return Err(io::Error::other(format!("process {pid} was started and cannot be found")));
        };
        Ok((Self { pid, born, log: log.to_owned() }, child))
    }

    /// Tells whether it lives: the number may belong to another by now, and a zombie is dead.
    pub(crate) fn is_alive(&self) -> bool {
        born(self.pid).is_some_and(|born| born.abs_diff(self.born) <= BIRTH_TOLERANCE_SECONDS)
    }

    /// Asks it to finish its work and leave.
    pub(super) fn terminate(&self) {
        self.signal(Signal::Term);
    }

    /// Ends it.
    pub(super) fn kill(&self) {
        self.signal(Signal::Kill);
    }

    fn signal(&self, signal: Signal) {
        if !self.is_alive() {
            return;
        }
        let system = look(self.pid);
        if let Some(process) = system.process(Pid::from_u32(self.pid)) {
            // A process that has gone meanwhile needs no signal.
            let _ = process.kill_with(signal);
        }
    }

    /// Returns the end of its log.
    pub(super) fn log_tail(&self) -> String {
        let read = || -> io::Result<String> {
            let mut log = File::open(&self.log)?;
            let length = i64::try_from(log.metadata()?.len()).unwrap_or(i64::MAX);
            log.seek(SeekFrom::End(-length.min(LOG_TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            log.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        read().unwrap_or_else(|error| format!("the log cannot be read: {error}"))
    }
}

fn look(pid: u32) -> System {
    let mut system = System::new();
    let one = [Pid::from_u32(pid)];
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&one), true, ProcessRefreshKind::nothing());
    system
}

/// Returns when the process of that number was born, if it lives.
fn born(pid: u32) -> Option<u64> {
    let system = look(pid);
    let process = system.process(Pid::from_u32(pid))?;
    (process.status() != ProcessStatus::Zombie).then(|| process.start_time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_another_process_has_now_is_not_ours() {
        let pid = std::process::id();
        let born = born(pid).unwrap();
        let me = Process { pid, born, log: PathBuf::new() };
        assert!(me.is_alive());
        // As after the number was given out again. Were this process taken for it, the test would die here.
        let gone = Process { born: born - 60, ..me };
        assert!(!gone.is_alive());
        gone.kill();
    }

    #[test]
    fn the_tail_of_a_log_is_its_end() {
        let path = std::env::temp_dir().join(format!("cambist-log-tail-{}", std::process::id()));
        std::fs::write(&path, format!("{}\nthe last line\n", "x".repeat(5000))).unwrap();
        let process = Process { pid: 0, born: 0, log: path.clone() };
        let tail = process.log_tail();
        std::fs::remove_file(path).unwrap();
        assert!(tail.ends_with("\nthe last line"), "{tail}");
        assert!(tail.len() <= 2048);
    }
}
