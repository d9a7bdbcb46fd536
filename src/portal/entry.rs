//! Being inside a VM, for the actions that let somebody in.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::DuplexStream;
use tokio::net::TcpStream;

use super::{Portal, Session, Visit};
use crate::error::{Code, Error, Result};
use crate::guest::{self, Guest};
use crate::model::{Category, Severity, Vm, VmState};

/// A connection into a VM.
#[derive(Debug)]
pub enum Forward {
    /// To the VM's SSH port, as the network carries it.
    Tcp(TcpStream, Visit),
    /// To another port, through the VM's SSH server.
    Guest(Arc<Guest>, String, u16),
}

const SSH_PORT: u16 = 22;
/// Bytes of a console on their way.
const CONSOLE: usize = 16 * 1024;

impl Portal {
    fn address(&self, vm: &Vm) -> Result<guest::Address> {
        must_run(vm)?;
        let port = vm.ssh_port.ok_or_else(|| Error::internal("a VM without a port"))?;
        Ok(guest::Address {
            name: vm.name.clone(),
            socket: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            user: vm.ssh_user.clone(),
            host_key: vm.host_key.clone(),
            client_key: Arc::clone(&self.keys().client),
        })
    }

    /// Signs in to the VM. Another host key than its own is an alarm.
    pub(crate) async fn enter(&self, vm: &Vm, session: &Arc<Session>) -> Result<Guest> {
        let visit = session.visits(vm);
        let result = guest::connect(&self.address(vm)?).await;
        if let Err(e) = &result
            && e.code == Code::HostKeyMismatch
        {
            let message = format!("{} Nobody was let in.", e.message);
            self.record_own(
                Category::IntrusionDetection,
                "vm.host_key",
                Severity::High,
                Some(vm.full_name()),
                message,
            )
            .await;
        }
        result.map(|guest| guest.of(visit.cut().clone(), visit))
    }

    /// Connects to a port of the VM.
    pub(crate) async fn connect_to(&self, vm: &Vm, port: u16, session: &Arc<Session>) -> Result<Forward> {
        if port != SSH_PORT {
            let guest = self.enter(vm, session).await?;
            return Ok(Forward::Guest(Arc::new(guest), String::from("127.0.0.1"), port));
        }
        let visit = session.visits(vm);
        let socket = self.address(vm)?.socket;
        let stream = TcpStream::connect(socket).await.map_err(|_| {
            Error::new(Code::GuestUnreachable, format!("“{}” runs, but nothing answers there.", vm.name))
        })?;
        let _ = stream.set_nodelay(true);
        Ok(Forward::Tcp(stream, visit))
    }

    /// The VM's serial console.
    pub(crate) async fn console(&self, vm: &Vm, session: &Arc<Session>) -> Result<DuplexStream> {
        must_run(vm)?;
        if !self.driver().capabilities().console {
            return Err(Error::new(
                Code::VmState,
                format!("The {} driver has no consoles.", self.driver().name()),
            ));
        }
        let visit = session.visits(vm);
        let console = self.driver().console(vm.uuid).await?;
        let (theirs, ours) = tokio::io::duplex(CONSOLE);
        tokio::spawn(async move {
            let (mut from_vm, mut to_vm) = tokio::io::split(console);
            let (mut from_person, mut to_person) = tokio::io::split(ours);
            // The end of either is the end of both.
            tokio::select! {
                _ = tokio::io::copy(&mut from_person, &mut to_vm) => {}
                _ = tokio::io::copy(&mut from_vm, &mut to_person) => {}
                () = visit.cut().cancelled() => {}
            }
        });
        Ok(theirs)
    }
}

fn must_run(vm: &Vm) -> Result<()> {
    let name = &vm.name;
    let hint = match vm.state {
        VmState::Running => return Ok(()),
        VmState::Pending => String::from("It is still being made: `job ls` shows how far it is."),
        VmState::Paused => format!("`vm resume {name}` lets it go on."),
        VmState::Stopped | VmState::Error => format!("`vm start {name}` starts it."),
    };
    Err(Error::new(Code::VmNotRunning, format!("“{name}” is {}.", vm.state)).hint(hint))
}
