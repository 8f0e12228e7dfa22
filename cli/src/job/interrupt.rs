//! What a person or a supervisor wants of a run on a cluster when they signal the command that waits for it.
//!
//! A terminal's Ctrl-C asks: the run may go on without us. Without a terminal nobody can answer, and whoever
//! stops the command (a step that is cancelled, a timer) means the run.

use std::io::{self, BufRead, IsTerminal};

use cambist_jobs::error::{ErrorKind, JobError, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::output;

const QUESTION: &str = "\ndetach (the run goes on) or cancel it? [d/c] ";

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A question is on the terminal; an answer follows.
    Wait,
    /// Leave the run to the cluster.
    Detach,
    /// Cancel the run, because of this signal.
    Cancel(SignalKind),
}

/// What Ctrl-C on a terminal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CtrlC {
    /// The one who started the run decides between leaving and cancelling.
    Asks,
    /// Who only watches stops watching.
    Leaves,
}

/// Begins to listen; signals no longer end the process.
pub(crate) fn listen(ctrl_c: CtrlC) -> Result<mpsc::Receiver<Wish>> {
    let interrupts = begin(SignalKind::interrupt())?;
    let terminations = begin(SignalKind::terminate())?;
    // More signals than that are impatience, and say nothing new.
    let (sender, wishes) = mpsc::channel(4);
    tokio::spawn(interpret(ctrl_c, interrupts, terminations, sender));
    Ok(wishes)
}

/// Waits for Ctrl-C or SIGTERM, which from here on no longer end the process by themselves.
///
/// # Errors
/// Where signals cannot be listened for.
pub(crate) fn signalled() -> Result<impl Future<Output = SignalKind>> {
    let (mut interrupts, mut terminations) =
        (begin(SignalKind::interrupt())?, begin(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupts.recv() => SignalKind::interrupt(),
            _ = terminations.recv() => SignalKind::terminate(),
        }
    })
}

fn begin(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| {
        JobError::new(ErrorKind::Infrastructure, "signals cannot be listened for").caused_by(error)
    })
}

async fn interpret(
    ctrl_c: CtrlC,
    mut interrupts: Signal,
    mut terminations: Signal,
    sender: mpsc::Sender<Wish>,
) {
    let has_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    loop {
        let wish = tokio::select! {
            Some(()) = interrupts.recv() => match ctrl_c {
                CtrlC::Leaves => Wish::Detach,
                CtrlC::Asks if has_terminal => {
                    if sender.send(Wish::Wait).await.is_err() {
                        return;
                    }
                    tokio::select! {
                        answer = asked() => answer,
                        Some(()) = interrupts.recv() => Wish::Cancel(SignalKind::interrupt()),
                        Some(()) = terminations.recv() => Wish::Cancel(SignalKind::terminate()),
                    }
                }
                CtrlC::Asks => Wish::Cancel(SignalKind::interrupt()),
            },
            Some(()) = terminations.recv() => match ctrl_c {
                CtrlC::Leaves => Wish::Detach,
                CtrlC::Asks => Wish::Cancel(SignalKind::terminate()),
            },
            else => return,
        };
        if sender.send(wish).await.is_err() {
            return;
        }
    }
}

/// Asks until there is an answer.
async fn asked() -> Wish {
    let (sender, answer) = oneshot::channel();
    // A thread of its own: one that still waits for a line must not hold up the end of the process.
    std::thread::spawn(move || {
        // Who has gone needs no answer.
        let _ = sender.send(ask(&mut io::stdin().lock()));
    });
    answer.await.unwrap_or(Wish::Detach)
}

fn ask(lines: &mut impl BufRead) -> Wish {
    loop {
        output::prompt(QUESTION);
        let mut line = String::new();
        // Whoever closes the terminal has not said cancel.
        if !matches!(lines.read_line(&mut line), Ok(read) if read > 0) {
            return Wish::Detach;
        }
        match line.trim().to_ascii_lowercase().as_str() {
            "d" | "detach" => return Wish::Detach,
            "c" | "cancel" => return Wish::Cancel(SignalKind::interrupt()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unclear_answer_is_asked_for_again() {
        let cancel = Wish::Cancel(SignalKind::interrupt());
        for (answer, wanted) in
            [("c\n", cancel), ("D\n", Wish::Detach), ("what?\n\ncancel\n", cancel), ("", Wish::Detach)]
        {
            assert_eq!(ask(&mut answer.as_bytes()), wanted, "{answer:?}");
        }
    }
}
