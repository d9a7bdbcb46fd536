//! Being inside a VM, for the actions that let somebody in.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::DuplexStream;
use tokio::net::TcpStream;

use super::Portal;
use crate::error::{Code, Error, Result};
use crate::guest::{self, Guest};
use crate::model::{Category, Severity, Vm, VmState};

/// A connection into a VM.
#[derive(Debug)]
pub enum Forward {
    /// To the VM's SSH port, as the network carries it.
    Tcp(TcpStream),
    /// To another port, through the VM's SSH server.
    Guest(Arc<Guest>, String, u16),
}

const SSH_PORT: u16 = 22;

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
    pub(crate) async fn enter(&self, vm: &Vm) -> Result<Guest> {
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
        result
    }

    /// Connects to a port of the VM.
    pub(crate) async fn connect_to(&self, vm: &Vm, port: u16) -> Result<Forward> {
        if port != SSH_PORT {
            return Ok(Forward::Guest(Arc::new(self.enter(vm).await?), String::from("127.0.0.1"), port));
        }
        let socket = self.address(vm)?.socket;
        let stream = TcpStream::connect(socket).await.map_err(|_| {
            Error::new(Code::GuestUnreachable, format!("“{}” runs, but nothing answers there.", vm.name))
        })?;
        let _ = stream.set_nodelay(true);
        Ok(Forward::Tcp(stream))
    }

    /// The VM's serial console.
    pub(crate) async fn console(&self, vm: &Vm) -> Result<DuplexStream> {
        must_run(vm)?;
        if !self.driver().capabilities().console {
            return Err(Error::new(
                Code::VmState,
                format!("The {} driver has no consoles.", self.driver().name()),
            ));
        }
        self.driver().console(vm.uuid).await
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
