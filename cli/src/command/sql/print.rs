//! Where answers go: a terminal, a pipe or a file.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use cambist_jobs::error::{ErrorKind, JobError, Result};
use cambist_sql::output::{OutputFormat, OutputWriter};
use futures::StreamExt;

use super::failure::of_sql;
use super::source::{Answer, Source};
use crate::arguments::{ResultFormat, SqlArguments};
use crate::output;
use crate::progress::{ProgressLine, REDRAW};

/// As of every file that a program writes; the process's mask takes from it.
const FILE_MODE: u32 = 0o666;

/// How answers are printed.
pub(super) struct Printing {
    format: OutputFormat,
    file: Option<PathBuf>,
}

impl Printing {
    pub(super) fn of(arguments: &SqlArguments) -> Result<Self> {
        let table = OutputFormat::Table { rows_max: arguments.max_rows };
        let by_name = match &arguments.out {
            Some(path) => Some(format_of_name(path)?),
            None => None,
        };
        let format = match (arguments.format, by_name) {
            (Some(ResultFormat::Table), _) => table,
            (Some(ResultFormat::Csv), _) => OutputFormat::Csv,
            (Some(ResultFormat::Json), _) => OutputFormat::Json,
            (Some(ResultFormat::Parquet), None) => {
                return Err(JobError::usage("Parquet is not printed, expected --out FILE.parquet"));
            }
            (Some(ResultFormat::Parquet), Some(_)) => OutputFormat::Parquet,
            (None, Some(by_name)) => by_name,
            (None, None) if io::stdout().is_terminal() => table,
            (None, None) => OutputFormat::Csv,
        };
        Ok(Self { format, file: arguments.out.clone() })
    }

    /// Executes a statement and prints what comes.
    pub(super) async fn answer(&self, source: &mut Source, statement: &str) -> Result<()> {
        let started = Instant::now();
        // Rows that scroll by are progress enough.
        let scrolls = self.file.is_none()
            && io::stdout().is_terminal()
            && !matches!(self.format, OutputFormat::Table { .. });
        let mut line = ProgressLine::new(scrolls);
        let answer = waited(source.ask(statement), &mut line).await?;
        let written = match &self.file {
            Some(path) => self.write_file(answer, path, &mut line).await,
            None => self.write(answer, Pipe::default(), &mut line).await,
        };
        line.finish();
        if let Some(rows) = written?
            && (self.file.is_some() || io::stderr().is_terminal())
        {
            output::note(&format!("{rows} rows in {} ms", started.elapsed().as_millis()));
        }
        Ok(())
    }

    /// Writes a file that is there whole or not at all.
    async fn write_file(&self, answer: Answer, path: &Path, line: &mut ProgressLine) -> Result<Option<u64>> {
        let not_written = |error: io::Error| {
            JobError::usage(format!("`{}` cannot be written", path.display())).caused_by(error)
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let part = tempfile::Builder::new()
            .prefix(".cambist-")
            .permissions(Permissions::from_mode(FILE_MODE))
            .tempfile_in(folder.unwrap_or(Path::new(".")))
            .map_err(not_written)?;
        let file = part.as_file().try_clone().map_err(not_written)?;
        let written = self.write(answer, BufWriter::new(file), line).await?;
        if written.is_some() {
            part.persist(path).map_err(|failed| not_written(failed.error))?;
        }
        Ok(written)
    }

    /// Returns the number of rows; none for a statement that returns no rows.
    async fn write(
        &self,
        answer: Answer,
        out: impl Write + Send + Reader,
        line: &mut ProgressLine,
    ) -> Result<Option<u64>> {
        let Answer { columns, mut rows, progress } = answer;
        if columns.fields().is_empty() {
            while rows.next().await.transpose()?.is_some() {}
            return Ok(None);
        }
        let is_gone = out.is_gone();
        let mut writer = OutputWriter::new(self.format, columns, out).map_err(of_sql)?;
        let (mut rows_received, mut bytes_received) = (0, 0);
        let mut redraw = tokio::time::interval(REDRAW);
        while !is_gone.load(Ordering::Relaxed) {
            tokio::select! {
                batch = rows.next() => match batch.transpose()? {
                    Some(batch) => {
                        rows_received += batch.num_rows() as u64;
                        bytes_received += batch.get_array_memory_size() as u64;
                        writer.write(&batch).map_err(of_sql)?;
                    }
                    None => break,
                },
                _ = redraw.tick(), if !line.is_hidden() => match &progress {
                    Some(progress) => line.show(progress.counts(), None),
                    None => line.show_received(rows_received, bytes_received),
                },
            }
        }
        line.hide();
        let (count, mut out) = writer.finish().map_err(of_sql)?;
        out.flush().map_err(|error| {
            JobError::new(ErrorKind::Infrastructure, "the result cannot be written").caused_by(error)
        })?;
        Ok(Some(count))
    }
}

/// Waits for `work`, and shows that.
async fn waited<T>(work: impl Future<Output = T>, line: &mut ProgressLine) -> T {
    let mut work = std::pin::pin!(work);
    let mut redraw = tokio::time::interval(REDRAW);
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                line.hide();
                return done;
            }
            _ = redraw.tick(), if !line.is_hidden() => line.show_received(0, 0),
        }
    }
}

fn format_of_name(path: &Path) -> Result<OutputFormat> {
    match path.extension().and_then(OsStr::to_str) {
        Some("csv") => Ok(OutputFormat::Csv),
        Some("json" | "ndjson") => Ok(OutputFormat::Json),
        Some("parquet") => Ok(OutputFormat::Parquet),
        _ => Err(JobError::usage(format!(
            "--out is `{}`, expected a name that ends in .csv, .json, .ndjson or .parquet",
            path.display()
        ))),
    }
}

/// Who reads what is written, and may go away.
trait Reader {
    fn is_gone(&self) -> Arc<AtomicBool>;
}

/// A file's reader comes later.
impl Reader for BufWriter<File> {
    fn is_gone(&self) -> Arc<AtomicBool> {
        Arc::default()
    }
}

/// Stdout. A reader that has gone is no failure of ours, but nothing needs to be made for it any more.
#[derive(Debug, Default)]
struct Pipe {
    is_gone: Arc<AtomicBool>,
}

impl Reader for Pipe {
    fn is_gone(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_gone)
    }
}

impl Pipe {
    fn pardon<T>(&self, done: io::Result<T>, instead: T) -> io::Result<T> {
        match done {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_gone.store(true, Ordering::Relaxed);
                Ok(instead)
            }
            done => done,
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pardon(io::stdout().lock().write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pardon(io::stdout().lock().flush(), ())
    }
}
