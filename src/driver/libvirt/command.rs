//! Programs run beside libvirt: by argument vector, in their own process group,
//! under a deadline, with capped output.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::error::{Code, Error, Result};

/// Bytes kept of each of a program's outputs; the rest is read and forgotten.
const KEPT: usize = 64 << 10;

/// How a program ended and what it said.
pub(super) struct Output {
    /// It ended with status 0.
    pub(super) success: bool,
    /// The beginning of its standard output.
    pub(super) stdout: String,
    /// The beginning of its standard error.
    pub(super) stderr: String,
}

/// Runs `program`. It is killed when `limit` is over or the future is dropped.
///
/// # Errors
/// `backend.unavailable` if it cannot be started, `timed_out` after `limit`.
pub(super) async fn run<I, S>(program: &str, args: I, limit: Duration) -> Result<Output>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| {
            Error::new(Code::BackendUnavailable, format!("The host cannot run {program}: {e}."))
                .hint("`twarga doctor` on the host tells what is missing.")
        })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let work = async { tokio::join!(child.wait(), beginning(stdout), beginning(stderr)) };
    match tokio::time::timeout(limit, work).await {
        Ok((status, stdout, stderr)) => Ok(Output { success: status?.success(), stdout, stderr }),
        Err(_) => Err(Error::new(Code::TimedOut, format!("{program} took too long on the host."))),
    }
}

async fn beginning(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut pipe) = pipe else { return String::new() };
    let mut kept = Vec::new();
    let mut limited = (&mut pipe).take(KEPT as u64);
    if limited.read_to_end(&mut kept).await.is_ok() {
        // A full pipe would hold the program up.
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn output_is_capped_and_drained() {
        let out =
            run("sh", ["-c", "head -c 1000000 /dev/zero; echo no >&2; exit 3"], Duration::from_secs(10));
        let out = out.await.unwrap();
        assert!(!out.success);
        assert_eq!((out.stdout.len(), out.stderr.as_str()), (KEPT, "no\n"));
    }

    #[tokio::test]
    async fn a_slow_program_is_given_up() {
        let out = run("sleep", ["60"], Duration::from_millis(50)).await;
        assert_eq!(out.err().map(|e| e.code), Some(Code::TimedOut));
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let out = run("twarga-no-such-program", ["x"], Duration::from_secs(1)).await;
        assert!(out.err().unwrap().message.contains("twarga-no-such-program"));
    }
}
