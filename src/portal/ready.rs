//! When a machine is ready: its SSH server has said its first words.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::Portal;
use super::jobs::JobCx;
use crate::driver::DomainState;
use crate::error::{Code, Error, Result};
use crate::model::Vm;
use crate::model::time::span;

/// Waits until something speaks SSH at the machine's port.
pub(super) async fn wait_for_ssh(cx: &Arc<JobCx>, vm: &Vm, percent: u8) -> Result<()> {
    cx.go_on()?;
    if !cx.portal.driver().capabilities().boots {
        return Ok(());
    }
    cx.step(percent, "waiting for SSH").await?;
    cx.rest();
    let patience = Duration::from_secs(cx.portal.config().driver.libvirt.boot_timeout_s);
    cx.or_cancelled(async {
        match tokio::time::timeout(patience, answers(&cx.portal, vm)).await {
            Ok(answered) => answered,
            Err(_) => Err(mute(&cx.portal, vm, patience).await),
        }
    })
    .await
}

/// A guest that runs and cannot be entered: it stays, to be looked at.
async fn mute(portal: &Portal, vm: &Vm, patience: Duration) -> Error {
    let (name, waited) = (&vm.name, span(patience.as_secs()));
    let screen = portal.driver().last_words(&portal.vm_dir(vm)).await;
    let screen = screen.map(|line| format!("Its screen ends with “{line}”. ")).unwrap_or_default();
    Error::new(Code::TimedOut, format!("“{name}” runs, but its SSH server did not answer in {waited}."))
        .hint(format!("{screen}`vm console {name}` enters it; `vm destroy {name}` gives it up."))
}

async fn answers(portal: &Portal, vm: &Vm) -> Result<()> {
    let began = tokio::time::Instant::now();
    loop {
        let now = portal.store().vm(vm.id).await?;
        let Some(port) = now.and_then(|vm| vm.ssh_port) else {
            return Err(Error::new(Code::VmNotFound, "That VM is gone."));
        };
        if speaks_ssh(port, LEAST_PATIENCE + began.elapsed() / 2).await {
            return Ok(());
        }
        let state = match portal.driver().state(vm.uuid).await {
            // The way into the guest does not lead through the backend.
            Err(e) if e.code == Code::BackendUnavailable => Some(DomainState::Running),
            other => other?,
        };
        if state != Some(DomainState::Running) {
            return Err(Error::new(
                Code::VmState,
                format!("“{}” went off before its SSH server answered.", vm.name),
            )
            .hint(format!("`vm start {}` starts it again.", vm.name)));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The first try at a guest's SSH server lasts so long, later ones longer.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// And none longer than this.
const MOST_PATIENCE: Duration = Duration::from_secs(20);

/// User networking accepts on the host at once, whatever the guest does: only
/// the server's own first words (RFC 4253 §4.2) tell that it is there. A quick
/// guest is seen soon by short tries; a slow one would never get a word out
/// between them, and its server be kept busy with nothing else.
async fn speaks_ssh(port: u16, patience: Duration) -> bool {
    let probe = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
        let mut first = [0; 4];
        stream.read_exact(&mut first).await.ok()?;
        Some(&first == b"SSH-")
    };
    tokio::time::timeout(patience.min(MOST_PATIENCE), probe).await.ok().flatten().unwrap_or(false)
}
